"""Which events are meant for which triggers: what the router still has to look at, and what became of the rest.

Whoever records an event writes, in the same statement, one row for each active event trigger of its type. The router
claims such rows, holds the event against the trigger's filters outside of any transaction, and settles each row
together with the execution that it starts. `execution_outcomes` are the ends of executions that somebody wants to hear
of; the router makes events of them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    RowMapping,
    TextClause,
    UniqueConstraint,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, JsonObject, Tenant, one_of, tenant_key, within
from db.engine import to_json
from domain.routing import SOURCE_OF_EXECUTIONS


class RoutingVerdict(StrEnum):
    PENDING = "pending"
    STARTED = "started"
    #: Waits for the others of its set.
    HELD = "held"
    FILTERED = "filtered"
    LATE = "late"
    #: Meant, but the workflow could not be started.
    REFUSED = "refused"
    #: The filters gave no answer.
    FAILED = "failed"


#: Active event triggers of an organization that may take events of one type: each event is noted for all of them.
MOST_TRIGGERS: Final = 100
#: What is looked at once more when somebody asks for it.
REPEATABLE: Final = (
    RoutingVerdict.FILTERED,
    RoutingVerdict.LATE,
    RoutingVerdict.REFUSED,
    RoutingVerdict.FAILED,
)


class EventRouting(Tenant, Base):
    """What became of an event at a trigger it may be meant for; each pair is looked at once."""

    __tablename__ = "event_routings"
    __table_args__ = (
        tenant_key(),
        within("event_id", "events", ondelete="CASCADE"),
        within("trigger_id", "triggers", ondelete="CASCADE"),
        within("execution_id", "workflow_executions", ondelete="SET NULL (execution_id)"),
        UniqueConstraint("organization_id", "event_id", "trigger_id"),
        Index(None, "organization_id", "trigger_id"),
        Index(None, "organization_id", "execution_id"),
        Index(
            "ix_event_routings_pending",
            "organization_id",
            "leased_until",
            "number",
            postgresql_where=text("verdict = 'pending'"),
        ),
        Index(
            "ix_event_routings_wrong",
            "organization_id",
            "trigger_id",
            "number",
            postgresql_where=text("verdict IN ('failed', 'refused')"),
        ),
        Index(
            "ix_event_routings_held",
            "organization_id",
            "trigger_id",
            "correlation",
            "filter",
            "number",
            postgresql_where=text("verdict = 'held'"),
        ),
        one_of("verdict", RoutingVerdict),
        CheckConstraint("verdict <> 'held' OR (filter IS NOT NULL AND correlation IS NOT NULL)", name="held"),
    )

    id: Mapped[Id]
    event_id: Mapped[UUID]
    trigger_id: Mapped[UUID]
    #: That of the event.
    number: Mapped[int] = mapped_column(BigInteger())
    verdict: Mapped[str] = mapped_column(server_default=RoutingVerdict.PENDING)
    reason: Mapped[str | None]
    #: Which filter of a set the event counts for, and the hash of what the set correlates by.
    filter: Mapped[int | None]
    correlation: Mapped[str | None]
    #: What it started; None too once that was forgotten.
    execution_id: Mapped[UUID | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    leased_until: Mapped[datetime] = mapped_column(server_default=text("now()"))
    created_at: Mapped[CreatedAt]
    decided_at: Mapped[datetime | None]


class ExecutionOutcome(Tenant, Base):
    """The end of an execution, as it was in the transaction that closed it; gone once it is an event."""

    __tablename__ = "execution_outcomes"
    __table_args__ = (
        tenant_key(),
        within("execution_id", "workflow_executions", ondelete="CASCADE"),
        Index(None, "organization_id", "execution_id"),
        Index(None, "organization_id", "leased_until"),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID]
    type: Mapped[str]
    told: Mapped[JsonObject]
    attempts: Mapped[int] = mapped_column(server_default="0")
    leased_until: Mapped[datetime] = mapped_column(server_default=text("now()"))
    created_at: Mapped[CreatedAt]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row that this process alone works on for a while; `attempts` counts this one."""

    id: UUID
    organization_id: UUID
    attempts: int


@dataclass(frozen=True, slots=True)
class Pending:
    """An event at a trigger: everything that routing has to know of both."""

    id: UUID
    organization_id: UUID
    event_id: UUID
    recorded_at: datetime
    #: The person who sent it over the API.
    sent_by: UUID | None
    trigger_id: UUID
    name: str
    workflow_id: UUID
    configuration: Mapping[str, Any]
    #: Published anew without it, or switched off, since the event came.
    is_active: bool
    #: False for an organization that was deactivated.
    may_start: bool
    #: How many executions started each other by events before this one.
    hops: int
    #: The event tells the end of an execution that this very trigger started.
    is_own_end: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an execution that somebody wants to hear of."""

    id: UUID
    organization_id: UUID
    execution_id: UUID
    type: str
    told: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """One event of a set."""

    id: UUID
    event_id: UUID
    filter: int
    number: int
    sent_by: UUID | None


@dataclass(frozen=True, slots=True)
class Crowded:
    """More triggers than `MOST_TRIGGERS` for one type of events; `type` is None where all of them take any."""

    #: The name of one that the workflow has.
    trigger: str
    type: str | None
    triggers: int


class RoutingQueue:
    """What waits in all organizations; runs as app_system."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def claim(self, *, limit: int, lease: timedelta) -> list[Claimed]:
        """Lease pending routings that nobody else works on, the organizations in turn, each one's oldest first.

        From the fifth attempt on each one doubles the lease, up to 256 times.
        """
        return _claimed(await self._tx.execute(_CLAIM_ROUTINGS, {"limit": limit, "lease": lease}))

    async def claim_outcomes(self, *, limit: int, lease: timedelta) -> list[Claimed]:
        """The same of ends of executions."""
        return _claimed(await self._tx.execute(_CLAIM_OUTCOMES, {"limit": limit, "lease": lease}))


class Routings:
    """What became of the events of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def pending(self, id: UUID) -> Pending | None:
        """None when it was settled meanwhile, or is gone."""
        values = {"id": id, "source_of_executions": SOURCE_OF_EXECUTIONS}
        row = (await self._tx.execute(_PENDING, values)).mappings().one_or_none()
        return None if row is None else Pending(**row)

    async def lock(self, id: UUID, configuration: Mapping[str, Any]) -> bool:
        """Hold a pending row until the transaction ends; False when it is settled, or its trigger was changed."""
        values = {"id": id, "configuration": to_json(configuration)}
        return await self._tx.scalar(_LOCK, values) is not None

    async def settle(
        self,
        ids: Collection[UUID],
        verdict: RoutingVerdict,
        *,
        reason: str | None = None,
        execution_id: UUID | None = None,
    ) -> None:
        """Write what became of them."""
        values = {"ids": list(ids), "verdict": verdict, "reason": reason, "execution_id": execution_id}
        await self._tx.execute(_SETTLE, values)

    async def set_of(self, trigger_id: UUID, correlation: str, filters: int) -> list[Held]:
        """What waits for the rest of a set of so many, the oldest for each of its filters; nobody else works on the
        trigger's sets meanwhile."""
        await self._tx.execute(_SET_LOCK, {"trigger_id": trigger_id})
        values = {"trigger_id": trigger_id, "correlation": correlation, "filters": filters}
        rows = await self._tx.execute(_SET, values)
        return [Held(*row) for row in rows]

    async def hold(self, id: UUID, filter: int, correlation: str) -> None:
        await self._tx.execute(_HOLD, {"id": id, "filter": filter, "correlation": correlation})

    async def of_events(self, event_ids: Collection[UUID], *, most: int) -> Sequence[RowMapping]:
        """What became of each of these events, with the names of triggers and workflows: at most so many of each, those
        that no filter sent away before the others. `routings_count` says of each how many the event has."""
        values = {"event_ids": list(event_ids), "most": most}
        return list((await self._tx.execute(_OF_EVENTS, values)).mappings())

    async def crowded(self, organization_id: UUID, workflow_id: UUID) -> Crowded | None:
        """The type of events that too many active triggers may take, one of this workflow among them.

        Whoever asks is the only one to do so in the organization until the transaction ends: of two that publish at the
        same time the second one sees the triggers of the first.
        """
        await self._tx.execute(_CROWD_LOCK, {"organization_id": organization_id})
        values = {"organization_id": organization_id, "workflow_id": workflow_id, "most": MOST_TRIGGERS}
        row = (await self._tx.execute(_CROWDED, values)).one_or_none()
        return None if row is None else Crowded(row.trigger, row.type, row.triggers)

    async def latest_failures(self, trigger_ids: Collection[UUID]) -> dict[UUID, RowMapping]:
        """What last went wrong at each trigger since it was published: reason, event_id, decided_at."""
        rows = await self._tx.execute(_FAILURES, {"ids": list(trigger_ids)})
        return {row["trigger_id"]: row for row in rows.mappings()}

    async def repeat(self, event_id: UUID) -> int:
        """Have the event looked at once more by every active trigger of its type that it did not start; how many."""
        return int((await self._tx.execute(_REPEAT, {"event_id": event_id})).rowcount)

    async def reconsider(self, trigger_id: UUID) -> None:
        """What was held for the filters that the trigger had is judged by those that it has now."""
        await self._tx.execute(_RECONSIDER, {"trigger_id": trigger_id})

    async def outcome(self, id: UUID) -> Outcome | None:
        """Take an end of an execution out of the queue; None when somebody else did."""
        row = (await self._tx.execute(_OUTCOME, {"id": id})).mappings().one_or_none()
        return None if row is None else Outcome(**row)


def _claimed(rows: Any) -> list[Claimed]:
    return [Claimed(row.id, row.organization_id, row.attempts) for row in rows]


#: From organization to organization over the index, so that one's flood holds up the others for no longer than a
#: batch. Who fails again and again is leased for longer each time: what is away for hours comes back to them.
_CLAIM = """
    WITH RECURSIVE waiting(organization_id) AS (
        (SELECT organization_id FROM QUEUE WHERE WAITS ORDER BY organization_id LIMIT 1)
        UNION ALL
        SELECT (SELECT q.organization_id FROM QUEUE q WHERE WAITS AND q.organization_id > waiting.organization_id
                ORDER BY q.organization_id LIMIT 1)
        FROM waiting WHERE waiting.organization_id IS NOT NULL),
    lined AS (
        SELECT oldest.id, row_number() OVER (PARTITION BY waiting.organization_id ORDER BY LINE) AS turn
        FROM waiting CROSS JOIN LATERAL (
            SELECT q.id, LINE FROM QUEUE q
            WHERE q.organization_id = waiting.organization_id AND WAITS AND q.leased_until <= now()
            ORDER BY LINE LIMIT :limit) AS oldest)
    UPDATE QUEUE SET attempts = attempts + 1,
        leased_until = now() + CAST(:lease AS interval) * power(2, least(greatest(attempts - 3, 0), 8))
    WHERE id IN (
        SELECT q.id FROM QUEUE q JOIN lined USING (id)
        WHERE WAITS AND q.leased_until <= now()
        ORDER BY lined.turn LIMIT :limit
        FOR UPDATE OF q SKIP LOCKED)
    RETURNING id, organization_id, attempts
"""


def _claim(queue: str, waits: str, line: str) -> TextClause:
    return text(_CLAIM.replace("QUEUE", queue).replace("WAITS", waits).replace("LINE", line))


_CLAIM_ROUTINGS = _claim("event_routings", "verdict = 'pending'", "leased_until, number")
_CLAIM_OUTCOMES = _claim("execution_outcomes", "true", "leased_until")

#: Executions that started each other as steps count as the outermost of them.
_PENDING = text(
    """
    SELECT r.id, r.organization_id, r.event_id, e.created_at AS recorded_at, e.sent_by, r.trigger_id,
        t.name, t.workflow_id, t.configuration, t.is_active AND t.type = 'event' AS is_active, o.is_active AS may_start,
        coalesce(CAST(coalesce(root.execution_context, x.execution_context) ->> 'hops' AS integer), 0) AS hops,
        e.source = :source_of_executions AND EXISTS (
            SELECT 1 FROM event_routings s
            WHERE s.organization_id = e.organization_id AND s.execution_id = e.execution_id
              AND s.trigger_id = r.trigger_id) AS is_own_end
    FROM event_routings r
    JOIN events e ON e.organization_id = r.organization_id AND e.id = r.event_id
    JOIN triggers t ON t.organization_id = r.organization_id AND t.id = r.trigger_id
    JOIN organizations o ON o.id = r.organization_id
    LEFT JOIN workflow_executions x ON x.organization_id = e.organization_id AND x.id = e.execution_id
    LEFT JOIN workflow_executions root ON root.organization_id = x.organization_id AND root.id = x.root_id
    WHERE r.id = :id AND r.verdict = 'pending'
    """
)

_LOCK = text(
    """
    SELECT r.id FROM event_routings r
    JOIN triggers t ON t.organization_id = r.organization_id AND t.id = r.trigger_id
    WHERE r.id = :id AND r.verdict = 'pending' AND t.configuration = CAST(:configuration AS jsonb)
    FOR UPDATE OF r
    """
)

_SETTLE = text(
    """
    UPDATE event_routings SET verdict = :verdict, reason = :reason, execution_id = :execution_id, decided_at = now()
    WHERE id = ANY (CAST(:ids AS uuid[]))
    """
)

#: Counted among those whose workflow the reader may see.
_OF_EVENTS = text(
    """
    SELECT event_id, trigger_id, trigger, workflow_id, workflow, verdict, reason, execution_id, decided_at,
        routings_count
    FROM (
        SELECT r.*, t.name AS trigger, t.workflow_id, w.name AS workflow,
            count(*) OVER (PARTITION BY r.event_id) AS routings_count,
            row_number() OVER (PARTITION BY r.event_id ORDER BY r.verdict = 'filtered', t.name, t.id) AS place
        FROM event_routings r
        JOIN triggers t ON t.organization_id = r.organization_id AND t.id = r.trigger_id
        JOIN workflows w ON w.organization_id = t.organization_id AND w.id = t.workflow_id
        WHERE r.event_id = ANY (CAST(:event_ids AS uuid[]))) AS ranked
    WHERE place <= :most
    ORDER BY number DESC, trigger, trigger_id
    """
)

_CROWD_LOCK = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('event triggers ' || CAST(:organization_id AS uuid), 0))"
)
#: A trigger for any type counts for every type. The fullest of those that this workflow's triggers take.
_CROWDED = text(
    """
    WITH hearing AS MATERIALIZED (
        SELECT id, workflow_id, name, event_types FROM triggers
        WHERE organization_id = :organization_id AND type = 'event' AND is_active),
    anything AS (SELECT count(*) AS triggers FROM hearing WHERE event_types IS NULL),
    listed AS (
        SELECT given.type, count(DISTINCT hearing.id) AS triggers
        FROM hearing CROSS JOIN LATERAL unnest(event_types) AS given(type) GROUP BY given.type),
    crowds AS (
        SELECT listed.type, listed.triggers + anything.triggers AS triggers FROM listed CROSS JOIN anything
        UNION ALL
        SELECT NULL, triggers FROM anything)
    SELECT mine.name AS trigger, crowds.type, crowds.triggers
    FROM crowds
    JOIN hearing AS mine ON mine.workflow_id = :workflow_id
        AND (mine.event_types IS NULL OR crowds.type = ANY (mine.event_types))
    WHERE crowds.triggers > :most
    ORDER BY crowds.triggers DESC, crowds.type, mine.name LIMIT 1
    """
)

_SET_LOCK = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('event set ' || CAST(:trigger_id AS uuid), 0))"
)
_SET = text(
    """
    SELECT r.id, r.event_id, r.filter, r.number, e.sent_by
    FROM generate_series(0, :filters - 1) AS place
    CROSS JOIN LATERAL (
        SELECT * FROM event_routings h
        WHERE h.organization_id = (SELECT app.org()) AND h.trigger_id = :trigger_id AND h.correlation = :correlation
            AND h.filter = place AND h.verdict = 'held'
        ORDER BY h.number LIMIT 1) AS r
    JOIN events e ON e.organization_id = r.organization_id AND e.id = r.event_id
    ORDER BY r.filter
    """
)
_HOLD = text(
    """
    UPDATE event_routings
    SET verdict = 'held', reason = NULL, filter = :filter, correlation = :correlation, decided_at = now()
    WHERE id = :id
    """
)

#: What was published since may have mended it.
_FAILURES = text(
    """
    SELECT t.id AS trigger_id, last.reason, last.event_id, last.decided_at
    FROM triggers t
    CROSS JOIN LATERAL (
        SELECT r.verdict, r.reason, r.event_id, r.decided_at FROM event_routings r
        WHERE r.organization_id = t.organization_id AND r.trigger_id = t.id AND r.verdict IN ('failed', 'refused')
            AND r.decided_at >= t.updated_at
        ORDER BY r.number DESC LIMIT 1) AS last
    WHERE t.id = ANY (CAST(:ids AS uuid[]))
    """
)

_REPEAT = text(
    """
    INSERT INTO event_routings (organization_id, event_id, trigger_id, number)
    SELECT e.organization_id, e.id, t.id, e.number
    FROM events e
    JOIN triggers t ON t.organization_id = e.organization_id AND t.type = 'event' AND t.is_active
        AND (t.event_types IS NULL OR e.type = ANY (t.event_types))
    WHERE e.id = :event_id
    ON CONFLICT (organization_id, event_id, trigger_id) DO UPDATE
    SET verdict = 'pending', reason = NULL, decided_at = NULL, attempts = 0, leased_until = now()
    WHERE event_routings.verdict IN ('filtered', 'late', 'refused', 'failed')
    """
)

_RECONSIDER = text(
    """
    UPDATE event_routings
    SET verdict = 'pending', filter = NULL, correlation = NULL, decided_at = NULL, leased_until = now()
    WHERE trigger_id = :trigger_id AND verdict = 'held'
    """
)

_OUTCOME = text(
    """
    DELETE FROM execution_outcomes WHERE id = :id
    RETURNING id, organization_id, execution_id, type, told, created_at
    """
)
