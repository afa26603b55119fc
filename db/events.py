"""Events of an organization, and which of its executions wait for which of them.

Nothing may fall between a listen that registers and an event that is recorded at the same time. Whoever records
holds the organization's lock of events together with everybody else who records; whoever registers holds it alone.
So a registration sees either the event, or the event sees the registration. Numbers are given under that lock:
a registration divides them exactly into those before it and those after.
"""

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
    Text,
    UniqueConstraint,
    func,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, Sealed, Tenant, UserRef, tenant_key, within
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


class EventSubscription(Tenant, Base):
    """A step that listens, or did: which events its execution was handed, so that none is handed twice."""

    __tablename__ = "event_subscriptions"
    __table_args__ = (
        tenant_key(),
        within("execution_id", "workflow_executions", ondelete="CASCADE"),
        UniqueConstraint("organization_id", "execution_id", "occurrence"),
        Index(
            "ix_event_subscriptions_open",
            "organization_id",
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index(
            "ix_event_subscriptions_closed_at", "closed_at", postgresql_where=text("closed_at IS NOT NULL")
        ),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID]
    occurrence: Mapped[str]
    #: The run by which a reset began this course of the execution; "" for the first one.
    course: Mapped[str]
    #: None stands for any type.
    types: Mapped[list[str] | None] = mapped_column(ARRAY(Text()))
    #: Events with higher numbers are brought by signals, until the subscription is closed …
    since: Mapped[int] = mapped_column(BigInteger())
    #: … and of the earlier ones those after `early_after` were handed up to here.
    early_after: Mapped[int] = mapped_column(BigInteger())
    early_through: Mapped[int] = mapped_column(BigInteger())
    created_at: Mapped[CreatedAt]
    closed_at: Mapped[datetime | None]
    #: The last event recorded when it was closed.
    through: Mapped[int | None] = mapped_column(BigInteger())


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


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    id: UUID
    number: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Listener:
    """A step that listens; `types` None: to any event. `course` tells apart what a reset began anew."""

    organization_id: UUID
    execution_id: UUID
    occurrence: str
    types: Sequence[str] | None
    course: str = ""


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
        await self._lock(new.organization_id, alone=False)
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
        """Record many events of one organization in their order; the ids of those that are new. See `record`."""
        if not events:
            return frozenset()
        await self._lock(organization_id, alone=False)
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

    async def reached(self, id: UUID, *, limit: int) -> Sequence[RowMapping]:
        """The executions whose steps listened to its type and were handed it: execution_id, occurrence."""
        return await many(self._connection, _REACHED.bindparams(id=id, limit=limit))

    async def register(self, listener: Listener) -> None:
        """Subscribe a step: every event recorded from now on reaches its execution. Repeating it changes nothing.

        Holds back whoever records until the transaction ends.
        """
        await self._lock(listener.organization_id, alone=True)
        await self._connection.execute(_REGISTER, _listener(listener))

    async def earlier(self, listener: Listener, *, limit: int, size: int) -> tuple[list[RecordedEvent], bool]:
        """The oldest events since the execution was created that it was not handed yet, and whether there are more.

        At most `limit` of them and about `size` bytes; what is answered counts as handed.
        """
        rows = await self._connection.execute(_EARLIER, {**_listener(listener), "limit": limit + 1})
        found = [RecordedEvent(row.id, row.number, row.content) for row in rows]
        page: list[RecordedEvent] = []
        for event in found[:limit]:
            size -= len(event.content)
            if page and size < 0:
                break
            page.append(event)
        more = len(page) < len(found)
        last = page[-1].number if more else None
        await self._connection.execute(_HANDED, {**_listener(listener), "last": last})
        if not more:
            await self._connection.execute(_FORGET_COVERED, _listener(listener))
        return page, more

    async def reopen(
        self, organization_id: UUID, execution_id: UUID, occurrences: Sequence[str], course: str
    ) -> None:
        """Listen again with steps that a reset brought back, and tell what was recorded since they had ended."""
        await self._lock(organization_id, alone=True)
        values = {
            "organization_id": organization_id,
            "execution_id": execution_id,
            "occurrences": list(occurrences),
            "course": course,
        }
        await self._connection.execute(_REOPEN, values)

    async def _lock(self, organization_id: UUID, *, alone: bool) -> None:
        """Until the transaction ends. A statement of its own: the next one sees what others committed meanwhile."""
        await self._connection.execute(_ALONE if alone else _TOGETHER, {"organization_id": organization_id})


def _listener(listener: Listener) -> dict[str, Any]:
    return {
        "organization_id": listener.organization_id,
        "execution_id": listener.execution_id,
        "occurrence": listener.occurrence,
        "course": listener.course,
        "types": None if listener.types is None else list(listener.types),
    }


_KEY = "hashtextextended('events ' || CAST(:organization_id AS uuid), 0)"
_TOGETHER = text(f"SELECT pg_advisory_xact_lock_shared({_KEY})")
_ALONE = text(f"SELECT pg_advisory_xact_lock({_KEY})")

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

_LAST = "(SELECT coalesce(max(number), 0) FROM events WHERE organization_id = :organization_id)"

#: Up to here a subscription says that everything was handed.
_WHOLLY_THROUGH = """
    CASE WHEN s.early_through < s.since THEN s.early_through ELSE coalesce(s.through, s.since) END
"""

#: A repeated registration keeps what the first one found: since then events came by signals. What a course that a
#: reset gave up was handed says nothing about another one.
_REGISTER = text(
    f"""
    INSERT INTO event_subscriptions
        (organization_id, execution_id, occurrence, course, types, since, early_after, early_through)
    SELECT :organization_id, :execution_id, :occurrence, :course, CAST(:types AS text[]), {_LAST}, handed, handed
    FROM (SELECT coalesce(max({_WHOLLY_THROUGH}), 0) AS handed FROM event_subscriptions s
          WHERE s.organization_id = :organization_id AND s.execution_id = :execution_id
            AND s.occurrence <> :occurrence AND s.course = :course
            AND (s.types IS NULL OR s.types @> CAST(:types AS text[]))) AS before
    ON CONFLICT (organization_id, execution_id, occurrence) DO UPDATE
    SET closed_at = NULL, through = NULL, course = excluded.course, types = excluded.types,
        (since, early_after, early_through) = (
            SELECT CASE WHEN again THEN event_subscriptions.since ELSE excluded.since END,
                CASE WHEN again THEN event_subscriptions.early_after ELSE excluded.early_after END,
                CASE WHEN again THEN event_subscriptions.early_after ELSE excluded.early_after END
            FROM (SELECT event_subscriptions.course = excluded.course AS again) AS repeated)
    """  # noqa: S608
)

#: Signals of the course that was given up are repeated by Temporal itself.
_REOPEN = text(
    """
    WITH ended AS (
        SELECT id, through FROM event_subscriptions
        WHERE organization_id = :organization_id AND execution_id = :execution_id
          AND occurrence = ANY (CAST(:occurrences AS text[])) AND closed_at IS NOT NULL
        FOR UPDATE
    ),
    reopened AS (
        UPDATE event_subscriptions s SET closed_at = NULL, through = NULL, course = :course
        FROM ended WHERE s.id = ended.id
        RETURNING s.types, ended.through
    )
    INSERT INTO outbox (organization_id, execution_id, kind, workflow_id, payload, leased_until)
    SELECT DISTINCT x.organization_id, x.id, 'signal', x.temporal_workflow_id,
           jsonb_build_object('signal', 'event', 'event', jsonb_build_object('id', e.id, 'number', e.number)), now()
    FROM reopened
    JOIN events e ON e.organization_id = :organization_id AND e.number > reopened.through
      AND (reopened.types IS NULL OR e.type = ANY (reopened.types))
    JOIN workflow_executions x ON x.organization_id = :organization_id AND x.id = :execution_id
    """
)

_UNHANDED = """
    e.organization_id = :organization_id AND e.created_at >= x.created_at
    AND e.number > own.early_through AND e.number <= own.since
    AND (own.types IS NULL OR e.type = ANY (own.types))
    AND NOT EXISTS (
        SELECT 1 FROM event_subscriptions s
        WHERE s.organization_id = :organization_id AND s.execution_id = :execution_id
          AND s.occurrence <> :occurrence AND s.course = own.course
          AND (s.types IS NULL OR e.type = ANY (s.types))
          AND (e.number <= s.early_through
               OR e.number > s.since AND (s.closed_at IS NULL OR e.number <= s.through)))
"""
_EARLIER = text(
    f"""
    SELECT e.id, e.number, e.content
    FROM event_subscriptions own
    JOIN workflow_executions x ON x.organization_id = own.organization_id AND x.id = own.execution_id
    CROSS JOIN events e
    WHERE own.organization_id = :organization_id AND own.execution_id = :execution_id
      AND own.occurrence = :occurrence AND {_UNHANDED}
    ORDER BY e.number LIMIT :limit
    """  # noqa: S608
)

_REACHED = text(
    """
    SELECT DISTINCT s.execution_id, s.occurrence
    FROM events e
    JOIN event_subscriptions s ON s.organization_id = e.organization_id
      AND (s.types IS NULL OR e.type = ANY (s.types))
      AND (e.number > s.since AND (s.closed_at IS NULL OR e.number <= s.through)
           OR e.number > s.early_after AND e.number <= s.early_through)
    JOIN workflow_executions x ON x.organization_id = s.organization_id AND x.id = s.execution_id
      AND x.created_at <= e.created_at
    WHERE e.id = :id
    ORDER BY s.execution_id, s.occurrence LIMIT :limit
    """
)

#: `last` None: everything before the registration was handed.
_HANDED = text(
    """
    UPDATE event_subscriptions SET early_through = coalesce(CAST(:last AS bigint), since)
    WHERE organization_id = :organization_id AND execution_id = :execution_id AND occurrence = :occurrence
    """
)

#: Subscriptions that were closed before and whose types this one has too: it says everything they say.
_FORGET_COVERED = text(
    """
    DELETE FROM event_subscriptions
    WHERE organization_id = :organization_id AND execution_id = :execution_id AND occurrence <> :occurrence
      AND course = :course AND closed_at IS NOT NULL
      AND (CAST(:types AS text[]) IS NULL OR types <@ CAST(:types AS text[]))
    """
)
