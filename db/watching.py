"""Reads what has changed in executions since somebody last looked."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, RowMapping, any_, bindparam, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger

from db.executions import ExecutionStep, WorkflowExecution
from db.rows import many
from db.stepattempts import RETRY_AT
from domain.watching import Seen

#: Without what went in and came out: that is asked for step by step.
_SHOWN = [
    ExecutionStep.__table__.c[name]
    for name in (
        "occurrence",
        "pointer",
        "name",
        "kind",
        "action",
        "visit",
        "position",
        "attempt",
        "status",
        "started_at",
        "completed_at",
    )
] + [literal_column(RETRY_AT, DateTime(timezone=True)).label("retry_at")]


class Changes:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def revisions(self, ids: Collection[UUID]) -> dict[UUID, Any]:
        """When each of these executions last changed."""
        query = select(WorkflowExecution.id, WorkflowExecution.updated_at)
        rows = await self._connection.execute(query.where(WorkflowExecution.id.in_(ids)))
        return {row.id: row.updated_at for row in rows}

    async def latest_steps(self, execution_id: UUID, limit: int) -> tuple[Sequence[RowMapping], int]:
        """The steps entered last, in their order, and how many there are before them."""
        mine = ExecutionStep.execution_id == execution_id
        total = await self._connection.scalar(select(func.count()).where(mine)) or 0
        query = select(*_SHOWN).where(mine).order_by(ExecutionStep.position.desc()).limit(limit)
        rows = await many(self._connection, query)
        return rows[::-1], total - len(rows)

    async def steps_after(self, execution_id: UUID, seen: Seen, limit: int) -> Sequence[RowMapping]:
        """Steps that may be news, in their order."""
        again = bindparam("again", seen.unsettled, type_=ARRAY(BigInteger()))
        query = (
            select(*_SHOWN)
            .where(
                ExecutionStep.execution_id == execution_id,
                or_(ExecutionStep.position > seen.highest, ExecutionStep.position == any_(again)),
            )
            .order_by(ExecutionStep.position)
            .limit(limit)
        )
        return await many(self._connection, query)
