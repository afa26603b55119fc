"""What Temporal itself says of executions: the other half of every comparison. Each call is counted."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from temporalio.api.common.v1 import WorkflowExecution as ExecutionName
from temporalio.api.enums.v1 import HistoryEventFilterType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest
from temporalio.client import (
    WorkflowExecution,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

from domain.executions import ExecutionStatus
from domain.mirror import Course
from workers.supervision_metrics import CALLS
from workers.temporal.connection import Connection
from workflows.contracts import executions as contract

#: No call holds a round of supervision for longer: the SDK alone would repeat one that is not answered.
CALL: Final = timedelta(seconds=5)
PAGE: Final = 500

CLOSED: Final = {
    WorkflowExecutionStatus.COMPLETED: ExecutionStatus.COMPLETED,
    WorkflowExecutionStatus.FAILED: ExecutionStatus.FAILED,
    WorkflowExecutionStatus.CANCELED: ExecutionStatus.CANCELLED,
    WorkflowExecutionStatus.TERMINATED: ExecutionStatus.TERMINATED,
    WorkflowExecutionStatus.TIMED_OUT: ExecutionStatus.TIMED_OUT,
}
_OURS: Final = f"WorkflowType = '{contract.WORKFLOW}'"
#: One that completed has committed its outcome before: nothing in Temporal can complete an execution by hand.
_ENDED: Final = "ExecutionStatus IN ('Terminated', 'TimedOut', 'Failed', 'Canceled')"


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of a list: a run, how it ended (None: it runs) and when."""

    workflow_id: str
    run_id: str
    status: ExecutionStatus | None
    started_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Account:
    """The latest run of an execution; `status` is None while it runs. `is_reset`: an operator began this run."""

    workflow_id: str
    run_id: str
    status: ExecutionStatus | None
    started_at: datetime
    is_reset: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """Why Temporal closed a run, as far as its history tells; the failure of a step is sealed, and not told."""

    reason: str = ""
    identity: str = ""


class Accounts:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def of(self, workflow_id: str) -> Account | None:
        """None when Temporal knows no such execution. Raises RPCError, TemporalUnavailable."""
        CALLS.labels("describe").inc()
        handle = self._connection.client.get_workflow_handle(workflow_id)
        try:
            async with _bounded():
                description = await handle.describe(rpc_timeout=CALL)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        return _account(description)

    async def ending(self, workflow_id: str, run_id: str) -> Ending:
        """The last event of a closed run."""
        CALLS.labels("history").inc()
        client = self._connection.client
        asked = GetWorkflowExecutionHistoryRequest(
            namespace=client.namespace,
            execution=ExecutionName(workflow_id=workflow_id, run_id=run_id),
            history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
        )
        async with _bounded():
            answer = await client.workflow_service.get_workflow_execution_history(asked, timeout=CALL)
        return _ending(answer.history.events[-1]) if answer.history.events else Ending()

    async def course(self, workflow_id: str, run_id: str) -> Course | None:
        """Where a running execution stands, by its own account; None while no worker can answer."""
        CALLS.labels("query").inc()
        handle = self._connection.client.get_workflow_handle(workflow_id, run_id=run_id)
        try:
            async with _bounded():
                course: Course = await handle.query(contract.COURSE, result_type=Course, rpc_timeout=CALL)
        except (WorkflowQueryFailedError, TimeoutError):
            return None
        except RPCError as error:
            if error.status in _UNANSWERED:
                return None
            raise
        return course

    def ended_since(self, moment: datetime) -> AsyncIterator[list[Listed]]:
        """Runs closed since then by anything but success, the latest first."""
        return self._pages(f"{_OURS} AND {_ENDED} AND CloseTime >= '{_text(moment)}'")

    def begun_since(self, moment: datetime) -> AsyncIterator[list[Listed]]:
        """Runs that began since then, by a start, a reset or continuing as new, and still run."""
        return self._pages(f"{_OURS} AND ExecutionStatus = 'Running' AND StartTime >= '{_text(moment)}'")

    def running(self) -> AsyncIterator[list[Listed]]:
        return self._pages(f"{_OURS} AND ExecutionStatus = 'Running'")

    def running_of(self, organization_id: UUID) -> AsyncIterator[list[Listed]]:
        """Everything that runs for one organization."""
        return self._pages(
            f"{_OURS} AND ExecutionStatus = 'Running' AND OrganizationId = '{organization_id}'"
        )

    async def stalled(self) -> dict[str, str]:
        """Workflow ids of running executions whose workflow tasks keep failing, with Temporal's word for why."""
        found = {}
        query = f"{_OURS} AND ExecutionStatus = 'Running' AND TemporalReportedProblems IS NOT NULL"
        async for page in self._found(query):
            for execution in page:
                problems = execution.search_attributes.get("TemporalReportedProblems", [])
                causes = [str(problem).partition("=")[2] for problem in problems if "cause=" in str(problem)]
                found[execution.id] = ", ".join(causes) or ", ".join(map(str, problems))
        return found

    async def _pages(self, query: str) -> AsyncIterator[list[Listed]]:
        async for page in self._found(query):
            yield [
                Listed(found.id, found.run_id, _status(found.status), found.start_time, found.close_time)
                for found in page
            ]

    async def _found(self, query: str) -> AsyncIterator[Sequence[WorkflowExecution]]:
        pages = self._connection.client.list_workflows(query, page_size=PAGE, rpc_timeout=CALL)
        while True:
            CALLS.labels("list").inc()
            async with _bounded():
                await pages.fetch_next_page()
            yield pages.current_page or ()
            if not pages.next_page_token:
                return


_UNANSWERED: Final = (
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.NOT_FOUND,
    RPCStatusCode.FAILED_PRECONDITION,
    RPCStatusCode.CANCELLED,
)


def _bounded() -> asyncio.Timeout:
    """Raises TimeoutError, which is an OSError: whoever is silent is away."""
    return asyncio.timeout(CALL.total_seconds())


def _status(told: WorkflowExecutionStatus | None) -> ExecutionStatus | None:
    return None if told is None else CLOSED.get(told)


def _account(description: WorkflowExecutionDescription) -> Account:
    assert description.status is not None
    extended = description.raw_description.workflow_extended_info
    return Account(
        description.id,
        description.run_id,
        _status(description.status),
        description.start_time,
        extended.HasField("last_reset_time"),
    )


def _ending(event: HistoryEvent) -> Ending:
    terminated = event.workflow_execution_terminated_event_attributes
    return Ending(terminated.reason, terminated.identity)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
