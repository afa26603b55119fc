"""Running another workflow of the organization: started like by any trigger, awaited or not."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, JsonValue

from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, Result, action
from db.children import Children, NewChild
from domain.actions import Effect, Lane
from domain.executions import ExecutionStatus

Label = Annotated[str, Field(min_length=1, max_length=63)]


class RunWorkflow(Arguments):
    """Which workflow, as its document names it; `latest` is the version published last."""

    namespace: Label
    name: Label
    version: Annotated[str, Field(min_length=1, max_length=200)] = "latest"
    input: JsonValue = Field(default_factory=dict)

    def child(
        self, organization_id: UUID, execution_id: UUID, occurrence: str, *, is_awaited: bool
    ) -> NewChild:
        return NewChild(
            organization_id,
            execution_id,
            occurrence,
            self.namespace,
            self.name,
            self.version,
            self.input,
            is_awaited,
        )


class StartedExecution(Result):
    id: UUID
    workflow_id: UUID
    status: ExecutionStatus


@action(
    "workflow.run",
    version="1.0.0",
    title="Run a workflow",
    effect=Effect.IDEMPOTENT,
    lane=Lane.EXECUTION,
    timeout=timedelta(days=365),
)
async def run_workflow(context: ActionContext, arguments: RunWorkflow) -> Any:
    """Run another workflow of the organization and answer its output when it has completed."""
    raise RuntimeError("an execution waits for the other one; the engine registers it instead of running it")


@action(
    "workflow.start",
    version="1.0.0",
    title="Start a workflow",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=timedelta(seconds=10),
)
async def start_workflow(context: ActionContext, arguments: RunWorkflow) -> StartedExecution:
    """Start another workflow of the organization and go on at once; answers which execution it is."""
    child = arguments.child(
        context.organization_id, context.execution_id, context.occurrence, is_awaited=False
    )
    begun = await Children(context.transaction).start(child)
    if begun.entry is not None:
        context.told.append(begun.entry)
    row = begun.row
    return StartedExecution(id=row["id"], workflow_id=row["workflow_id"], status=row["status"])
