"""Effects: the ledger of what steps did to the outside world, one row per effect key."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, func, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
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


@dataclass(frozen=True, slots=True)
class Begun:
    """What the ledger knows of an effect at the moment it is about to happen (again)."""

    status: EffectStatus
    attempts: int
    result: Any
    error: dict[str, Any] | None
    same_request: bool


class Effects:
    """The ledger in which every outside effect is written down before it happens, and again after."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def begin(
        self,
        organization_id: UUID,
        key: str,
        *,
        execution_id: UUID,
        occurrence: str,
        action: str,
        effect: EffectClass,
        request_sha256: str,
    ) -> Begun:
        """Write the attempt down; of a repeated one, answer what became of the earlier."""
        statement = insert(Effect).values(
            organization_id=organization_id,
            key=key,
            execution_id=execution_id,
            occurrence=occurrence,
            action=action,
            effect=effect,
            request_sha256=request_sha256,
        )
        statement = statement.on_conflict_do_update(
            index_elements=[Effect.organization_id, Effect.key], set_={"attempts": Effect.attempts + 1}
        )
        returning = statement.returning(
            Effect.status, Effect.attempts, Effect.result, Effect.error, Effect.request_sha256
        )
        row = (await self._connection.execute(returning)).one()
        return Begun(
            EffectStatus(row.status),
            row.attempts,
            row.result,
            row.error,
            row.request_sha256 == request_sha256,
        )

    async def end(
        self, key: str, status: EffectStatus, *, result: Any = None, error: dict[str, Any] | None = None
    ) -> None:
        await self._connection.execute(
            update(Effect)
            .where(Effect.key == key)
            .values(status=status, result=result, error=error, completed_at=func.now())
        )
