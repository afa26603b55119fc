"""The outbox, what must reach Temporal after its commit; and the answers kept per Idempotency-Key."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, RowMapping, func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
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
    #: Not before this moment; moved on after a failed attempt.
    available_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    #: Until then one process may be carrying this row to Temporal: first the API, which does so right after its
    #: commit, later whoever claimed the row. Nobody else touches it.
    leased_until: Mapped[datetime] = mapped_column(server_default=text("now() + interval '2 seconds'"))
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


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """Something Temporal must hear once the transaction that wrote it has committed."""

    id: UUID
    organization_id: UUID
    execution_id: UUID
    kind: OutboxKind
    workflow_id: str
    payload: dict[str, Any]


class Outbox:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, entry: OutboxEntry) -> None:
        await self._connection.execute(
            insert(OutboxRow).values(
                id=entry.id,
                organization_id=entry.organization_id,
                execution_id=entry.execution_id,
                kind=entry.kind,
                workflow_id=entry.workflow_id,
                payload=entry.payload,
            )
        )

    async def dispatched(self, ids: Sequence[UUID]) -> None:
        """Temporal has them; they are never sent again."""
        await self._connection.execute(
            update(OutboxRow)
            .where(OutboxRow.id.in_(ids), OutboxRow.dispatched_at.is_(None))
            .values(dispatched_at=func.now(), last_error=None)
        )

    async def claim(self, *, limit: int, lease: timedelta) -> list[OutboxEntry]:
        """Lease the oldest entries nobody else is carrying, in their order; a start before what follows it."""
        rows = await self._connection.execute(_CLAIM, {"limit": limit, "lease": lease})
        return [_entry(row) for row in rows.mappings()]

    async def failed(self, entry_id: UUID, error: str, retry_in: timedelta) -> None:
        """Give the lease back; the entry is tried again after `retry_in`."""
        await self._connection.execute(
            update(OutboxRow)
            .where(OutboxRow.id == entry_id, OutboxRow.dispatched_at.is_(None))
            .values(
                last_error=error[:500],
                available_at=func.now() + retry_in,
                leased_until=func.now(),
            )
        )


#: A signal or cancellation waits until the start of its execution has left. Events of one transaction are in the
#: order of their numbers.
_CLAIM = text(
    """
    WITH claimed AS (
    UPDATE outbox SET leased_until = now() + :lease, attempts = attempts + 1
    WHERE id IN (
        SELECT o.id FROM outbox o
        WHERE o.dispatched_at IS NULL AND o.available_at <= now() AND o.leased_until <= now()
          AND (o.kind = 'start' OR NOT EXISTS (
              SELECT 1 FROM outbox s
              WHERE s.execution_id = o.execution_id AND s.kind = 'start' AND s.dispatched_at IS NULL))
        ORDER BY o.available_at, CAST(o.payload #>> '{event,number}' AS bigint) NULLS FIRST
        LIMIT :limit
        FOR UPDATE OF o SKIP LOCKED
    )
    RETURNING id, organization_id, execution_id, kind, workflow_id, payload, available_at
    )
    SELECT * FROM claimed
    ORDER BY available_at, CAST(payload #>> '{event,number}' AS bigint) NULLS FIRST
    """
)


def _entry(row: RowMapping) -> OutboxEntry:
    return OutboxEntry(
        id=row["id"],
        organization_id=row["organization_id"],
        execution_id=row["execution_id"],
        kind=OutboxKind(row["kind"]),
        workflow_id=row["workflow_id"],
        payload=row["payload"],
    )
