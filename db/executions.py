"""The mirror: what every execution and each of its steps is doing."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from db.base import (
    Base,
    CreatedAt,
    Id,
    JsonList,
    JsonObject,
    JsonValue,
    Tenant,
    UpdatedAt,
    UserRef,
    one_of,
    tenant_key,
    within,
)
from domain.executions import ExecutionStatus, StepStatus


class WorkflowExecution(Tenant, Base):
    __tablename__ = "workflow_executions"
    __table_args__ = (
        tenant_key(),
        within("workflow_id", "workflows"),
        within("workflow_version_id", "workflow_versions"),
        Index(
            "uq_workflow_executions_trigger_key",
            "organization_id",
            "trigger_key",
            unique=True,
            postgresql_where=text("trigger_key IS NOT NULL"),
        ),
        Index(None, "organization_id", "created_at", "id"),
        Index(None, "organization_id", "workflow_id", "created_at", "id"),
        Index(None, "organization_id", "status", "created_at", "id"),
        Index(None, "organization_id", "workflow_version_id"),
        Index(
            "ix_workflow_executions_open",
            "updated_at",
            postgresql_where=text(
                "status IN ('queued', 'running', 'waiting', 'paused')"
            ),
        ),
        one_of("status", ExecutionStatus),
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
        CheckConstraint("cardinality(mirror_version) = 3", name="mirror_version"),
    )

    id: Mapped[Id]
    workflow_id: Mapped[UUID]
    workflow_version_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(server_default="workflow")
    trigger_event: Mapped[str]
    trigger_data: Mapped[JsonObject]
    #: Unique within the organization: the same delivery or Idempotency-Key starts one execution.
    trigger_key: Mapped[str | None]
    execution_context: Mapped[JsonObject]
    temporal_workflow_id: Mapped[str]
    temporal_run_id: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=ExecutionStatus.QUEUED)
    progress: Mapped[int] = mapped_column(server_default="0")
    current_step: Mapped[int] = mapped_column(server_default="0")
    current_pointer: Mapped[str | None]
    #: (run start, history length, n), compared left to right: an older report never overwrites a newer one.
    mirror_version: Mapped[list[int]] = mapped_column(
        ARRAY(BigInteger()), server_default="{0,0,0}"
    )
    waiting_on: Mapped[JsonValue]
    output: Mapped[JsonValue]
    error: Mapped[JsonValue]
    error_message: Mapped[str | None]
    execution_log: Mapped[JsonList]
    started_by: Mapped[UserRef | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class ExecutionStep(Tenant, Base):
    """One occurrence of a step: an entry into a node of the definition."""

    __tablename__ = "execution_steps"
    __table_args__ = (
        within("execution_id", "workflow_executions", ondelete="CASCADE"),
        Index(None, "organization_id", "execution_id", "position"),
        one_of("status", StepStatus),
    )

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"),
        primary_key=True,
        sort_order=-3,
    )
    execution_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-2)
    #: "/do/0/getPet#1"
    occurrence: Mapped[str] = mapped_column(primary_key=True, sort_order=-1)
    pointer: Mapped[str]
    name: Mapped[str]
    kind: Mapped[str]
    action: Mapped[str | None]
    visit: Mapped[int]
    position: Mapped[int] = mapped_column(BigInteger())
    attempt: Mapped[int] = mapped_column(server_default="1")
    status: Mapped[str]
    input: Mapped[JsonValue]
    output: Mapped[JsonValue]
    error: Mapped[JsonValue]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
