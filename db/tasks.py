"""Tasks: work an execution has for a person."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.base import (
    Base,
    CreatedAt,
    Id,
    JsonValue,
    Tenant,
    UpdatedAt,
    UserRef,
    Words,
    one_of,
    tenant_key,
    within,
)
from domain.executions import TaskOutcome, TaskStatus


class Task(Tenant, Base):
    __tablename__ = "tasks"
    __table_args__ = (
        tenant_key(),
        within("execution_id", "workflow_executions", ondelete="CASCADE"),
        UniqueConstraint("organization_id", "execution_id", "occurrence"),
        Index(None, "organization_id", "status", "created_at", "id"),
        one_of("status", TaskStatus),
        one_of("outcome", TaskOutcome),
        CheckConstraint(
            "(status = 'decided') = (outcome IS NOT NULL)", name="outcome_when_decided"
        ),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID | None]
    occurrence: Mapped[str]
    kind: Mapped[str]
    title: Mapped[str]
    description: Mapped[str | None]
    #: JSON Schema of what the person fills in.
    form: Mapped[JsonValue]
    #: "user:<email>" or "role:<name>"; empty means anybody with the permission.
    assignees: Mapped[Words]
    status: Mapped[str] = mapped_column(server_default=TaskStatus.OPEN)
    outcome: Mapped[str | None]
    decision: Mapped[JsonValue]
    decided_by: Mapped[UserRef | None]
    decided_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
