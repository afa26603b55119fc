"""What an operator does to executions in Temporal's UI or CLI, behind the back of the product."""

import asyncio
from typing import Any
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    ResetWorkflowExecutionRequest,
)
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowHandle

#: Decisions and events that had arrived after the point of the reset are not told to the new run.
WITHOUT_SIGNALS = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL


class Operator:
    """At one execution; `name` is Temporal's workflow id."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(self._name)

    async def describe(self) -> WorkflowExecutionDescription:
        return await self.handle.describe()

    async def terminate(self, reason: str = "mistaken") -> None:
        await self.handle.terminate(reason=reason)

    async def cancel(self) -> None:
        await self.handle.cancel()

    async def delete(self) -> None:
        await self._client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(
                namespace=self._client.namespace, workflow_execution=WorkflowExecution(workflow_id=self._name)
            )
        )

    async def tasks(self) -> list[int]:
        """The ids of the events by which workflow tasks completed: the points that a reset may choose."""
        history = await self.handle.fetch_history()
        kind = "workflow_task_completed_event_attributes"
        return [event.event_id for event in history.events if event.HasField(kind)]

    async def idle(self) -> None:
        """Return once Temporal has the answer to every workflow task it has handed out."""
        for _ in range(500):
            if not (await self.describe()).raw_description.HasField("pending_workflow_task"):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("a workflow task never ends")

    async def reset(self, task: int, *, exclude: Any = None) -> str:
        """Reset to just before the workflow task number `task` completed (0 is the first); answers the new run."""
        run_id = (await self.describe()).run_id
        events = await self.tasks()
        answer = await self._client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace=self._client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=self._name, run_id=run_id),
                reason="try again",
                workflow_task_finish_event_id=events[task],
                request_id=str(uuid4()),
                reset_reapply_exclude_types=[] if exclude is None else [exclude],
            )
        )
        return answer.run_id
