"""Bulk operations: which executions were meant, and what came of each of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    RowMapping,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, JsonObject, No, Tenant, UserRef, one_of, tenant_key, within
from db.executions import WorkflowExecution
from db.rows import Before, many, newest_first, one
from db.starts import KIND
from domain.bulk import DAYS_OF_REPORTS, MOST, PER_PART, BulkAction, BulkFilters, BulkOutcome


class BulkOperation(Tenant, Base):
    __tablename__ = "bulk_operations"
    __table_args__ = (
        tenant_key(),
        within("execution_id", "workflow_executions", ondelete="SET NULL (execution_id)"),
        Index(None, "organization_id", "created_at", "id"),
        Index(None, "organization_id", "execution_id"),
        one_of("action", BulkAction),
    )

    id: Mapped[Id]
    action: Mapped[str]
    #: As they were asked for: workflow_id, status, trigger, from, to, parent_id, ids.
    filters: Mapped[JsonObject]
    reason: Mapped[str | None]
    #: Whoever asked wants effects repeated that nothing can undo.
    confirms_irreversible: Mapped[No]
    #: How many executions it is about.
    total: Mapped[int]
    #: The process that works on them.
    execution_id: Mapped[UUID | None]
    created_by: Mapped[UserRef | None]
    created_at: Mapped[CreatedAt]
    completed_at: Mapped[datetime | None]


class BulkItem(Tenant, Base):
    """One of the executions it is about; without an outcome nobody has come to it yet."""

    __tablename__ = "bulk_items"
    __table_args__ = (
        within("operation_id", "bulk_operations", ondelete="CASCADE"),
        within("execution_id", "workflow_executions", ondelete="CASCADE"),
        within("rerun_id", "workflow_executions", ondelete="SET NULL (rerun_id)"),
        Index(None, "organization_id", "execution_id"),
        Index(None, "organization_id", "rerun_id"),
        one_of("outcome", BulkOutcome),
    )

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True, sort_order=-3
    )
    operation_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-2)
    #: From 1, the oldest execution first.
    number: Mapped[int] = mapped_column(primary_key=True, sort_order=-1)
    execution_id: Mapped[UUID]
    outcome: Mapped[str | None]
    #: A sentence: why it was refused, or what was done.
    detail: Mapped[str | None]
    #: What repeats it.
    rerun_id: Mapped[UUID | None]
    finished_at: Mapped[datetime | None]


class Bulk:
    """The bulk operations of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def count(self, action: BulkAction, filters: BulkFilters) -> int:
        """How many executions are meant just now; counting ends behind MOST."""
        meant = select(WorkflowExecution.id).where(*_meant(action, filters)).limit(MOST + 1).subquery()
        return int(await self._tx.scalar(select(func.count()).select_from(meant)) or 0)

    async def add(self, values: Mapping[str, Any], filters: BulkFilters) -> int:
        """Write the operation down with every execution that is meant now; how many these are, behind MOST no more."""
        await self._tx.execute(insert(BulkOperation).values(**values))
        created_at, id = WorkflowExecution.created_at, WorkflowExecution.id
        number = func.row_number().over(order_by=(created_at, id))
        meant = (
            select(literal(values["organization_id"]), literal(values["id"]), number, id)
            .where(*_meant(BulkAction(values["action"]), filters))
            .order_by(created_at, id)
            .limit(MOST + 1)
        )
        columns = ["organization_id", "operation_id", "number", "execution_id"]
        return int((await self._tx.execute(insert(BulkItem).from_select(columns, meant))).rowcount)

    async def get(self, id: UUID) -> RowMapping:
        """With the state of its process, and how many executions are done and refused. Raises NotFound."""
        return one(await self._tx.execute(_VIEW.where(BulkOperation.id == id)))

    async def page(self, before: Before | None, limit: int) -> Sequence[RowMapping]:
        """Newest first."""
        statement = newest_first(_VIEW, BulkOperation.created_at, BulkOperation.id, before)
        return await many(self._tx, statement.limit(limit))

    async def items(
        self, id: UUID, *, outcome: BulkOutcome | None, after: int, limit: int
    ) -> Sequence[RowMapping]:
        """By their numbers, those behind `after`."""
        statement = select(*BulkItem.__table__.c).where(BulkItem.operation_id == id, BulkItem.number > after)
        if outcome is not None:
            statement = statement.where(BulkItem.outcome == outcome)
        return await many(self._tx, statement.order_by(BulkItem.number).limit(limit))

    async def waiting(self, id: UUID, part: int) -> Sequence[RowMapping]:
        """Executions of this part (from 0) that nobody has come to yet."""
        return await many(
            self._tx,
            select(BulkItem.number, BulkItem.execution_id)
            .where(
                BulkItem.operation_id == id,
                BulkItem.number > part * PER_PART,
                BulkItem.number <= (part + 1) * PER_PART,
                BulkItem.outcome.is_(None),
            )
            .order_by(BulkItem.number),
        )

    async def claim(self, id: UUID, number: int) -> bool:
        """Hold one of them until the transaction ends; False when somebody else has come to it meanwhile."""
        item = (BulkItem.operation_id == id, BulkItem.number == number, BulkItem.outcome.is_(None))
        return await self._tx.scalar(select(BulkItem.number).where(*item).with_for_update()) is not None

    async def done(
        self, id: UUID, number: int, outcome: BulkOutcome, detail: str, rerun_id: UUID | None = None
    ) -> None:
        """Write down what came of one."""
        values = {"outcome": outcome, "detail": detail, "rerun_id": rerun_id, "finished_at": func.now()}
        item = (BulkItem.operation_id == id, BulkItem.number == number, BulkItem.outcome.is_(None))
        await self._tx.execute(update(BulkItem).where(*item).values(values))

    async def complete(self, id: UUID) -> None:
        now = func.coalesce(BulkOperation.completed_at, func.now())
        await self._tx.execute(update(BulkOperation).where(BulkOperation.id == id).values(completed_at=now))


def _meant(action: BulkAction, filters: BulkFilters) -> list[ColumnElement[bool]]:
    """The product's own processes are none of them: they have their own ways to be stopped."""
    table = WorkflowExecution
    wanted = [status for status in action.concerns if not filters.statuses or status in filters.statuses]
    narrowing = [table.kind == KIND, table.status.in_(sorted(wanted))]
    if filters.workflow_id is not None:
        narrowing.append(table.workflow_id == filters.workflow_id)
    if filters.trigger is not None:
        narrowing.append(table.trigger_event.startswith(filters.trigger, autoescape=True))
    if filters.created_from is not None:
        narrowing.append(table.created_at >= filters.created_from)
    if filters.created_to is not None:
        narrowing.append(table.created_at < filters.created_to)
    if filters.parent_id is not None:
        narrowing.append(table.parent_id == filters.parent_id)
    if filters.ids:
        narrowing.append(table.id.in_(list(filters.ids)))
    return narrowing


def _number_of(outcome: BulkOutcome) -> ColumnElement[int]:
    of = (
        BulkItem.organization_id == BulkOperation.organization_id,
        BulkItem.operation_id == BulkOperation.id,
    )
    return (
        select(func.count())
        .where(*of, BulkItem.outcome == outcome)
        .correlate(BulkOperation)
        .scalar_subquery()
    )


_VIEW = select(
    *BulkOperation.__table__.c,
    WorkflowExecution.status.label("execution_status"),
    _number_of(BulkOutcome.DONE).label("done"),
    _number_of(BulkOutcome.REFUSED).label("refused"),
).outerjoin_from(
    BulkOperation,
    WorkflowExecution,
    (WorkflowExecution.organization_id == BulkOperation.organization_id)
    & (WorkflowExecution.id == BulkOperation.execution_id),
)

#: For the sweep; the reports go with them.
OLD_OPERATIONS = text(
    f"""
    DELETE FROM bulk_operations WHERE id IN (
        SELECT id FROM bulk_operations
        WHERE created_at < CAST(:now AS timestamptz) - interval '{DAYS_OF_REPORTS} days' LIMIT :limit)
    """  # noqa: S608 - a constant only
)
