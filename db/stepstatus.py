"""How far the steps of one execution have come, by step: what a drawing of it shows."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from db.executions import ExecutionStep
from db.rows import many

_MOST = 2_000


async def step_statuses(tx: AsyncConnection, execution_id: UUID) -> Sequence[RowMapping]:
    """`pointer`, the `status` of its latest occurrence and how many `visits` there were."""
    visits = func.count().over(partition_by=ExecutionStep.pointer).label("visits")
    statement = (
        select(ExecutionStep.pointer, ExecutionStep.status, visits)
        .where(ExecutionStep.execution_id == execution_id)
        .ext(distinct_on(ExecutionStep.pointer))
        .order_by(ExecutionStep.pointer, ExecutionStep.position.desc())
        .limit(_MOST)
    )
    return await many(tx, statement)
