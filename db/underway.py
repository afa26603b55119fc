"""How many executions still go on with which version: what publishing another one leaves alone."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.definitions import WorkflowVersion
from db.executions import WorkflowExecution
from domain.executions import ExecutionStatus

#: Nobody counts further on a page.
MANY: Final = 1_000
_OPEN: Final = tuple(status.value for status in ExecutionStatus if not status.is_terminal)


async def under_way(tx: AsyncConnection, workflow_id: UUID) -> Mapping[int, int]:
    """Executions of a workflow that have not ended, by the number of their version; of all, at most `MANY` + 1."""
    running = (
        select(WorkflowExecution.workflow_version_id)
        .where(WorkflowExecution.workflow_id == workflow_id, WorkflowExecution.status.in_(_OPEN))
        .limit(MANY + 1)
        .subquery()
    )
    statement = (
        select(WorkflowVersion.number, func.count().label("executions"))
        .join(running, running.c.workflow_version_id == WorkflowVersion.id)
        .group_by(WorkflowVersion.number)
    )
    return {row.number: row.executions for row in await tx.execute(statement)}
