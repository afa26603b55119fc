"""The outbox: what must reach Temporal once its transaction has committed; and answers kept per Idempotency-Key."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import (
    Base,
    CreatedAt,
    Id,
    JsonObject,
    JsonValue,
    Tenant,
    one_of,
    tenant_key,
    within,
)
from domain.executions import OutboxKind


class OutboxRow(Tenant, Base):
    __tablename__ = "outbox"
    __table_args__ = (
        tenant_key(),
        within("execution_id", "workflow_executions", ondelete="CASCADE"),
        Index(None, "organization_id", "execution_id"),
        Index(
            "ix_outbox_pending",
            "available_at",
            postgresql_where=text("dispatched_at IS NULL"),
        ),
        one_of("kind", OutboxKind),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID]
    kind: Mapped[str]
    #: Temporal's workflow id.
    workflow_id: Mapped[str]
    payload: Mapped[JsonObject]
    #: Two seconds of grace for the API, which dispatches right after its commit.
    available_at: Mapped[datetime] = mapped_column(
        server_default=text("now() + interval '2 seconds'")
    )
    attempts: Mapped[int] = mapped_column(server_default="0")
    last_error: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    dispatched_at: Mapped[datetime | None]


class IdempotencyKey(Tenant, Base):
    """A request already answered, or (no status yet) being answered."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "expires_at"),)

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"),
        primary_key=True,
        sort_order=-3,
    )
    #: Actor, method and route.
    scope: Mapped[str] = mapped_column(primary_key=True, sort_order=-2)
    key: Mapped[str] = mapped_column(primary_key=True, sort_order=-1)
    request_sha256: Mapped[str]
    response_status: Mapped[int | None]
    response_body: Mapped[JsonValue]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
