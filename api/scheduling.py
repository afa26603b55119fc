"""What people do to a schedule, each inside the caller's transaction: the API and the pages ask here."""

import asyncio
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accepting import accept
from api.caller import Caller
from api.noting import noted
from api.scheduleviews import ScheduleView, show_schedule, standing
from db.activity import Activities
from db.outbox import OutboxEntry
from db.schedules import Occurrences, Schedules
from domain.activities import Act
from domain.errors import Conflict
from domain.schedules.backfill import BackfillPlan, nominal_between, planned
from domain.schedules.occurrences import OccurrenceStatus, Origin, Reason
from domain.schedules.starts import trigger_key, trigger_of

#: Fires of a pause that are told when it ends, if the firing loop stood still meanwhile: a week, every minute.
LONGEST_SILENCE: Final = 10_000
_INSTANT: Final = timedelta(microseconds=1)


class CountChanged(Conflict):
    """It is another number of fires by now than you expected; ask for the plan again."""

    code = "count_changed"


class Off(Conflict):
    """This schedule's trigger is switched off; publish the workflow with it, then try again."""

    code = "schedule_off"


async def view_of(tx: AsyncConnection, row: RowMapping, now: datetime) -> ScheduleView:
    """Of a row with what surrounds it."""
    waiting = await Occurrences(tx, row["organization_id"], row["id"]).waiting()
    return await show_schedule(tx, row, now, waiting)


async def pause_one(tx: AsyncConnection, caller: Caller, id: UUID, now: datetime, reason: str | None) -> None:
    """A schedule that is paused already keeps its pause. Raises NotFound."""
    row = await Schedules(tx).lock(id)
    if row["paused_at"] is None:
        paused = {"paused_at": now, "paused_by": caller.user_id, "pause_reason": reason or None}
        await Schedules(tx).change(id, paused)
        await Activities(tx).note([noted(caller, Act.SCHEDULE_PAUSED.value, "schedules", id)])


async def resume_one(tx: AsyncConnection, caller: Caller, id: UUID, now: datetime) -> None:
    """What fell into the pause is told first. Raises NotFound."""
    row = await Schedules(tx).lock(id)
    if row["paused_at"] is None:
        return
    lines = await asyncio.to_thread(_skipped_in_pause, row, now)
    for at in range(0, len(lines), 1_000):
        await Occurrences(tx, row["organization_id"], id).write(lines[at : at + 1_000])
    resumed = {"paused_at": None, "paused_by": None, "pause_reason": None, "due_at": now}
    await Schedules(tx).change(id, resumed)
    await Activities(tx).note([noted(caller, Act.SCHEDULE_RESUMED.value, "schedules", id)])


def _skipped_in_pause(row: RowMapping, now: datetime) -> list[dict[str, Any]]:
    """Lines the firing loop had no time to write; at most a week of a schedule that is due every minute."""
    stands = standing(row)
    lines: list[dict[str, Any]] = []
    if stands.plan is None or stands.plan.after is not None:
        return lines
    line = {
        "origin": Origin.CLOCK,
        "status": OccurrenceStatus.SKIPPED,
        "reason": Reason.PAUSED,
        "decided_at": now,
    }
    begin = max(stands.since, row["paused_at"] - _INSTANT)
    for nominal in islice(stands.plan.upcoming(begin, stands.anchor), LONGEST_SILENCE):
        if nominal > now:
            break
        lines.append({**line, "nominal_at": nominal})
    return lines


async def backfill_plan(
    tx: AsyncConnection, row: RowMapping, first: datetime, last: datetime, now: datetime
) -> BackfillPlan:
    """Raises Off, NoBackfill, and Invalid for a span that cannot be backfilled."""
    stands = standing(row)
    if stands.plan is None:
        raise Off
    nominal = await asyncio.to_thread(nominal_between, stands.plan, stands.anchor, first, last, now)
    known = await Occurrences(tx, row["organization_id"], row["id"]).between(first, last)
    return planned(nominal, {moment: line["status"] for moment, line in known.items()})


async def backfill_one(
    tx: AsyncConnection,
    caller: Caller,
    id: UUID,
    now: datetime,
    *,
    first: datetime,
    last: datetime,
    expected: int,
    side_by_side: bool,
) -> BackfillPlan:
    """Raises NotFound, CountChanged, and as `backfill_plan`."""
    row = await Schedules(tx).lock(id)
    plan = await backfill_plan(tx, row, first, last, now)
    if len(plan.starts) != expected:
        raise CountChanged(
            f"It would start {len(plan.starts)} executions, not {expected}; look at the plan again."
        )
    ledger = Occurrences(tx, row["organization_id"], id)
    await ledger.ask_for(plan.starts, caller.user_id, now, side_by_side=side_by_side)
    if plan.starts:
        await Schedules(tx).change(id, {"due_at": now})
        activity = noted(caller, Act.SCHEDULE_BACKFILLED.value, "schedules", id, count=len(plan.starts))
        await Activities(tx).note([activity])
    return plan


async def withdraw_one(tx: AsyncConnection, caller: Caller, id: UUID, now: datetime) -> int:
    """How many fires had not been started. Raises NotFound."""
    row = await Schedules(tx).lock(id)
    count = await Occurrences(tx, row["organization_id"], id).withdraw(now)
    if count:
        activity = noted(caller, Act.SCHEDULE_BACKFILL_WITHDRAWN.value, "schedules", id, count=count)
        await Activities(tx).note([activity])
    return count


async def run_one(
    tx: AsyncConnection, caller: Caller, id: UUID, now: datetime
) -> tuple[OutboxEntry | None, dict[str, Any]]:
    """What to dispatch after the commit, and what to answer. Raises NotFound, Off, and as `accept`."""
    row = await Schedules(tx).get(id)
    if standing(row).plan is None:
        raise Off
    entry, accepted = await accept(
        tx,
        caller.organization,
        row["workflow_id"],
        trigger=trigger_of(row["name"], now, Origin.PERSON),
        input=row["configuration"].get("input", {}),
        started_by=caller.user_id,
        trigger_key=trigger_key(id, now),
    )
    line = {
        "nominal_at": now,
        "origin": Origin.PERSON,
        "status": OccurrenceStatus.RAN,
        "execution_id": UUID(accepted["id"]),
        "requested_by": caller.user_id,
        "decided_at": now,
    }
    await Occurrences(tx, caller.organization, id).write([line])
    await Activities(tx).note([noted(caller, Act.SCHEDULE_RUN.value, "schedules", id)])
    return entry, accepted
