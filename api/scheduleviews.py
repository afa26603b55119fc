"""How schedules and the lines of their ledger are shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from db.schedules import latest
from domain.errors import Invalid
from domain.executions import TriggerType
from domain.schedules.occurrences import BECAUSE, OccurrenceStatus, Origin, Reason
from domain.schedules.plan import Plan
from domain.schedules.words import in_words

#: How many coming fires one schedule is shown with.
COMING: Final = 5


class ScheduleState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    #: Nothing is due any more: its `end_at` is over.
    ENDED = "ended"
    #: Its trigger was removed or switched off, or its workflow archived.
    OFF = "off"
    #: It cannot be understood; `problem` says why.
    BROKEN = "broken"


class OccurrenceView(BaseModel):
    """One nominal fire, and what became of it."""

    id: UUID
    nominal_at: datetime
    status: OccurrenceStatus
    reason: Reason | None
    because: str | None = Field(description="The reason in words.")
    detail: str | None
    origin: Origin = Field(
        description="`clock`: the schedule itself; `backfill` and `person`: somebody asked for it."
    )
    execution_id: UUID | None
    requested_by: UUID | None
    decided_at: datetime
    caught_up: bool = Field(description="It ran, more than half a minute after it was due.")


class ScheduleSummary(BaseModel):
    id: UUID = Field(description="The trigger's id.")
    workflow_id: UUID
    workflow_name: str
    name: str
    configuration: dict[str, Any]
    in_words: str
    time_zone: str = Field(description="In which the expression is read.")
    state: ScheduleState
    next_at: datetime | None = Field(
        description="Nominal; null while it is paused, waits for an end, or is over."
    )
    paused_at: datetime | None
    paused_by: UUID | None
    pause_reason: str | None
    problem: str | None
    last: OccurrenceView | None
    last_missed: OccurrenceView | None
    created_at: datetime


class ScheduleView(ScheduleSummary):
    upcoming: list[datetime] = Field(description=f"The next nominal fires, {COMING} at most.")
    waits_for: UUID | None = Field(description="The execution whose end it waits for.")
    backfilling: int = Field(description="Fires of backfills that wait to be started.")


class SchedulePage(BaseModel):
    items: list[ScheduleSummary]
    next_cursor: str | None


class OccurrencePage(BaseModel):
    items: list[OccurrenceView]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What counts at this moment, or will as soon as the firing loop has looked."""

    plan: Plan | None
    since: datetime
    anchor: datetime
    problem: str | None


def standing(row: RowMapping) -> Standing:
    """Of a row with what surrounds it."""
    is_on = row["is_active"] and row["type"] == TriggerType.SCHEDULE and row["workflow_status"] != "archived"
    if not is_on:
        return Standing(None, row["since"], row["anchor"], None)
    try:
        plan = Plan.parse(row["configuration"], row["organization_time_zone"])
    except Invalid as refusal:
        return Standing(None, row["since"], row["anchor"], refusal.message)
    since, anchor = row["since"], row["anchor"]
    if row["changed_at"] is not None and row["plan"] != row["configuration"]:
        since, anchor = max(since, row["changed_at"]), row["changed_at"].replace(microsecond=0)
    return Standing(plan, since, anchor, row["problem"])


def coming(row: RowMapping, now: datetime, count: int = COMING) -> list[datetime]:
    """The next nominal fires as far as they are known; none of one that is paused."""
    stands = standing(row)
    if stands.plan is None or row["paused_at"] is not None:
        return []
    if stands.plan.after is not None and row["awaits"] is not None:
        return []
    # Everything that was due has been decided: what comes next may be nominally over, and put off by its jitter.
    is_settled = row["due_at"] is not None and row["due_at"] > now
    since = stands.since if is_settled or stands.plan.after is not None else max(stands.since, now)
    return list(islice(stands.plan.upcoming(since, stands.anchor), count))


def state_of(row: RowMapping, next_at: datetime | None) -> ScheduleState:
    stands = standing(row)
    if stands.problem is not None:
        return ScheduleState.BROKEN
    if stands.plan is None:
        return ScheduleState.OFF
    if row["paused_at"] is not None:
        return ScheduleState.PAUSED
    return ScheduleState.ACTIVE if next_at is not None or row["awaits"] is not None else ScheduleState.ENDED


def show_occurrence(row: RowMapping) -> OccurrenceView:
    return OccurrenceView.model_validate(
        {
            **row,
            "because": None if row["reason"] is None else BECAUSE[Reason(row["reason"])],
            "caught_up": row["status"] == OccurrenceStatus.RAN and row["is_late"],
        }
    )


async def show_schedules(
    tx: AsyncConnection, rows: Sequence[RowMapping], now: datetime
) -> list[ScheduleSummary]:
    ids = [row["id"] for row in rows]
    last = await latest(tx, ids)
    missed = await latest(tx, ids, [OccurrenceStatus.MISSED])
    return [ScheduleSummary.model_validate(_facts(row, now, last, missed)) for row in rows]


async def show_schedule(
    tx: AsyncConnection, row: RowMapping, now: datetime, backfilling: int
) -> ScheduleView:
    last = await latest(tx, [row["id"]])
    missed = await latest(tx, [row["id"]], [OccurrenceStatus.MISSED])
    facts = _facts(row, now, last, missed)
    return ScheduleView.model_validate(
        {**facts, "upcoming": coming(row, now), "waits_for": row["awaits"], "backfilling": backfilling}
    )


def _facts(
    row: RowMapping, now: datetime, last: dict[UUID, RowMapping], missed: dict[UUID, RowMapping]
) -> dict[str, Any]:
    next_at = next(iter(coming(row, now, 1)), None)
    stands = standing(row)
    return {
        **row,
        "in_words": in_words(row["configuration"]),
        "time_zone": row["configuration"].get("time_zone") or row["organization_time_zone"],
        "next_at": next_at,
        "state": state_of(row, next_at),
        "problem": stands.problem,
        "last": None if row["id"] not in last else show_occurrence(last[row["id"]]),
        "last_missed": None if row["id"] not in missed else show_occurrence(missed[row["id"]]),
    }
