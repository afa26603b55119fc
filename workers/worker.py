"""The Temporal workers of a process: workflows with their local activities, and actions of their own."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.executions import ExecutionActivities
from activities.interceptors import ActivityInterceptor
from domain.definitions.faults import Fault
from workers.temporal.refusals import RefusalInterceptor
from workflows.contracts import executions as contract
from workflows.executions import ExecutionWorkflow
from workflows.mirror import MirrorInterceptor
from workflows.signals import SignalInterceptor

log = logging.getLogger(__name__)

#: Stated once: how much one process takes on, and how long a shutdown may let a segment end.
CACHED_WORKFLOWS = 1000
WORKFLOW_TASKS = 100
LOCAL_ACTIVITIES = 100
ACTIVITIES = 100
SHUTDOWN = timedelta(seconds=10)


#: What tests run workflow code in. The two drivers are a second net: nothing there imports them, and if something
#: did, importing them again inside the sandbox would crash the process.
SANDBOX = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules("asyncpg", "sqlalchemy")
)


def create_workers(
    client: Client,
    activities: ExecutionActivities,
    *,
    runner: WorkflowRunner | None = None,
    cached_workflows: int = CACHED_WORKFLOWS,
) -> Sequence[Worker]:
    """`runner` defaults to no sandbox: tenants supply no Python; tests run our workflows sandboxed."""
    registered = activities.all()
    common = {
        "interceptors": [
            RefusalInterceptor(),
            SignalInterceptor(),
            MirrorInterceptor(),
            ActivityInterceptor(),
        ],
        "graceful_shutdown_timeout": SHUTDOWN,
        # Cancellation reaches an activity with its heartbeat.
        "max_heartbeat_throttle_interval": timedelta(seconds=2),
    }
    return (
        Worker(
            client,
            task_queue=contract.WORKFLOW_QUEUE,
            workflows=[ExecutionWorkflow],
            activities=registered,
            no_remote_activities=True,
            workflow_runner=runner or UnsandboxedWorkflowRunner(),
            workflow_failure_exception_types=[Fault],
            max_cached_workflows=cached_workflows,
            max_concurrent_workflow_tasks=WORKFLOW_TASKS,
            max_concurrent_local_activities=LOCAL_ACTIVITIES,
            **common,
        ),
        Worker(
            client,
            task_queue=contract.ACTIVITY_QUEUE,
            activities=registered,
            max_concurrent_activities=ACTIVITIES,
            # Eager activities would skip the queue, and with it the fairness between tenants.
            disable_eager_activity_execution=True,
            **common,
        ),
    )


async def run_workers(workers: Sequence[Worker]) -> None:
    """Run until cancelled, then let what is under way end."""
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.run())
