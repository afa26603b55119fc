"""The ledger of what arrived at webhook triggers, and the inbox that lets every event in once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    RowMapping,
    bindparam,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Id, Sealed, Tenant, one_of, tenant_key, within
from db.rows import Before, many, newest_first, one
from domain.webhooks.verdicts import SAMPLES, Source, Verdict


class Delivery(Tenant, Base):
    """`body` (sealed), or `body_key` where the sealed bytes lie in the blob store; both go after a month."""

    __tablename__ = "deliveries"
    __table_args__ = (
        tenant_key(),
        within("trigger_id", "triggers", ondelete="CASCADE"),
        within("execution_id", "workflow_executions", ondelete="CASCADE"),
        within("replay_of", "deliveries", ondelete="CASCADE"),
        Index(None, "organization_id", "received_at", "id"),
        Index(None, "organization_id", "trigger_id", "received_at", "id"),
        Index(None, "organization_id", "execution_id"),
        Index(None, "organization_id", "replay_of"),
        Index(
            "ix_deliveries_bodies",
            "received_at",
            postgresql_where=text("body IS NOT NULL OR body_key IS NOT NULL"),
        ),
        Index(
            "ix_deliveries_refused",
            "trigger_id",
            "received_at",
            postgresql_where=text("verdict NOT IN ('accepted', 'tested')"),
        ),
        one_of("source", Source),
        one_of("verdict", Verdict),
    )

    id: Mapped[Id]
    trigger_id: Mapped[UUID]
    source: Mapped[str]
    verdict: Mapped[str]
    reason: Mapped[str | None]
    method: Mapped[str]
    content_type: Mapped[str | None]
    size: Mapped[int] = mapped_column(BigInteger())
    sha256: Mapped[str | None]
    event_id: Mapped[str | None]
    source_ip: Mapped[str | None]
    execution_id: Mapped[UUID | None]
    replay_of: Mapped[UUID | None]
    body: Mapped[Sealed | None]
    body_key: Mapped[str | None]
    #: How many refusals like this one were not written down since the one before.
    unrecorded: Mapped[int] = mapped_column(server_default="0")
    received_at: Mapped[datetime] = mapped_column(server_default=text("now()"), sort_order=90)


class InboxEntry(Tenant, Base):
    """An event accepted at a trigger, and the delivery that brought it."""

    __tablename__ = "webhook_inbox"
    __table_args__ = (
        within("trigger_id", "triggers", ondelete="CASCADE"),
        Index(None, "received_at"),
    )

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True, sort_order=-3
    )
    trigger_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-2)
    #: "id:<the provider's id>", or "sha256:<fingerprint of the request>" for as long as the trigger's window.
    key: Mapped[str] = mapped_column(primary_key=True, sort_order=-1)
    delivery_id: Mapped[UUID]
    received_at: Mapped[datetime] = mapped_column(server_default=text("now()"), sort_order=90)


@dataclass(frozen=True, slots=True)
class DeliveryFilters:
    trigger_id: UUID | None = None
    verdicts: Sequence[Verdict] = ()
    received_from: datetime | None = None
    received_to: datetime | None = None


_COLUMNS = tuple(Delivery.__table__.c)
#: What a list shows: everything but the sealed body.
_SUMMARY = tuple(column for column in _COLUMNS if column.name != "body")

_BOUND = (
    Delivery.id,
    Delivery.organization_id,
    Delivery.trigger_id,
    Delivery.source,
    Delivery.verdict,
    Delivery.reason,
    Delivery.method,
    Delivery.content_type,
    Delivery.size,
    Delivery.sha256,
    Delivery.event_id,
    Delivery.source_ip,
    Delivery.execution_id,
    Delivery.replay_of,
    Delivery.body,
    Delivery.body_key,
    Delivery.unrecorded,
    Delivery.received_at,
)
# Made once: these run with every webhook.
_ADD = insert(Delivery).values({column.key: bindparam(column.key) for column in _BOUND})
_LET_IN = text(
    """
    INSERT INTO webhook_inbox (organization_id, trigger_id, key, delivery_id, received_at)
    VALUES (:organization_id, :trigger_id, :key, :delivery_id, :now)
    ON CONFLICT (organization_id, trigger_id, key)
    DO UPDATE SET delivery_id = excluded.delivery_id, received_at = excluded.received_at
    WHERE webhook_inbox.received_at < :before
    RETURNING delivery_id
    """
)
_FIRST = text(
    """
    SELECT i.delivery_id, d.execution_id FROM webhook_inbox AS i
    LEFT JOIN deliveries AS d ON d.organization_id = i.organization_id AND d.id = i.delivery_id
    WHERE i.trigger_id = :trigger_id AND i.key = :key
    """
)
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """One row of the ledger."""

    id: UUID
    organization_id: UUID
    trigger_id: UUID
    source: Source
    verdict: Verdict
    method: str
    size: int
    received_at: datetime
    reason: str | None = None
    content_type: str | None = None
    sha256: str | None = None
    event_id: str | None = None
    source_ip: str | None = None
    execution_id: UUID | None = None
    replay_of: UUID | None = None
    body: bytes | None = field(default=None, repr=False)
    body_key: str | None = None
    unrecorded: int = 0


@dataclass(frozen=True, slots=True)
class First:
    """What an event started when it was accepted; an execution that is gone is None."""

    delivery_id: UUID
    execution_id: UUID | None


class Inbox:
    """The events accepted at the triggers of one organization."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def let_in(
        self,
        organization_id: UUID,
        trigger_id: UUID,
        key: str,
        delivery_id: UUID,
        *,
        now: datetime,
        window: timedelta | None,
    ) -> First | None:
        """None when the event is new, and this transaction the one that accepts it; else what it started.

        Waits for another transaction that is accepting the same event: it commits and is named, or it fails and
        this one takes over. With a `window`, what was accepted longer ago is forgotten.
        """
        values = {
            "organization_id": organization_id,
            "trigger_id": trigger_id,
            "key": key,
            "delivery_id": delivery_id,
            "now": now,
            "before": _LONG_AGO if window is None else now - window,
        }
        if (await self._tx.execute(_LET_IN, values)).scalar_one_or_none() is not None:
            return None
        row = (await self._tx.execute(_FIRST, {"trigger_id": trigger_id, "key": key})).one()
        return First(row.delivery_id, row.execution_id)


class Deliveries:
    """The ledger of one organization."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def add(self, new: NewDelivery) -> None:
        await self._tx.execute(_ADD, {column.key: getattr(new, column.key) for column in _BOUND})

    async def settle(self, id: UUID, **values: Any) -> None:
        """Write what became of a delivery whose body was stored beforehand."""
        await self._tx.execute(update(Delivery).where(Delivery.id == id).values(**values))

    async def get(self, id: UUID) -> RowMapping:
        """All columns, the sealed body among them; raises NotFound."""
        return one(await self._tx.execute(select(*_COLUMNS).where(Delivery.id == id)))

    async def sample(self, trigger_id: UUID) -> RowMapping | None:
        """The latest delivery of the trigger that could start something and still has its body."""
        statement = (
            select(*_COLUMNS)
            .where(
                Delivery.trigger_id == trigger_id,
                Delivery.verdict.in_(SAMPLES),
                or_(Delivery.body.is_not(None), Delivery.body_key.is_not(None)),
            )
            .order_by(Delivery.received_at.desc(), Delivery.id.desc())
            .limit(1)
        )
        return (await self._tx.execute(statement)).mappings().one_or_none()

    async def page(
        self, filters: DeliveryFilters, *, before: Before | None, limit: int
    ) -> Sequence[RowMapping]:
        """Newest first, after the row `before`, without bodies."""
        statement = newest_first(select(*_SUMMARY), Delivery.received_at, Delivery.id, before).limit(limit)
        if filters.trigger_id is not None:
            statement = statement.where(Delivery.trigger_id == filters.trigger_id)
        if filters.verdicts:
            statement = statement.where(Delivery.verdict.in_(filters.verdicts))
        if filters.received_from is not None:
            statement = statement.where(Delivery.received_at >= filters.received_from)
        if filters.received_to is not None:
            statement = statement.where(Delivery.received_at < filters.received_to)
        return await many(self._tx, statement)
