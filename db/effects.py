"""Effects: the ledger of what steps did to the outside world, one row per effect key."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, JsonValue, Tenant, one_of, within
from domain.actions import Effect as EffectClass
from domain.executions import EffectStatus


class Effect(Tenant, Base):
    __tablename__ = "effects"
    __table_args__ = (
        within("execution_id", "workflow_executions", ondelete="CASCADE"),
        Index(None, "organization_id", "execution_id"),
        one_of("effect", EffectClass),
        one_of("status", EffectStatus),
    )

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"),
        primary_key=True,
        sort_order=-2,
    )
    key: Mapped[str] = mapped_column(primary_key=True, sort_order=-1)
    execution_id: Mapped[UUID]
    occurrence: Mapped[str]
    action: Mapped[str]
    effect: Mapped[str]
    request_sha256: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=EffectStatus.STARTED)
    result: Mapped[JsonValue]
    error: Mapped[JsonValue]
    attempts: Mapped[int] = mapped_column(server_default="1")
    started_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    completed_at: Mapped[datetime | None]
