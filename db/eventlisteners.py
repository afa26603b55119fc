"""Steps that listen to events: what each was handed, and what is handed to it when it registers.

Events that are recorded later come by signals (`db.events`); `db.eventlock` says why none falls between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, RowMapping, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, Tenant, tenant_key, within
from db.eventlock import lock_events
from db.rows import many


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


class Listeners:
    """Steps of the current organization that listen."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def register(self, listener: Listener) -> None:
        """Subscribe a step: every event recorded from now on reaches its execution. Repeating it changes nothing.

        Holds back whoever records until the transaction ends.
        """
        await lock_events(self._connection, listener.organization_id, alone=True)
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
        await lock_events(self._connection, organization_id, alone=True)
        values = {
            "organization_id": organization_id,
            "execution_id": execution_id,
            "occurrences": list(occurrences),
            "course": course,
        }
        await self._connection.execute(_REOPEN, values)

    async def reached(self, id: UUID, *, limit: int) -> Sequence[RowMapping]:
        """The executions whose steps listened to its type and were handed it: execution_id, occurrence."""
        return await many(self._connection, _REACHED.bindparams(id=id, limit=limit))


def _listener(listener: Listener) -> dict[str, Any]:
    return {
        "organization_id": listener.organization_id,
        "execution_id": listener.execution_id,
        "occurrence": listener.occurrence,
        "course": listener.course,
        "types": None if listener.types is None else list(listener.types),
    }


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
