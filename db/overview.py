"""What a person sees first: the newest executions by the name of their workflow, without payloads."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.definitions import Workflow
from db.executions import WorkflowExecution
from db.rows import many

_COLUMNS = ("id", "status", "trigger_event", "progress", "waiting_on", "error_message", "created_at")

#: Whoever may read an execution sees its steps and results; the name of its workflow tells them no more.
_NEWEST = (
    select(*(WorkflowExecution.__table__.c[name] for name in _COLUMNS), Workflow.name.label("workflow"))
    .join_from(
        WorkflowExecution,
        Workflow,
        and_(
            Workflow.organization_id == WorkflowExecution.organization_id,
            Workflow.id == WorkflowExecution.workflow_id,
        ),
    )
    .order_by(WorkflowExecution.created_at.desc(), WorkflowExecution.id.desc())
)


async def newest_executions(tx: AsyncConnection, limit: int) -> Sequence[RowMapping]:
    """The newest executions of the transaction's organization, each with `workflow`, its workflow's name."""
    return await many(tx, _NEWEST.limit(limit))
