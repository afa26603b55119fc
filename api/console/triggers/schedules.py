"""Schedules: when each fires next, what became of every fire, pausing, running now, and starting afterwards."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.console.frame.shell import PageRoute, Sent, Visit, Visitor
from api.pagination import Paging
from api.scheduleviews import OccurrenceView, ScheduleState, ScheduleView, show_occurrence, show_schedules
from api.scheduling import backfill_one, backfill_plan, pause_one, resume_one, run_one, view_of, withdraw_one
from db.people import names_of
from db.schedules import OccurrenceFilters, Occurrences, Schedules
from domain.definitions import durations
from domain.errors import Conflict, DomainError, Invalid
from domain.permissions import Permission
from domain.schedules.backfill import BackfillPlan
from domain.schedules.occurrences import KEPT, OccurrenceStatus, Origin
from domain.schedules.plan import DEFAULT_CATCH_UP, Overlap
from domain.schedules.words import span

router = APIRouter(route_class=PageRoute, include_in_schema=False)

NOTICES: Final = {
    "paused": "The schedule is paused. Nothing starts by its clock until it is resumed.",
    "resumed": "The schedule is resumed.",
    "backfilled": "The backfill is accepted. Its executions start in the order of their times.",
    "withdrawn": "What had not been started of the backfill will not be.",
}
OVERLAPS: Final = {
    Overlap.SKIP: "A time is skipped while the execution before still runs.",
    Overlap.BUFFER_ONE: "One time waits for the end of the execution before; further ones are skipped.",
    Overlap.ALLOW: "Executions may run side by side.",
    Overlap.CANCEL_OTHER: "The execution before is cancelled, and the next begins when it has ended.",
}
#: Lines of the ledger on a page, and how far back a miss is worth a warning.
LINES: Final = 50
RECENT: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Asked:
    """A span for a backfill as the form has it: times of the organization's clock."""

    since: str
    until: str

    @classmethod
    def of(cls, form: Sent) -> "Asked":
        return cls(form.get("since", ""), form.get("until", ""))

    def read(self, zone: tzinfo) -> tuple[datetime, datetime]:
        """Raises Invalid."""
        return _local(self.since, zone, "From"), _local(self.until, zone, "To")


@router.get("/schedules")
async def schedules(visitor: Visitor, paging: Paging) -> Response:
    visitor.require(Permission.TRIGGERS_READ)
    async with visitor.transaction() as tx:
        rows = await Schedules(tx).page(before=paging.before, limit=paging.fetch)
        views = await show_schedules(tx, rows, visitor.parts.clock())
    page = paging.page(views, lambda view: (view.created_at, view.id), lambda view: view)
    next_cursor = page["next_cursor"]
    return visitor.render(
        "triggers/schedules.html",
        rows=page["items"],
        recent=visitor.parts.clock() - RECENT,
        next=f"/schedules?cursor={next_cursor}" if next_cursor else None,
    )


@router.get("/schedules/{id}")
async def schedule(
    visitor: Visitor,
    id: UUID,
    done: str = "",
    status: str = "",
    before: str = "",
    since: str = "",
    until: str = "",
) -> Response:
    asked = Asked(since, until) if since or until else None
    return await _page(visitor, id, notice=NOTICES.get(done), status=status, before=before, asked=asked)


@router.post("/schedules/{id}/pause")
async def pause(visitor: Visitor, id: UUID) -> Response:
    async def change(tx: AsyncConnection, form: Sent) -> None:
        reason = form.get("reason", "").strip()[:500]
        await pause_one(tx, visitor.caller, id, visitor.parts.clock(), reason)

    return await _changed(visitor, id, change, "paused")


@router.post("/schedules/{id}/resume")
async def resume(visitor: Visitor, id: UUID) -> Response:
    async def change(tx: AsyncConnection, _: Sent) -> None:
        await resume_one(tx, visitor.caller, id, visitor.parts.clock())

    return await _changed(visitor, id, change, "resumed")


@router.post("/schedules/{id}/run")
async def run(visitor: Visitor, id: UUID) -> Response:
    """Leads to the execution."""
    visitor.require(Permission.EXECUTIONS_START)
    await visitor.form()
    try:
        async with visitor.transaction() as tx:
            entry, accepted = await run_one(tx, visitor.caller, id, visitor.parts.clock())
    except Invalid as refusal:
        return await _page(visitor, id, refusal=refusal)
    if entry is not None:
        await visitor.parts.dispatcher.dispatch(entry)
    return visitor.to(f"/executions/{accepted['id']}")


@router.post("/schedules/{id}/backfill")
async def backfill(visitor: Visitor, id: UUID) -> Response:
    async def change(tx: AsyncConnection, form: Sent) -> None:
        first, last = Asked.of(form).read(visitor.zone)
        await backfill_one(
            tx,
            visitor.caller,
            id,
            visitor.parts.clock(),
            first=first,
            last=last,
            expected=_number(form.get("expected", "")),
            side_by_side=form.get("side_by_side") == "yes",
        )

    return await _changed(visitor, id, change, "backfilled")


@router.post("/schedules/{id}/withdraw")
async def withdraw(visitor: Visitor, id: UUID) -> Response:
    async def change(tx: AsyncConnection, _: Sent) -> None:
        await withdraw_one(tx, visitor.caller, id, visitor.parts.clock())

    return await _changed(visitor, id, change, "withdrawn")


async def _changed(
    visitor: Visit, id: UUID, change: Callable[[AsyncConnection, Sent], Awaitable[None]], done: str
) -> Response:
    """Back to the page, with what was done, or why it was not and what had been typed."""
    visitor.require(Permission.TRIGGERS_WRITE)
    form = await visitor.form()
    try:
        async with visitor.transaction() as tx:
            await change(tx, form)
    except (Conflict, Invalid) as refusal:
        asked = Asked.of(form) if "since" in form else None
        return await _page(visitor, id, refusal=refusal, asked=asked, reason=form.get("reason", ""))
    return visitor.to(f"/schedules/{id}", done=done)


async def _page(
    visitor: Visit,
    id: UUID,
    *,
    notice: str | None = None,
    refusal: DomainError | None = None,
    status: str = "",
    before: str = "",
    asked: Asked | None = None,
    reason: str = "",
) -> Response:
    visitor.require(Permission.TRIGGERS_READ)
    now = visitor.parts.clock()
    plan: BackfillPlan | None = None
    async with visitor.transaction() as tx:
        row = await Schedules(tx).get(id)
        view = await view_of(tx, row, now)
        lines, older = await _lines(tx, row, status, before)
        people = await names_of(tx, [view.paused_by, *(line.requested_by for line in lines)])
        if asked is not None and refusal is None:
            try:
                plan = await backfill_plan(tx, row, *asked.read(visitor.zone), now)
            except DomainError as wrong:
                refusal = wrong
    values: dict[str, Any] = {
        "row": view,
        "facts": _facts(view),
        "lines": lines,
        "older": older,
        "statuses": list(OccurrenceStatus),
        "status_asked": status,
        "people": people,
        "by_person": Origin.PERSON,
        "plan": plan,
        "reason": reason,
        "asked": asked or _yesterday(now, visitor.zone),
        "can_backfill": "after" not in view.configuration and view.state is not ScheduleState.OFF,
        "kept_days": KEPT.days,
        "warns": view.last_missed is not None and view.last_missed.nominal_at > now - RECENT,
        "may_write": visitor.may(Permission.TRIGGERS_WRITE),
        "may_start": visitor.may(Permission.EXECUTIONS_START) and view.state is not ScheduleState.OFF,
    }
    if refusal is not None:
        return visitor.refuse("triggers/schedule.html", refusal, **values)
    return visitor.render("triggers/schedule.html", notice=notice, **values)


async def _lines(
    tx: AsyncConnection, row: RowMapping, status: str, before: str
) -> tuple[list[OccurrenceView], str | None]:
    """Lines of the ledger, and from where older ones go on."""
    filters = OccurrenceFilters([status] if status in tuple(OccurrenceStatus) else ())
    behind = None
    if before:
        try:
            behind = (datetime.fromisoformat(before).astimezone(UTC), UUID(int=0))
        except (ValueError, OverflowError):
            raise Invalid("The address of this page cannot be read; follow a link to it.") from None
    ledger = Occurrences(tx, row["organization_id"], row["id"])
    rows = await ledger.page(filters, before=behind, limit=LINES + 1)
    shown = [show_occurrence(each) for each in rows[:LINES]]
    return shown, shown[-1].nominal_at.isoformat() if len(rows) > LINES else None


def _facts(view: ScheduleView) -> Mapping[str, str]:
    """What its trigger says, in words."""
    said = view.configuration
    facts = {"Time zone": view.time_zone}
    if "cron" in said:
        facts["Cron"] = said["cron"]
    if "after" not in said:
        facts["While the one before runs"] = OVERLAPS[Overlap(said.get("overlap", Overlap.SKIP))]
        late = durations.parse(said["catch_up"]) if "catch_up" in said else DEFAULT_CATCH_UP
        facts["Late by at most"] = f"{span(late)}; older times are missed"
    if "jitter" in said:
        facts["Spread"] = f"up to {span(durations.parse(said['jitter']))} later, to spread load"
    return facts


def _yesterday(now: datetime, zone: tzinfo) -> Asked:
    local = now.astimezone(zone)
    return Asked(f"{local - timedelta(days=1):%Y-%m-%dT%H:%M}", f"{local:%Y-%m-%dT%H:%M}")


def _local(text: str, zone: tzinfo, name: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(f"{name} is a date and a time, such as 2026-11-23T09:00.") from None


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 6:
        raise Invalid("Look at the plan of the backfill first, then start it.")
    return int(text)
