"""Imports and exports of clients and contacts: what was asked for, and the parts in which it is carried out.

A part is worked on in one transaction: what it does to clients, what it reports and that it is finished stand
together or not at all. So a worker that dies leaves neither a row done twice nor one left out.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Index, RowMapping, UniqueConstraint, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, JsonObject, No, Sealed, Tenant, UserRef, one_of, tenant_key, within
from db.executions import WorkflowExecution
from db.rows import Before, many, newest_first, one
from domain.imports import ImportMode, MatchBy, TransferKind

#: What people upload and download is personal; copies of it are forgotten after so many days.
DAYS_OF_PARTS = 7


class Direction(StrEnum):
    IMPORT = "import"
    EXPORT = "export"


class Transfer(Tenant, Base):
    """One import or export; how far it is, its execution and its parts say."""

    __tablename__ = "transfers"
    __table_args__ = (
        tenant_key(),
        within("execution_id", "workflow_executions", ondelete="SET NULL (execution_id)"),
        Index(None, "organization_id", "created_at", "id"),
        Index(None, "organization_id", "execution_id"),
        one_of("direction", Direction),
        one_of("kind", TransferKind),
        one_of("mode", ImportMode),
        one_of("match_by", MatchBy),
    )

    id: Mapped[Id]
    direction: Mapped[str]
    kind: Mapped[str]
    mode: Mapped[str | None]
    match_by: Mapped[str | None]
    dry_run: Mapped[No]
    filename: Mapped[str | None]
    #: Of an import: encoding, delimiter, columns. Of an export: filters, columns, delimiter.
    settings: Mapped[JsonObject]
    #: Rows of the file that hold something, or rows to be written.
    total: Mapped[int] = mapped_column(server_default="0")
    execution_id: Mapped[UUID | None]
    created_by: Mapped[UserRef | None]
    created_at: Mapped[CreatedAt]
    completed_at: Mapped[datetime | None]


class TransferPart(Tenant, Base):
    """Some hundred rows of an import as JSON, or some thousand of an export as CSV."""

    __tablename__ = "transfer_parts"
    __table_args__ = (
        tenant_key(),
        within("transfer_id", "transfers", ondelete="CASCADE"),
        UniqueConstraint("organization_id", "transfer_id", "number"),
        Index(None, "created_at"),
    )

    id: Mapped[Id]
    transfer_id: Mapped[UUID]
    number: Mapped[int]
    rows: Mapped[int] = mapped_column(server_default="0")
    #: None once an import's rows are where they belong.
    content: Mapped[Sealed | None]
    #: The rows that were refused, as JSON; None when there are none.
    report: Mapped[Sealed | None]
    created: Mapped[int] = mapped_column(server_default="0")
    updated: Mapped[int] = mapped_column(server_default="0")
    unchanged: Mapped[int] = mapped_column(server_default="0")
    failed: Mapped[int] = mapped_column(server_default="0")
    #: Up to which row an export came with this part.
    last_at: Mapped[datetime | None]
    last_id: Mapped[UUID | None]
    created_at: Mapped[CreatedAt]
    finished_at: Mapped[datetime | None]


_COUNTS = ("rows", "created", "updated", "unchanged", "failed")


class Transfers:
    """The imports and exports of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def add(self, values: Mapping[str, Any]) -> None:
        """Note what was asked for: columns of `transfers`."""
        await self._tx.execute(insert(Transfer).values(**values))

    async def add_parts(self, parts: Sequence[Mapping[str, Any]]) -> None:
        """Columns of `transfer_parts`, the same ones for each."""
        if parts:
            await self._tx.execute(insert(TransferPart), list(parts))

    async def get(self, id: UUID, direction: Direction, kind: str) -> RowMapping:
        """The transfer with its counts and the state of its execution; raises NotFound."""
        statement = _VIEW.where(
            Transfer.id == id, Transfer.direction == direction.value, Transfer.kind == kind
        )
        return one(await self._tx.execute(statement))

    async def page(
        self, direction: Direction, kind: str, before: Before | None, limit: int
    ) -> Sequence[RowMapping]:
        """Newest first."""
        statement = _VIEW.where(Transfer.direction == direction.value, Transfer.kind == kind)
        return await many(
            self._tx, newest_first(statement, Transfer.created_at, Transfer.id, before).limit(limit)
        )

    async def row(self, id: UUID) -> RowMapping:
        """Its own columns; raises NotFound."""
        return one(await self._tx.execute(select(Transfer).where(Transfer.id == id)))

    async def change(self, id: UUID, **values: Any) -> None:
        await self._tx.execute(update(Transfer).where(Transfer.id == id).values(**values))

    async def part(self, transfer_id: UUID, number: int) -> RowMapping | None:
        """The part, locked until the transaction ends: who comes second finds it finished."""
        statement = (
            select(TransferPart)
            .where(TransferPart.transfer_id == transfer_id, TransferPart.number == number)
            .with_for_update()
        )
        return (await self._tx.execute(statement)).mappings().one_or_none()

    async def finish_part(self, id: UUID, **values: Any) -> None:
        await self._tx.execute(
            update(TransferPart).where(TransferPart.id == id).values(finished_at=func.now(), **values)
        )

    async def counts(self, id: UUID) -> dict[str, int]:
        """`rows`, `created`, `updated`, `unchanged`, `failed` of the finished parts."""
        sums = [func.coalesce(func.sum(TransferPart.__table__.c[name]), 0).label(name) for name in _COUNTS]
        statement = select(*sums).where(TransferPart.transfer_id == id, TransferPart.finished_at.is_not(None))
        found = (await self._tx.execute(statement)).mappings().one()
        return {name: int(found[name]) for name in _COUNTS}

    async def reports(self, id: UUID, *, after: int, limit: int) -> Sequence[RowMapping]:
        """Parts behind the number `after` in which rows were refused: id, number, failed, report."""
        part = TransferPart
        return await many(
            self._tx,
            select(part.id, part.number, part.failed, part.report)
            .where(part.transfer_id == id, part.number > after, part.report.is_not(None))
            .order_by(part.number)
            .limit(limit),
        )

    async def contents(self, id: UUID, *, after: int, limit: int) -> Sequence[RowMapping]:
        """Written parts of an export behind the number `after`: id, number, content."""
        part = TransferPart
        return await many(
            self._tx,
            select(part.id, part.number, part.content)
            .where(part.transfer_id == id, part.number > after, part.content.is_not(None))
            .order_by(part.number)
            .limit(limit),
        )


def _counted(name: str) -> Any:
    column = TransferPart.__table__.c[name]
    statement = select(func.coalesce(func.sum(column), 0)).where(
        TransferPart.organization_id == Transfer.organization_id,
        TransferPart.transfer_id == Transfer.id,
        TransferPart.finished_at.is_not(None),
    )
    return statement.scalar_subquery().label(name)


_HAS_PARTS = (
    select(TransferPart.id)
    .where(
        TransferPart.organization_id == Transfer.organization_id,
        TransferPart.transfer_id == Transfer.id,
    )
    .exists()
)

_VIEW = select(
    *Transfer.__table__.c,
    *(_counted(name) for name in _COUNTS),
    _HAS_PARTS.label("has_parts"),
    WorkflowExecution.status.label("execution_status"),
    WorkflowExecution.progress.label("progress"),
    WorkflowExecution.error_message.label("error_message"),
    WorkflowExecution.cancel_requested_at.label("cancel_requested_at"),
).outerjoin_from(
    Transfer,
    WorkflowExecution,
    (WorkflowExecution.organization_id == Transfer.organization_id)
    & (WorkflowExecution.id == Transfer.execution_id),
)

#: For the sweep: parts that are older than DAYS_OF_PARTS, some at a time.
OLD_PARTS = text(
    f"""
    DELETE FROM transfer_parts WHERE id IN (
        SELECT id FROM transfer_parts
        WHERE created_at < CAST(:now AS timestamptz) - interval '{DAYS_OF_PARTS} days' LIMIT :limit)
    """  # noqa: S608 - a constant only
)
