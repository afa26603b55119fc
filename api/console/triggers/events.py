"""The pages of events: what arrived or happened, what each started and who heard it; sending one by hand."""

from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID, uuid4

from fastapi import APIRouter, Response

from api import strictjson
from api.cloudevents import MOST_LISTED, counted, routings_of, sending_of, show_event
from api.console.frame.jsonview import json_view
from api.console.frame.shell import PageRoute, Visit, Visitor, identifier
from api.pagination import Pager, Paging
from db.events import EventFilters, Events
from db.routing import REPEATABLE, Routings
from domain.errors import DomainError, Invalid
from domain.events import SPECVERSION
from domain.permissions import Permission

router = APIRouter(route_class=PageRoute, include_in_schema=False)

NOTICES: Final = {
    "sent": "The event is recorded. What it starts is shown here within moments.",
    "known": "This event was here before, so nothing happens twice.",
    "repeated": "Every active trigger of this type that it has not started looks at the event once more.",
}
_FIELDS: Final = ("type", "source", "subject", "data")
#: What verdicts say to somebody who has not read the documentation.
WORDS: Final = {
    "pending": "Not looked at yet",
    "started": "Started",
    "held": "Waits for the rest of its set",
    "filtered": "Not meant",
    "late": "Came too late",
    "refused": "Could not start",
    "failed": "Filter failed",
}


@router.get("/events")
async def events(
    visitor: Visitor, paging: Paging, type: str = "", source: str = "", done: str = ""
) -> Response:
    return await _list(visitor, paging, type, source, notice=NOTICES.get(done))


@router.post("/events")
async def send(visitor: Visitor, paging: Paging) -> Response:
    """One event, put together from the fields of the form."""
    visitor.require(Permission.EVENTS_READ, Permission.EVENTS_WRITE)
    form = await visitor.form()
    try:
        event = _written(
            form.get("type", ""), form.get("source", ""), form.get("subject", ""), form.get("data", "")
        )
        sending = await sending_of(visitor.parts, visitor.caller, event)
        async with visitor.transaction() as tx:
            [taken] = (await sending(tx)).body["items"]
    except DomainError as refusal:
        return await _list(visitor, paging, "", "", problem=refusal, sent=form)
    return visitor.to(f"/events/{taken['event_id']}", done="sent")


@router.get("/events/{id}")
async def event(visitor: Visitor, id: str, done: str = "") -> Response:
    visitor.require(Permission.EVENTS_READ)
    shown = await show_event(visitor.parts, visitor.caller, identifier(id))
    return visitor.render(
        "triggers/event.html",
        event=shown,
        content=None if shown["event"] is None else json_view(shown["event"]),
        words=WORDS,
        may_repeat=visitor.may(Permission.EVENTS_WRITE)
        and any(each["verdict"] in REPEATABLE for each in shown["routings"]),
        may_see=visitor.may(Permission.EXECUTIONS_READ),
        notice=NOTICES.get(done),
    )


@router.post("/events/{id}/replay")
async def repeat(visitor: Visitor, id: str) -> Response:
    visitor.require(Permission.EVENTS_READ, Permission.EVENTS_WRITE)
    await visitor.form()
    event_id: UUID = identifier(id)
    async with visitor.transaction() as tx:
        await Events(tx).get(event_id)
        await Routings(tx).repeat(event_id)
    return visitor.to(f"/events/{event_id}", done="repeated")


async def _list(
    visitor: Visit,
    paging: Pager,
    type: str,
    source: str,
    *,
    notice: str | None = None,
    problem: DomainError | None = None,
    sent: Any = None,
) -> Response:
    visitor.require(Permission.EVENTS_READ)
    filters = EventFilters(type.strip() or None, source.strip() or None)
    async with visitor.transaction() as tx:
        rows = await Events(tx).page(filters, before=paging.before, limit=paging.fetch)
        known = await routings_of(tx, [row["id"] for row in rows], MOST_LISTED)
    page = paging.page(
        rows,
        lambda row: (row["created_at"], row["id"]),
        lambda row: {**row, **counted(known.get(row["id"], []))},
    )
    asked = {"type": filters.type or "", "source": filters.source or ""}
    values = {
        "rows": page["items"],
        "words": WORDS,
        "asked": asked,
        "next": _address(asked, page["next_cursor"]),
        "may_send": visitor.may(Permission.EVENTS_WRITE),
        "may_see": visitor.may(Permission.EXECUTIONS_READ),
        "sent": {name: (sent or {}).get(name, "") for name in _FIELDS},
        "is_open": sent is not None,
    }
    if problem is not None:
        return visitor.refuse("triggers/events.html", problem, **values)
    return visitor.render("triggers/events.html", notice=notice, **values)


def _address(asked: dict[str, str], cursor: str | None) -> str | None:
    if cursor is None:
        return None
    return (
        f"/events?{urlencode({**{name: value for name, value in asked.items() if value}, 'cursor': cursor})}"
    )


def _written(type: str, source: str, subject: str, data: str) -> dict[str, Any]:
    """A CloudEvent with an id of its own. Raises Invalid for data that are no JSON."""
    event: dict[str, Any] = {
        "specversion": SPECVERSION,
        "id": str(uuid4()),
        "type": type.strip(),
        "source": source.strip(),
    }
    if subject.strip():
        event["subject"] = subject.strip()
    if data.strip():
        try:
            event["data"] = strictjson.read(data.encode())
        except Invalid as refusal:
            raise Invalid("The data of the event are not JSON.", problems=refusal.problems) from None
    return event
