"""Schedules: when each is looked at next, and the ledger of what became of every nominal fire."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ForeignKey,
    Index,
    RowMapping,
    Select,
    UniqueConstraint,
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, No, Tenant, UpdatedAt, UserRef, one_of, tenant_key, within
from db.definitions import Trigger, Workflow
from db.executions import WorkflowExecution
from db.rows import Before, many, newest_first, one
from db.tenants import Organization
from domain.executions import TriggerType
from domain.schedules.occurrences import OccurrenceStatus, Origin, Reason


class Schedule(Tenant, Base):
    """What the clock of one trigger stands at; its id is the trigger's.

    `plan` and `time_zone` are those in effect. Publishing anew changes the trigger and wakes the firing loop, which
    first settles what was due before `changed_at`, and then takes over what the trigger says.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        tenant_key(),
        within("id", "triggers", ondelete="CASCADE"),
        within("last_execution_id", "workflow_executions", ondelete="SET NULL (last_execution_id)"),
        within("awaits", "workflow_executions", ondelete="SET NULL (awaits)"),
        within("backfill_awaits", "workflow_executions", ondelete="SET NULL (backfill_awaits)"),
        Index(None, "organization_id", "last_execution_id"),
        Index(None, "organization_id", "awaits"),
        Index(None, "organization_id", "backfill_awaits"),
        Index(None, "organization_id", "created_at", "id"),
        Index("ix_schedules_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index(
            "ix_schedules_waiting",
            "id",
            postgresql_where=text("awaits IS NOT NULL OR backfill_awaits IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-2)
    #: The trigger's configuration as it counts; None before the first look, and once the trigger is switched off.
    plan: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    time_zone: Mapped[str | None]
    #: From where `every` and `after` count.
    anchor: Mapped[datetime]
    #: Every nominal fire up to here has its line in the ledger.
    since: Mapped[datetime]
    #: When the firing loop looks at it; None while there is nothing to do.
    due_at: Mapped[datetime | None]
    #: The nominal moment that comes next.
    next_at: Mapped[datetime | None]
    changed_at: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    paused_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    pause_reason: Mapped[str | None]
    #: The execution that the clock started last.
    last_execution_id: Mapped[UUID | None]
    #: Executions whose end is waited for: by a buffered fire or `after`, and by the next one of a backfill.
    awaits: Mapped[UUID | None]
    backfill_awaits: Mapped[UUID | None]
    #: Why it cannot fire at all; a sentence.
    problem: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class ScheduleOccurrence(Tenant, Base):
    """One nominal fire. What ran is never run again under the same moment."""

    __tablename__ = "schedule_occurrences"
    __table_args__ = (
        tenant_key(),
        within("schedule_id", "schedules", ondelete="CASCADE"),
        within("execution_id", "workflow_executions", ondelete="SET NULL (execution_id)"),
        UniqueConstraint(
            "organization_id", "schedule_id", "nominal_at", name="uq_schedule_occurrences_nominal"
        ),
        Index(None, "organization_id", "execution_id"),
        Index(
            "ix_schedule_occurrences_buffered",
            "organization_id",
            "schedule_id",
            "origin",
            "nominal_at",
            postgresql_where=text("status = 'buffered'"),
        ),
        Index(None, "decided_at"),
        one_of("origin", Origin),
        one_of("status", OccurrenceStatus),
        one_of("reason", Reason),
    )

    id: Mapped[Id]
    schedule_id: Mapped[UUID]
    nominal_at: Mapped[datetime]
    origin: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str | None]
    detail: Mapped[str | None]
    execution_id: Mapped[UUID | None]
    requested_by: Mapped[UserRef | None]
    #: A backfill's: starts without waiting for the one before.
    side_by_side: Mapped[No]
    #: The clock's: it was decided more than half a minute after it was due.
    is_late: Mapped[No]
    #: When its status was decided last.
    decided_at: Mapped[datetime]
    created_at: Mapped[CreatedAt]


@dataclass(frozen=True, slots=True)
class DueSchedule:
    organization_id: UUID
    id: UUID


@dataclass(frozen=True, slots=True)
class OccurrenceFilters:
    statuses: Sequence[str] = ()
    nominal_from: datetime | None = None
    nominal_to: datetime | None = None


#: By so much a turn that failed is put off.
AGAIN: Final = timedelta(seconds=5)
_SCHEDULE: Final = tuple(Schedule.__table__.c)
_OCCURRENCE: Final = tuple(ScheduleOccurrence.__table__.c)
#: What surrounds a schedule: its trigger, workflow and organization, and whether what it started last has ended.
_AROUND: Final = (
    Trigger.name,
    Trigger.type,
    Trigger.configuration,
    Trigger.is_active,
    Trigger.workflow_id,
    Workflow.name.label("workflow_name"),
    Workflow.status.label("workflow_status"),
    Workflow.published_version_id,
    Organization.is_active.label("organization_is_active"),
    Organization.timezone.label("organization_time_zone"),
)


def _around() -> Select[Any]:
    return (
        select(*_SCHEDULE, *_AROUND)
        .join(Trigger, Trigger.id == Schedule.id)
        .join(Workflow, Workflow.id == Trigger.workflow_id)
        .join(Organization, Organization.id == Schedule.organization_id)
    )


async def due(tx: AsyncConnection, now: datetime, limit: int) -> list[DueSchedule]:
    """Schedules of all organizations that have something to decide; as app_system."""
    rows = await tx.execute(_DUE, {"now": now, "soon": now + AGAIN, "limit": limit})
    return [DueSchedule(row.organization_id, row.id) for row in rows]


class Schedules:
    """The schedules of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def get(self, id: UUID) -> RowMapping:
        """With what surrounds it; raises NotFound."""
        return one(await self._tx.execute(_around().where(Schedule.id == id)))

    async def lock(self, id: UUID) -> RowMapping:
        """As `get`, holding the schedule's row until the transaction ends; raises NotFound."""
        await self._tx.execute(_WORKFLOW_FIRST, {"id": id})
        return one(await self._tx.execute(_around().where(Schedule.id == id).with_for_update(**_HELD)))

    async def take(self, id: UUID) -> RowMapping | None:
        """As `lock`; None while somebody else holds it, who does what is to be done."""
        await self._tx.execute(_WORKFLOW_FIRST, {"id": id})
        statement = _around().where(Schedule.id == id).with_for_update(**_HELD, skip_locked=True)
        found: RowMapping | None = (await self._tx.execute(statement)).mappings().one_or_none()
        return found

    async def page(
        self, *, before: Before | None, limit: int, workflow_id: UUID | None = None
    ) -> Sequence[RowMapping]:
        """Newest first, of triggers that are switched on, with what surrounds them."""
        statement = newest_first(_around(), Schedule.created_at, Schedule.id, before).limit(limit)
        if workflow_id is not None:
            statement = statement.where(Trigger.workflow_id == workflow_id)
        shown = (Trigger.is_active, Trigger.type == TriggerType.SCHEDULE, Workflow.status != "archived")
        return await many(self._tx, statement.where(*shown))

    async def wake(self, organization_id: UUID, id: UUID, now: datetime) -> None:
        """Make the row of a trigger when it is new; the firing loop takes over what the trigger says from `now` on."""
        new = upsert(Schedule).values(
            id=id, organization_id=organization_id, anchor=now, since=now, due_at=now, changed_at=now
        )
        changed = {"due_at": now, "changed_at": func.coalesce(Schedule.changed_at, now)}
        await self._tx.execute(new.on_conflict_do_update(index_elements=("id",), set_=changed))

    async def wake_of(self, workflow_id: UUID, now: datetime) -> None:
        """Every schedule the workflow ever had is looked at."""
        those = select(Trigger.id).where(Trigger.workflow_id == workflow_id)
        await self._tx.execute(
            update(Schedule)
            .where(Schedule.id.in_(those))
            .values(due_at=now, changed_at=func.coalesce(Schedule.changed_at, now))
        )

    async def change(self, id: UUID, values: Mapping[str, Any]) -> None:
        await self._tx.execute(update(Schedule).where(Schedule.id == id).values(**values))

    async def has_ended(self, execution_id: UUID | None) -> datetime | None:
        """When an execution ended; None while it has not, and of one that is gone."""
        query = select(WorkflowExecution.completed_at).where(WorkflowExecution.id == execution_id)
        return None if execution_id is None else await self._tx.scalar(query)

    async def is_open(self, execution_id: UUID | None) -> bool:
        query = select(WorkflowExecution.id).where(
            WorkflowExecution.id == execution_id, WorkflowExecution.completed_at.is_(None)
        )
        return execution_id is not None and await self._tx.scalar(query) is not None


class Occurrences:
    """The ledger of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection, organization_id: UUID, schedule_id: UUID) -> None:
        self._tx = tx
        self._organization_id = organization_id
        self._schedule_id = schedule_id

    async def write(self, lines: Sequence[Mapping[str, Any]]) -> dict[datetime, UUID]:
        """Add lines; the ids of those that were not there yet. A line that is there stays as it is."""
        if not lines:
            return {}
        keys = {"organization_id": self._organization_id, "schedule_id": self._schedule_id}
        names = {name for line in lines for name in line}
        values = [{**keys, **dict.fromkeys(names), **line} for line in lines]
        statement = (
            upsert(ScheduleOccurrence)
            .values(values)
            .on_conflict_do_nothing(index_elements=("organization_id", "schedule_id", "nominal_at"))
        )
        returned = statement.returning(ScheduleOccurrence.nominal_at, ScheduleOccurrence.id)
        return {row.nominal_at: row.id for row in await self._tx.execute(returned)}

    async def get(self, id: UUID) -> RowMapping:
        """Raises NotFound."""
        return one(
            await self._tx.execute(select(*_OCCURRENCE).where(*self._mine(), ScheduleOccurrence.id == id))
        )

    async def change(self, id: UUID, values: Mapping[str, Any]) -> None:
        await self._tx.execute(update(ScheduleOccurrence).where(ScheduleOccurrence.id == id).values(**values))

    async def buffered(self, origin: Origin, limit: int = 1) -> Sequence[RowMapping]:
        """Those that wait to start, the earliest first."""
        return await many(
            self._tx,
            select(*_OCCURRENCE)
            .where(
                *self._mine(), ScheduleOccurrence.status == "buffered", ScheduleOccurrence.origin == origin
            )
            .order_by(ScheduleOccurrence.nominal_at)
            .limit(limit),
        )

    async def withdraw(self, now: datetime) -> int:
        """Backfilled fires that wait are not started any more; how many."""
        waiting = (
            *self._mine(),
            ScheduleOccurrence.status == "buffered",
            ScheduleOccurrence.origin == "backfill",
        )
        done = {"status": OccurrenceStatus.SKIPPED, "reason": Reason.WITHDRAWN, "decided_at": now}
        return int(
            (await self._tx.execute(update(ScheduleOccurrence).where(*waiting).values(**done))).rowcount
        )

    async def waiting(self) -> int:
        """How many fires of backfills have not been started yet."""
        table = ScheduleOccurrence
        those = (*self._mine(), table.status == "buffered", table.origin == "backfill")
        return await self._tx.scalar(select(func.count()).select_from(table).where(*those)) or 0

    async def ask_for(
        self, moments: Sequence[datetime], user_id: UUID, now: datetime, *, side_by_side: bool
    ) -> None:
        """Nominal fires are to be started afterwards; a line that says why one was not is written over."""
        if not moments:
            return
        keys = {"organization_id": self._organization_id, "schedule_id": self._schedule_id}
        asked = {
            "origin": Origin.BACKFILL,
            "status": OccurrenceStatus.BUFFERED,
            "reason": None,
            "detail": None,
            "requested_by": user_id,
            "side_by_side": side_by_side,
            "decided_at": now,
        }
        statement = upsert(ScheduleOccurrence).values(
            [{**keys, **asked, "nominal_at": moment} for moment in moments]
        )
        await self._tx.execute(
            statement.on_conflict_do_update(
                index_elements=("organization_id", "schedule_id", "nominal_at"),
                set_=asked,
                where=ScheduleOccurrence.status.in_((OccurrenceStatus.MISSED, OccurrenceStatus.SKIPPED)),
            )
        )

    async def between(self, first: datetime, last: datetime) -> dict[datetime, RowMapping]:
        """Lines of nominal moments from `first` to `last`, both included."""
        statement = select(*_OCCURRENCE).where(
            *self._mine(), ScheduleOccurrence.nominal_at >= first, ScheduleOccurrence.nominal_at <= last
        )
        return {row["nominal_at"]: row for row in await many(self._tx, statement)}

    async def page(
        self, filters: OccurrenceFilters, *, before: Before | None, limit: int
    ) -> Sequence[RowMapping]:
        """The latest nominal moment first."""
        table = ScheduleOccurrence
        statement = select(*_OCCURRENCE).where(*self._mine()).limit(limit)
        statement = statement.order_by(table.nominal_at.desc(), table.id.desc())
        if before is not None:
            statement = statement.where(tuple_(table.nominal_at, table.id) < before)
        if filters.statuses:
            statement = statement.where(table.status.in_(filters.statuses))
        if filters.nominal_from is not None:
            statement = statement.where(table.nominal_at >= filters.nominal_from)
        if filters.nominal_to is not None:
            statement = statement.where(table.nominal_at < filters.nominal_to)
        return await many(self._tx, statement)

    def _mine(self) -> tuple[Any, ...]:
        # The organization is said although the policy says it: it leads the index.
        return (
            ScheduleOccurrence.organization_id == self._organization_id,
            ScheduleOccurrence.schedule_id == self._schedule_id,
        )


async def latest(
    tx: AsyncConnection, ids: Sequence[UUID], statuses: Sequence[str] = ()
) -> dict[UUID, RowMapping]:
    """Of each schedule the latest line, of one of these statuses where any are given."""
    if not ids:
        return {}
    among = "AND o.status = ANY (CAST(:statuses AS text[]))" if statuses else ""
    query = _LATEST.replace("AMONG", among)
    rows = await tx.execute(
        text(query), {"ids": list(ids), **({"statuses": list(statuses)} if statuses else {})}
    )
    return {row["schedule_id"]: row for row in rows.mappings()}


#: What starts an execution holds its workflow's row a little; publishing holds that row and then comes here. In this
#: order they wait for each other, never in a circle.
_WORKFLOW_FIRST: Final = text(
    """
    SELECT w.id FROM workflows AS w JOIN triggers AS t ON t.organization_id = w.organization_id AND t.workflow_id = w.id
    WHERE t.id = :id FOR KEY SHARE OF w
    """
)
_HELD: Final[dict[str, Any]] = {"of": Schedule.__table__, "key_share": True}

_LATEST: Final = """
    SELECT o.* FROM schedules AS s
    CROSS JOIN LATERAL (
        SELECT * FROM schedule_occurrences AS o
        WHERE o.organization_id = s.organization_id AND o.schedule_id = s.id AMONG
        ORDER BY o.nominal_at DESC LIMIT 1) AS o
    WHERE s.id = ANY (CAST(:ids AS uuid[]))
"""

#: The organizations in turn, each one's longest overdue first: nobody waits for all that another one has due.
#: The end of an execution gives a turn as well, but not to who has one within `AGAIN` anyway: a turn that failed was
#: put off by so much, and the end that it is about is still there.
_DUE: Final = text(
    """
    (SELECT id, organization_id FROM (
        SELECT id, organization_id, due_at, row_number() OVER (PARTITION BY organization_id ORDER BY due_at) AS turn
        FROM schedules WHERE due_at <= :now) AS lined
     ORDER BY turn, due_at LIMIT :limit)
    UNION
    (SELECT s.id, s.organization_id FROM schedules AS s
     JOIN workflow_executions AS e ON e.organization_id = s.organization_id AND e.id IN (s.awaits, s.backfill_awaits)
     WHERE (s.awaits IS NOT NULL OR s.backfill_awaits IS NOT NULL) AND e.completed_at IS NOT NULL
       AND (s.due_at IS NULL OR s.due_at > :soon)
     LIMIT :limit)
    """
)
