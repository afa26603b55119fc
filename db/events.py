"""Events of an organization: recorded once, and told at once to whoever listens (`db.eventlisteners`)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Identity,
    Index,
    RowMapping,
    UniqueConstraint,
    func,
    select,
    text,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, Sealed, Tenant, UserRef, tenant_key, within
from db.eventlock import lock_events
from db.rows import Before, many, one


class Event(Tenant, Base):
    """A CloudEvent that reached the organization; known by its source and id it is recorded once."""

    __tablename__ = "events"
    __table_args__ = (
        tenant_key(),
        within("execution_id", "workflow_executions", ondelete="CASCADE"),
        UniqueConstraint("organization_id", "source", "event_id"),
        Index(None, "organization_id", "number"),
        Index(None, "organization_id", "type", "number"),
        Index(None, "organization_id", "execution_id"),
        Index("ix_events_created_at", "created_at"),
    )

    id: Mapped[Id]
    #: In the order in which they were recorded.
    number: Mapped[int] = mapped_column(BigInteger(), Identity())
    source: Mapped[str]
    event_id: Mapped[str]
    type: Mapped[str]
    #: The execution that emitted it.
    execution_id: Mapped[UUID | None]
    #: The person who sent it over the API; None of what was emitted, or happened here.
    sent_by: Mapped[UserRef | None]
    #: The whole CloudEvent as JSON.
    content: Mapped[Sealed]
    created_at: Mapped[CreatedAt]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be recorded; `content` is sealed for `events.content/<id>`."""

    id: UUID
    organization_id: UUID
    execution_id: UUID | None
    source: str
    event_id: str
    type: str
    content: bytes
    sent_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class EventFilters:
    type: str | None = None
    source: str | None = None
    recorded_from: datetime | None = None
    recorded_to: datetime | None = None


#: What a list shows: everything but the sealed content.
_SUMMARY = tuple(column for column in Event.__table__.c if column.name not in ("content", "organization_id"))


class Events:
    """What was recorded for the current organization."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def record(self, new: NewEvent) -> bool:
        """Record an event that nobody sent, put the word to every execution that listens to its type into the outbox,
        and note which triggers it may be meant for: the router looks at those.

        False when the organization has an event of this source and id already: nothing happens then.
        """
        await lock_events(self._connection, new.organization_id, alone=False)
        values = {
            "id": new.id,
            "organization_id": new.organization_id,
            "execution_id": new.execution_id,
            "source": new.source,
            "event_id": new.event_id,
            "type": new.type,
            "content": new.content,
            "event": str(new.id),
        }
        return await self._connection.scalar(_RECORD, values) is not None

    async def record_all(self, organization_id: UUID, events: Sequence[NewEvent]) -> frozenset[UUID]:
        """Record many events of one organization in their order; the ids of those that are new. See `record`.

        Apart from it, because one event alone is recorded in half the time by a statement of its own.
        """
        if not events:
            return frozenset()
        await lock_events(self._connection, organization_id, alone=False)
        values: dict[str, Any] = {
            name: [getattr(event, name) for event in events]
            for name in ("id", "source", "event_id", "type", "execution_id", "sent_by", "content")
        }
        values["organization_id"] = organization_id
        return frozenset(row.id for row in await self._connection.execute(_RECORD_ALL, values))

    async def find(self, organization_id: UUID, id: UUID) -> bytes | None:
        """The sealed content; None when the event was forgotten meanwhile."""
        statement = select(Event.content).where(Event.organization_id == organization_id, Event.id == id)
        content: bytes | None = await self._connection.scalar(statement)
        return content

    async def of(self, source: str, event_id: str) -> tuple[UUID, bytes] | None:
        """Id and sealed content of the event with this source and id."""
        statement = select(Event.id, Event.content).where(Event.source == source, Event.event_id == event_id)
        row = (await self._connection.execute(statement)).one_or_none()
        return None if row is None else (row.id, row.content)

    async def get(self, id: UUID) -> RowMapping:
        """All columns, the sealed content among them; raises NotFound."""
        return one(await self._connection.execute(select(*Event.__table__.c).where(Event.id == id)))

    async def known(self, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], tuple[UUID, bytes]]:
        """Id and sealed content of the events with these sources and ids."""
        statement = select(Event.source, Event.event_id, Event.id, Event.content)
        rows = await self._connection.execute(
            statement.where(tuple_(Event.source, Event.event_id).in_(list(pairs)))
        )
        return {(row.source, row.event_id): (row.id, row.content) for row in rows}

    async def page(self, filters: EventFilters, *, before: Before | None, limit: int) -> Sequence[RowMapping]:
        """The latest first, after the event `before`, without contents."""
        statement = select(*_SUMMARY).order_by(Event.number.desc()).limit(limit)
        if before is not None:
            # One that was forgotten since was older than everything that is left.
            last = select(Event.number).where(Event.id == before[1]).scalar_subquery()
            statement = statement.where(Event.number < func.coalesce(last, 0))
        for column, wanted in ((Event.type, filters.type), (Event.source, filters.source)):
            if wanted is not None:
                statement = statement.where(column == wanted)
        if filters.recorded_from is not None:
            statement = statement.where(Event.created_at >= filters.recorded_from)
        if filters.recorded_to is not None:
            statement = statement.where(Event.created_at < filters.recorded_to)
        return await many(self._connection, statement)


# One statement: whoever closes a subscription meanwhile has either seen this event's number, or is seen here.
_RECORD = text(
    """
    WITH recorded AS (
        INSERT INTO events (id, organization_id, execution_id, source, event_id, type, content)
        VALUES (:id, :organization_id, :execution_id, :source, :event_id, :type, :content)
        ON CONFLICT (organization_id, source, event_id) DO NOTHING
        RETURNING number
    ),
    told AS (
        INSERT INTO outbox (organization_id, execution_id, kind, workflow_id, payload, leased_until)
        SELECT DISTINCT e.organization_id, e.id, 'signal', e.temporal_workflow_id,
               jsonb_build_object('signal', 'event', 'event',
                   jsonb_build_object('id', CAST(:event AS text), 'number', recorded.number)), now()
        FROM recorded
        CROSS JOIN event_subscriptions s
        JOIN workflow_executions e ON e.organization_id = s.organization_id AND e.id = s.execution_id
        WHERE s.organization_id = :organization_id AND s.closed_at IS NULL AND e.completed_at IS NULL
          AND (s.types IS NULL OR CAST(:type AS text) = ANY (s.types))
    ),
    meant AS (
        INSERT INTO event_routings (organization_id, event_id, trigger_id, number)
        SELECT t.organization_id, :id, t.id, recorded.number
        FROM recorded CROSS JOIN triggers t
        WHERE t.organization_id = :organization_id AND t.type = 'event' AND t.is_active
          AND (t.event_types IS NULL OR CAST(:type AS text) = ANY (t.event_types))
    )
    SELECT number FROM recorded
    """
)

_RECORD_ALL = text(
    """
    WITH recorded AS (
        INSERT INTO events (id, organization_id, execution_id, sent_by, source, event_id, type, content)
        SELECT id, :organization_id, execution_id, sent_by, source, event_id, type, content
        FROM unnest(CAST(:id AS uuid[]), CAST(:execution_id AS uuid[]), CAST(:sent_by AS uuid[]),
            CAST(:source AS text[]), CAST(:event_id AS text[]), CAST(:type AS text[]), CAST(:content AS bytea[]))
            WITH ORDINALITY AS given(id, execution_id, sent_by, source, event_id, type, content, position)
        ORDER BY position
        ON CONFLICT (organization_id, source, event_id) DO NOTHING
        RETURNING id, number, type
    ),
    told AS (
        INSERT INTO outbox (organization_id, execution_id, kind, workflow_id, payload, leased_until)
        SELECT e.organization_id, e.id, 'signal', e.temporal_workflow_id,
               jsonb_build_object('signal', 'event', 'event',
                   jsonb_build_object('id', recorded.id, 'number', recorded.number)), now()
        FROM recorded
        CROSS JOIN LATERAL (
            SELECT DISTINCT s.organization_id, s.execution_id FROM event_subscriptions s
            WHERE s.organization_id = :organization_id AND s.closed_at IS NULL
              AND (s.types IS NULL OR recorded.type = ANY (s.types))) AS s
        JOIN workflow_executions e ON e.organization_id = s.organization_id AND e.id = s.execution_id
        WHERE e.completed_at IS NULL
        ORDER BY recorded.number
    ),
    meant AS (
        INSERT INTO event_routings (organization_id, event_id, trigger_id, number)
        SELECT t.organization_id, recorded.id, t.id, recorded.number
        FROM recorded
        JOIN triggers t ON t.organization_id = :organization_id AND t.type = 'event' AND t.is_active
          AND (t.event_types IS NULL OR recorded.type = ANY (t.event_types))
        ORDER BY recorded.number
    )
    SELECT id FROM recorded
    """
)
