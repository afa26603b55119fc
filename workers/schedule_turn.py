"""One look at one schedule: what is due is decided, written and queued, all in one transaction.

Whoever holds the schedule's row takes the turn; a transaction that is lost has done nothing, and the next turn
decides the same fires again.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accepting import NotRunnable, accept
from db.executions import CancelResult, Executions, cancellation
from db.outbox import Outbox, OutboxEntry
from db.schedules import Occurrences, Schedules
from domain.definitions.lifecycle import DefinitionStatus
from domain.errors import Invalid
from domain.executions import TriggerType
from domain.schedules.occurrences import (
    PUNCTUAL,
    OccurrenceStatus,
    Origin,
    Reason,
    Standing,
    Verdict,
    decide,
    hindered,
)
from domain.schedules.plan import Plan
from domain.schedules.starts import trigger_key, trigger_of

#: Fires that one turn decides, and starts: a long absence is worked off in several.
MANY: Final = 200
STARTS: Final = 20
#: A plan that cannot be read is read again: another release may know the zone that this one does not.
READ_AGAIN: Final = timedelta(minutes=5)


class Turn:
    """`row` is locked, with what surrounds it (`Schedules.take`); `entries` are to be dispatched after the commit."""

    def __init__(self, tx: AsyncConnection, row: RowMapping, now: datetime) -> None:
        self._tx = tx
        self._row = row
        self._now = now
        self._schedules = Schedules(tx)
        self._ledger = Occurrences(tx, row["organization_id"], row["id"])
        #: The columns as they are to be, written at the end.
        self._state: dict[str, Any] = {
            name: row[name]
            for name in (
                *("plan", "time_zone", "anchor", "since", "changed_at", "last_execution_id"),
                *("awaits", "backfill_awaits", "problem"),
            )
        }
        self._lines: list[dict[str, Any]] = []
        self._waiting: RowMapping | None = None
        self._is_running = False
        self._decided = 0
        self._started = 0
        self.entries: list[OutboxEntry] = []
        self.outcomes: list[OccurrenceStatus] = []

    async def take(self) -> None:
        waiting = await self._ledger.buffered(Origin.CLOCK)
        self._waiting = waiting[0] if waiting else None
        self._is_running = await self._schedules.is_open(self._state["last_execution_id"])
        plan = self._plan()
        await self._go_on(plan)
        next_at, due_at = await self._fire(plan)
        if self._state["changed_at"] is not None and (next_at is None or next_at > self._state["changed_at"]):
            plan = await self._take_over(plan)
            next_at, due_at = await self._fire(plan)
        if plan is None and self._state["plan"] is not None:
            due_at = self._now + READ_AGAIN
        if await self._backfill() or self._is_full:
            due_at = self._now
        await self._ledger.write(self._lines)
        await self._schedules.change(self._row["id"], {**self._state, "next_at": next_at, "due_at": due_at})

    @property
    def _is_full(self) -> bool:
        return self._decided >= MANY or self._started >= STARTS

    @property
    def _is_on(self) -> bool:
        """Whether what is published has this trigger."""
        return bool(self._row["is_active"] and self._row["type"] == TriggerType.SCHEDULE)

    def _plan(self) -> Plan | None:
        if self._state["plan"] is None:
            return None
        try:
            plan = Plan.parse(self._state["plan"], self._state["time_zone"] or "UTC")
        except (Invalid, ValueError) as refusal:
            # It was sound when it was taken over: a release that knows fewer zones, or a row from elsewhere.
            self._state["problem"] = getattr(refusal, "message", None) or str(refusal)
            return None
        self._state["problem"] = None
        return plan

    async def _go_on(self, plan: Plan | None) -> None:
        """What waited for the end of an execution, once that has ended."""
        awaited = self._state["awaits"]
        ended = await self._schedules.has_ended(awaited)
        if awaited is not None and ended is None:
            return
        self._state["awaits"] = None
        if plan is not None and plan.after is not None and ended is not None:
            self._state["anchor"] = ended
        if self._waiting is not None:
            line, self._waiting = self._waiting, None
            if self._row["paused_at"] is not None:
                await self._ledger.change(line["id"], _skipped(Reason.PAUSED, self._now))
            else:
                await self._begin(line["id"], line["nominal_at"], Origin.CLOCK)

    async def _fire(self, plan: Plan | None) -> tuple[datetime | None, datetime | None]:
        """Decide every fire that is due; which comes next, and when to look again."""
        state = self._state
        while plan is not None and not (plan.after is not None and state["awaits"] is not None):
            nominal = plan.next(state["since"], state["anchor"])
            if nominal is None and plan.after is not None:
                # What it counted from is gone, with its execution perhaps.
                state["anchor"] = self._now
                nominal = plan.next(state["since"], state["anchor"])
            if nominal is None:
                return None, None
            due = nominal + plan.delay(self._row["id"], nominal, state["anchor"])
            changed_at = state["changed_at"]
            if changed_at is not None and nominal > changed_at:
                return nominal, due
            # Put off by its jitter, and removed meanwhile: it fires no more.
            is_withdrawn = changed_at is not None and not self._is_on and due > changed_at
            if self._is_full or (due > self._now and not is_withdrawn):
                return nominal, due
            if is_withdrawn:
                self._withdraw(nominal)
            else:
                await self._settle(plan, due, nominal)
            if state["plan"] is None:
                break
        return None, None

    def _withdraw(self, nominal: datetime) -> None:
        self._state["since"] = nominal
        self._decided += 1
        self._note(nominal, OccurrenceStatus.SKIPPED, Reason.WITHDRAWN)

    async def _settle(self, plan: Plan, due: datetime, nominal: datetime) -> None:
        verdict = decide(plan, due, nominal, self._now, self._standing())
        self._state["since"] = nominal
        self._decided += 1
        match verdict.status:
            case OccurrenceStatus.RAN:
                await self._run(nominal, due)
            case OccurrenceStatus.BUFFERED:
                await self._buffer(nominal, due, verdict)
            case _:
                self._note(nominal, verdict.status, verdict.reason)
                if verdict.reason is Reason.WORKFLOW_ARCHIVED:
                    self._state["plan"] = None  # for good
        if plan.after is not None and self._state["awaits"] is None:
            self._state["anchor"] = nominal

    def _standing(self) -> Standing:
        return Standing(
            workflow_status=DefinitionStatus(self._row["workflow_status"]),
            is_published=self._row["published_version_id"] is not None,
            organization_is_active=self._row["organization_is_active"],
            paused_at=self._row["paused_at"],
            is_running=self._is_running,
            has_buffered=self._waiting is not None,
        )

    async def _run(self, nominal: datetime, due: datetime) -> None:
        id = await self._line(nominal, due, OccurrenceStatus.RAN)
        if id is not None:
            await self._begin(id, nominal, Origin.CLOCK)

    async def _buffer(self, nominal: datetime, due: datetime, verdict: Verdict) -> None:
        id = await self._line(nominal, due, OccurrenceStatus.BUFFERED)
        if id is None:
            return
        if verdict.replaces and self._waiting is not None:
            superseded = _skipped(Reason.SUPERSEDED, self._now)
            await self._ledger.change(self._waiting["id"], superseded)
        elif verdict.cancels:
            await self._cancel(self._state["last_execution_id"])
        self._waiting = await self._ledger.get(id)
        self._state["awaits"] = self._state["last_execution_id"]

    async def _cancel(self, execution_id: UUID) -> None:
        result, row = await Executions(self._tx).request_cancel(execution_id)
        if result is CancelResult.REQUESTED:
            entry = cancellation(row, "the next fire of its schedule takes its place", result)
            await Outbox(self._tx).add(entry)
            self.entries.append(entry)

    async def _begin(
        self, id: UUID, nominal: datetime, origin: Origin, *, by: UUID | None = None
    ) -> UUID | None:
        """Queue the execution of a line; what hinders it is written there instead.

        `by` is the person who asked for it; the clock is nobody.
        """
        row = self._row
        reason = hindered(self._standing())
        detail = None
        if reason is None:
            try:
                entry, accepted = await accept(
                    self._tx,
                    row["organization_id"],
                    row["workflow_id"],
                    trigger=trigger_of(row["name"], nominal, origin),
                    input=self._input(),
                    started_by=by,
                    trigger_key=trigger_key(row["id"], nominal),
                )
            except Invalid as refusal:
                reason, detail = Reason.INPUT, refusal.message
            except NotRunnable as refusal:  # it was paused or archived this very moment
                reason, detail = Reason.WORKFLOW_PAUSED, refusal.message
        if reason is not None:
            await self._ledger.change(id, {**_skipped(reason, self._now), "detail": detail})
            self.outcomes.append(OccurrenceStatus.SKIPPED)
            return None
        started = UUID(accepted["id"])
        status = OccurrenceStatus.RAN if origin is Origin.CLOCK else OccurrenceStatus.BACKFILLED
        await self._ledger.change(id, {"status": status, "execution_id": started, "decided_at": self._now})
        if entry is not None:
            self.entries.append(entry)
        self._started += 1
        self.outcomes.append(status)
        if origin is Origin.CLOCK:
            self._state["last_execution_id"] = started
            self._is_running = True
            if "after" in (self._state["plan"] or {}):
                self._state["awaits"] = started
        return started

    def _input(self) -> Any:
        configuration = self._state["plan"] or self._row["configuration"]
        return configuration.get("input", {})

    async def _line(self, nominal: datetime, due: datetime, status: OccurrenceStatus) -> UUID | None:
        """A new line; None where this moment has one already."""
        line = {"nominal_at": nominal, "origin": Origin.CLOCK, "status": status, "decided_at": self._now}
        line["is_late"] = self._now - due > PUNCTUAL
        return (await self._ledger.write([line])).get(nominal)

    def _note(self, nominal: datetime, status: OccurrenceStatus, reason: Reason | None) -> None:
        line = {"nominal_at": nominal, "origin": Origin.CLOCK, "status": status, "reason": reason}
        self._lines.append({**line, "decided_at": self._now})
        self.outcomes.append(status)

    async def _take_over(self, before: Plan | None) -> Plan | None:
        """The plan that the trigger has now, from the moment it changed."""
        state, row = self._state, self._row
        changed_at: datetime = state["changed_at"]
        state["changed_at"] = None
        configuration = row["configuration"] if self._is_on else None
        zone = row["organization_time_zone"]
        if state["plan"] == configuration and state["time_zone"] == zone:
            return before
        state |= {"plan": configuration, "time_zone": zone, "problem": None}
        plan = self._plan()
        state["since"] = max(state["since"], changed_at)
        if before is None or plan is None or (before.every, before.after) != (plan.every, plan.after):
            state["anchor"] = changed_at.replace(microsecond=0)
        if plan is None and self._waiting is not None:
            await self._ledger.change(self._waiting["id"], _skipped(Reason.WITHDRAWN, self._now))
            self._waiting = None
        waits = self._waiting is not None or (
            plan is not None and plan.after is not None and self._is_running
        )
        state["awaits"] = state["last_execution_id"] if waits else None
        return plan

    async def _backfill(self) -> bool:
        """Start what a person asked for afterwards; whether there is more to do at once."""
        state = self._state
        if await self._schedules.is_open(state["backfill_awaits"]):
            waits = True
        else:
            waits, state["backfill_awaits"] = False, None
        lines = await self._ledger.buffered(Origin.BACKFILL, STARTS)
        more = len(lines) == STARTS
        for line in lines:
            if waits and not line["side_by_side"]:
                continue
            by = line["requested_by"]
            started = await self._begin(line["id"], line["nominal_at"], Origin.BACKFILL, by=by)
            if not line["side_by_side"]:
                state["backfill_awaits"], waits = started, started is not None
        return more and not waits


def _skipped(reason: Reason, now: datetime) -> dict[str, Any]:
    return {"status": OccurrenceStatus.SKIPPED, "reason": reason, "decided_at": now}
