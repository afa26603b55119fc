"""What a person sees first: how many executions stand how, and which schedules come next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.definitions import Trigger, Workflow
from db.executions import WorkflowExecution
from db.rows import many
from db.runs import WORKFLOW
from db.schedules import Schedule
from domain.definitions.lifecycle import DefinitionStatus
from domain.executions import ExecutionStatus

#: Counting goes no further: a page says "1000+".
MOST_COUNTED: Final = 1_000
UNDER_WAY: Final = (ExecutionStatus.QUEUED, ExecutionStatus.RUNNING)
AT_REST: Final = (ExecutionStatus.WAITING, ExecutionStatus.PAUSED)
FAILED: Final = (ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.TERMINATED)


@dataclass(frozen=True, slots=True)
class Counts:
    """`under_way` and `at_rest` now; `completed` and `failed` of those created since a moment."""

    under_way: int
    at_rest: int
    completed: int
    failed: int


async def counts(tx: AsyncConnection, since: datetime) -> Counts:
    """Executions of the organization's own workflows; the product's processes are not counted."""

    async def count(statuses: Sequence[str], since: datetime | None = None) -> int:
        table = WorkflowExecution
        some = select(table.id).where(table.status.in_(statuses), table.kind == WORKFLOW)
        if since is not None:
            some = some.where(table.created_at >= since)
        counted = select(func.count()).select_from(some.limit(MOST_COUNTED + 1).subquery())
        return await tx.scalar(counted) or 0

    return Counts(
        await count(UNDER_WAY),
        await count(AT_REST),
        await count((ExecutionStatus.COMPLETED,), since),
        await count(FAILED, since),
    )


async def upcoming(tx: AsyncConnection, limit: int) -> Sequence[RowMapping]:
    """The schedules that fire next: `id`, `name`, `workflow`, `next_at`."""
    statement = (
        select(Schedule.id, Schedule.next_at, Trigger.name, Workflow.name.label("workflow"))
        .join(Trigger, Trigger.id == Schedule.id)
        .join(Workflow, Workflow.id == Trigger.workflow_id)
        .where(
            Schedule.next_at.is_not(None),
            Schedule.paused_at.is_(None),
            Trigger.is_active,
            Workflow.status == DefinitionStatus.ACTIVE,
        )
        .order_by(Schedule.next_at, Schedule.id)
    )
    return await many(tx, statement.limit(limit))
