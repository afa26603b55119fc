"""Exports of the activity log: what was asked for, and the parts in which a process writes it down.

A part is written in one transaction with the place up to which it came: a worker that dies leaves no line out and
writes none twice.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, RowMapping, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, JsonObject, Tenant, UserRef, one_of, tenant_key, within
from db.executions import WorkflowExecution
from db.rows import many, one

#: Copies of the log are forgotten after so many days.
DAYS_OF_EXPORTS = 7


class ExportFormat(StrEnum):
    CSV = "csv"
    #: JSON Lines.
    JSONL = "jsonl"


class AuditExport(Tenant, Base):
    __tablename__ = "audit_exports"
    __table_args__ = (
        tenant_key(),
        within("execution_id", "workflow_executions", ondelete="SET NULL (execution_id)"),
        Index(None, "organization_id", "created_at", "id"),
        Index(None, "organization_id", "execution_id"),
        one_of("format", ExportFormat),
    )

    id: Mapped[Id]
    format: Mapped[str]
    #: As the log was asked: actor, user_id, resource, resource_id, action, from, to.
    filters: Mapped[JsonObject]
    #: Lines from before this moment.
    until: Mapped[datetime]
    #: How many lines there were when it was asked for, and how many are written.
    total: Mapped[int] = mapped_column(BigInteger(), server_default="0")
    written: Mapped[int] = mapped_column(BigInteger(), server_default="0")
    parts: Mapped[int] = mapped_column(server_default="0")
    #: The last line written.
    last_at: Mapped[datetime | None]
    last_id: Mapped[UUID | None]
    execution_id: Mapped[UUID | None]
    created_by: Mapped[UserRef]
    created_at: Mapped[CreatedAt]
    completed_at: Mapped[datetime | None]


class AuditExportPart(Tenant, Base):
    __tablename__ = "audit_export_parts"
    __table_args__ = (within("export_id", "audit_exports", ondelete="CASCADE"),)

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True, sort_order=-3
    )
    export_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-2)
    number: Mapped[int] = mapped_column(primary_key=True, sort_order=-1)
    content: Mapped[str]


class AuditExports:
    """The exports of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def add(self, values: Mapping[str, Any]) -> None:
        await self._tx.execute(insert(AuditExport).values(**values))

    async def get(self, id: UUID) -> RowMapping:
        """With the state of its execution; raises NotFound."""
        return one(await self._tx.execute(_VIEW.where(AuditExport.id == id)))

    async def locked(self, id: UUID) -> RowMapping:
        """Its own columns; whoever comes second waits and finds what the first one wrote. Raises NotFound."""
        statement = select(AuditExport).where(AuditExport.id == id).with_for_update()
        return one(await self._tx.execute(statement))

    async def add_part(
        self, export: RowMapping, content: str, rows: int, last: tuple[datetime, UUID] | None
    ) -> None:
        """The next part, and how far the export came with it."""
        number = export["parts"] + 1
        await self._tx.execute(
            insert(AuditExportPart).values(
                organization_id=export["organization_id"],
                export_id=export["id"],
                number=number,
                content=content,
            )
        )
        changes = {
            "parts": number,
            "written": export["written"] + rows,
            "last_at": None if last is None else last[0],
            "last_id": None if last is None else last[1],
        }
        await self._tx.execute(update(AuditExport).where(AuditExport.id == export["id"]).values(changes))

    async def complete(self, id: UUID, now: datetime) -> None:
        await self._tx.execute(update(AuditExport).where(AuditExport.id == id).values(completed_at=now))

    async def contents(self, id: UUID, *, after: int, limit: int) -> Sequence[RowMapping]:
        """Parts behind the number `after`: number, content."""
        return await many(
            self._tx,
            select(AuditExportPart.number, AuditExportPart.content)
            .where(AuditExportPart.export_id == id, AuditExportPart.number > after)
            .order_by(AuditExportPart.number)
            .limit(limit),
        )


_VIEW = select(
    *AuditExport.__table__.c,
    WorkflowExecution.status.label("execution_status"),
    WorkflowExecution.progress.label("progress"),
    WorkflowExecution.error_message.label("error_message"),
).outerjoin_from(
    AuditExport,
    WorkflowExecution,
    (WorkflowExecution.organization_id == AuditExport.organization_id)
    & (WorkflowExecution.id == AuditExport.execution_id),
)

#: For the sweep; the parts go with them.
OLD_EXPORTS = text(
    f"""
    DELETE FROM audit_exports WHERE id IN (
        SELECT id FROM audit_exports
        WHERE created_at < CAST(:now AS timestamptz) - interval '{DAYS_OF_EXPORTS} days' LIMIT :limit)
    """  # noqa: S608 - a constant only
)
