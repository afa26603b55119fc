"""Bulk operations: which executions were meant, and what came of each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, RowMapping, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, JsonObject, No, Tenant, UserRef, one_of, tenant_key, within
from db.executions import WorkflowExecution
from db.rows import Before, many, newest_first, one
from db.starts import KIND
from domain.bulk import DAYS_OF_REPORTS, PER_PART, BulkAction, BulkOutcome


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
