"""Events: sending CloudEvents into the organization, and what each of them started or reached."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Depends, Query, Response
from fastapi import Body as Sent
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Collaborators, Parts
from api.definitions import ProblemView, shown
from api.errors import PayloadTooLarge
from api.fields import Moment
from api.idempotency import Answer, Idempotent
from api.pagination import Paging
from db.eventlisteners import Listeners
from db.events import EventFilters, Events, NewEvent
from db.routing import Routings, RoutingVerdict
from db.sealed import place
from domain import cloudevents
from domain.cloudevents import MAXIMUM_BATCH, Arrived
from domain.errors import Conflict, Invalid, Problem
from domain.keys import Unreadable
from domain.permissions import Permission

router = APIRouter(tags=["events"])
Reader = Annotated[Caller, Depends(require(Permission.EVENTS_READ))]
Sender = Annotated[Caller, Depends(require(Permission.EVENTS_WRITE))]
PATH = "/v1/events"
#: So many executions that heard of an event are named.
MOST_REACHED = 100
#: So many triggers are told of each event of a list, and of one that is looked at alone.
MOST_LISTED = 20
MOST_ROUTINGS = 200


class EventIdReused(Conflict):
    """Another event with this source and id, but other content, is here already; give each event an id of its own."""

    code = "event_id_reused"


class EventTooLarge(PayloadTooLarge):
    """An event has at most 128 KB; keep large data as a document and send its id."""

    code = "event_too_large"


class EventVerdict(StrEnum):
    #: Recorded, and on its way to whoever waits for it.
    ACCEPTED = "accepted"
    #: It was here before; nothing happens twice.
    DUPLICATE = "duplicate"
    #: Another event with this source and id was here before.
    CONFLICT = "conflict"
    #: It is no CloudEvent, or too large; `errors` say why.
    REFUSED = "refused"


class SentEvent(BaseModel):
    index: int = Field(description="Its place in the batch.")
    verdict: EventVerdict
    id: str | None = Field(description="The event's own id.")
    source: str | None
    event_id: UUID | None = Field(
        description="Under which it is found here; of a duplicate that of the first."
    )
    errors: list[ProblemView] = []


class SentEvents(BaseModel):
    accepted: int
    items: list[SentEvent]


class RoutingView(BaseModel):
    """What became of an event at a trigger it may have been meant for."""

    model_config = ConfigDict(extra="ignore")

    trigger_id: UUID
    trigger: str
    workflow_id: UUID
    workflow: str
    verdict: RoutingVerdict
    reason: str | None = Field(description="Why it started nothing.")
    execution_id: UUID | None = Field(description="What it started, alone or as one of a set.")
    decided_at: datetime | None


class EventSummary(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: UUID
    source: str
    event_id: str = Field(description="The event's own id; unique with its source.")
    type: str
    execution_id: UUID | None = Field(description="The execution that emitted it, or whose end it tells.")
    recorded_at: datetime
    routings: list[RoutingView] = Field(
        description=f"By name, at most {MOST_LISTED} of each event in a list and {MOST_ROUTINGS} of one alone; those"
        " that were `filtered` are left out first."
    )
    routings_count: int = Field(description="At how many triggers of workflows that you see.")


class Listening(BaseModel):
    execution_id: UUID
    step: str = Field(description="Where the step stands that listened, and its visit.")


class EventView(EventSummary):
    event: dict[str, Any] | None = Field(description="The whole CloudEvent; null once its key was shredded.")
    reached: list[Listening] = Field(description=f"Steps that heard it, at most {MOST_REACHED}.")


class EventPage(BaseModel):
    items: list[EventSummary]
    next_cursor: str | None


class Repeated(BaseModel):
    routings: int = Field(description="How many triggers look at it once more.")


def _object_or_list(body: Any) -> Any:
    """Otherwise pydantic would tell what each of the two is not, at places that no body has."""
    if not isinstance(body, dict | list):
        raise PydanticCustomError("dict_type", "An event is a JSON object, and several are a list of them.")
    return body


@router.post(PATH, operation_id="events_send", status_code=202, response_model=SentEvents)
async def send_events(
    caller: Sender,
    parts: Parts,
    once: Idempotent,
    body: Annotated[
        dict[str, Any] | list[Any],
        BeforeValidator(_object_or_list),
        Sent(
            description=f"One CloudEvent 1.0 in structured JSON, or up to {MAXIMUM_BATCH} of them in a list."
        ),
    ],
) -> Response:
    """Each event is recorded once: the same `source` and `id` again is a duplicate, and starts nothing more.

    Of a batch every event gets its own verdict, and those that are wrong hinder no other. A batch of which nothing
    can be taken, and a single event that is wrong, are refused.
    """
    sending = await sending_of(parts, caller, body)
    return (await once.run(caller, sending)).response()


async def sending_of(
    parts: Collaborators, caller: Caller, body: dict[str, Any] | list[Any]
) -> Callable[[AsyncConnection], Awaitable[Answer[None]]]:
    """What sending does in its transaction. Raises Invalid."""
    given = body if isinstance(body, list) else [body]
    if not 1 <= len(given) <= MAXIMUM_BATCH:
        told = f"A batch has 1 to {MAXIMUM_BATCH} events, not {len(given)}."
        raise Invalid(problems=[Problem("#", told, "Send it in parts.")])
    batch = _Batch(parts, caller, given, is_single=not isinstance(body, list))
    await parts.keys.seal(caller.organization, b"", "prepare")

    async def record(tx: AsyncConnection) -> Answer[None]:
        return Answer(202, await batch.record(tx))

    return record


@router.get(PATH, operation_id="events_list", response_model=EventPage)
async def list_events(
    *,
    caller: Reader,
    parts: Parts,
    paging: Paging,
    type: Annotated[str | None, Query(max_length=200)] = None,
    source: Annotated[str | None, Query(max_length=1000)] = None,
    recorded_from: Annotated[Moment | None, Query(alias="from", description="Recorded at or after.")] = None,
    recorded_to: Annotated[Moment | None, Query(alias="to", description="Recorded before.")] = None,
) -> Any:
    """Newest first, with what each started; of the last thirty days."""
    filters = EventFilters(type, source, recorded_from, recorded_to)
    async with parts.database.transaction(caller.access) as tx:
        rows = await Events(tx).page(filters, before=paging.before, limit=paging.fetch)
        known = await routings_of(tx, [row["id"] for row in rows], MOST_LISTED)
    return paging.page(
        rows, lambda row: (row["created_at"], row["id"]), lambda row: summary(row, known.get(row["id"], []))
    )


@router.get(PATH + "/{id}", operation_id="events_get", response_model=EventView)
async def get_event(caller: Reader, parts: Parts, id: UUID) -> Any:
    """The event as it was recorded, what it started, and which steps heard it."""
    return await show_event(parts, caller, id)


@router.post(PATH + "/{id}/replay", operation_id="events_replay", status_code=202, response_model=Repeated)
async def replay_event(caller: Sender, once: Idempotent, id: UUID) -> Response:
    """Every active trigger of its type looks at the event once more, as it is published now.

    Triggers that it has started, or for which it waits in a set, are left alone: an event starts a trigger once.
    """

    async def repeat(tx: AsyncConnection) -> Answer[None]:
        await Events(tx).get(id)
        return Answer(202, {"routings": await Routings(tx).repeat(id)})

    return (await once.run(caller, repeat)).response()


async def show_event(parts: Collaborators, caller: Caller, id: UUID) -> dict[str, Any]:
    """Raises NotFound."""
    async with parts.database.transaction(caller.access) as tx:
        row = await Events(tx).get(id)
        known = await routings_of(tx, [id], MOST_ROUTINGS)
        reached = await Listeners(tx).reached(id, limit=MOST_REACHED)
    try:
        content = await parts.keys.open(
            row["organization_id"], row["content"], place("events", "content", id)
        )
        event = orjson.loads(content)
    except Unreadable:
        event = None
    heard = [{"execution_id": each["execution_id"], "step": each["occurrence"]} for each in reached]
    return {**summary(row, known.get(id, [])), "event": event, "reached": heard}


async def routings_of(
    tx: AsyncConnection, ids: Sequence[UUID], most: int
) -> dict[UUID, list[dict[str, Any]]]:
    """At most so many of each event."""
    known: dict[UUID, list[dict[str, Any]]] = {}
    for each in await Routings(tx).of_events(ids, most=most) if ids else ():
        known.setdefault(each["event_id"], []).append(dict(each))
    return known


def summary(row: Mapping[Any, Any], routings: list[dict[str, Any]]) -> dict[str, Any]:
    shown = {str(name): value for name, value in row.items() if name != "content"}
    return {**shown, "recorded_at": row["created_at"], **counted(routings)}


def counted(routings: list[dict[str, Any]]) -> dict[str, Any]:
    """As `routings_of` gives them, with how many there are of the event."""
    return {"routings": routings, "routings_count": routings[0]["routings_count"] if routings else 0}


@dataclass(frozen=True, slots=True)
class _Known:
    """An event that is here under a source and id, to be compared with others that say the same."""

    id: UUID
    event: Mapping[str, Any] | None


class _Batch:
    """What one request brings, judged event by event."""

    def __init__(
        self, parts: Collaborators, caller: Caller, given: Sequence[Any], *, is_single: bool
    ) -> None:
        self._parts = parts
        self._organization_id = caller.organization
        self._sent_by = caller.user_id
        self._is_single = is_single
        now = parts.clock()
        self._read = [
            cloudevents.read(each, "#" if is_single else f"#/{index}", now)
            for index, each in enumerate(given)
        ]

    async def record(self, tx: AsyncConnection) -> dict[str, Any]:
        """Raises Invalid, EventTooLarge or EventIdReused when there is nothing to take."""
        arrived = [each for each in self._read if isinstance(each, Arrived)]
        first: dict[tuple[str, str], Arrived] = {}
        for each in arrived:
            first.setdefault(each.said, each)
        new = [await self._sealed(each) for each in first.values()]
        recorded = await Events(tx).record_all(self._organization_id, new)
        fresh = {(each.source, each.event_id): each.id for each in new if each.id in recorded}
        others = [pair for pair in first if pair not in fresh]
        known = await self._opened(await Events(tx).known(others)) if others else {}
        known |= {pair: _Known(id, first[pair].event) for pair, id in fresh.items()}
        items = [
            _judged(index, each, known[each.said], is_new=each.said in fresh and each is first[each.said])
            if isinstance(each, Arrived)
            else _item(index, EventVerdict.REFUSED, problems=each)
            for index, each in enumerate(self._read)
        ]
        accepted = sum(item["verdict"] == EventVerdict.ACCEPTED for item in items)
        taken = accepted + sum(item["verdict"] == EventVerdict.DUPLICATE for item in items)
        if not taken:
            self._refuse(items)
        return {"accepted": accepted, "items": items}

    async def _sealed(self, arrived: Arrived) -> NewEvent:
        id = uuid4()
        content = orjson.dumps(arrived.event)
        return NewEvent(
            id=id,
            organization_id=self._organization_id,
            execution_id=None,
            sent_by=self._sent_by,
            source=arrived.source,
            event_id=arrived.id,
            type=arrived.type,
            content=await self._parts.keys.seal(
                self._organization_id, content, place("events", "content", id)
            ),
        )

    async def _opened(
        self, stored: Mapping[tuple[str, str], tuple[UUID, bytes]]
    ) -> dict[tuple[str, str], _Known]:
        found = {}
        for pair, (id, content) in stored.items():
            try:
                told = await self._parts.keys.open(
                    self._organization_id, content, place("events", "content", id)
                )
                found[pair] = _Known(id, orjson.loads(told))
            except Unreadable:  # nothing says that it is another one
                found[pair] = _Known(id, None)
        return found

    def _refuse(self, items: Sequence[Mapping[str, Any]]) -> None:
        problems = [problem for each in self._read if not isinstance(each, Arrived) for problem in each]
        if not problems:
            raise EventIdReused
        if all(problem.code == "event_too_large" for problem in problems):
            raise EventTooLarge(problems=problems)
        what = "The event is" if self._is_single else "None of the events is"
        raise Invalid(
            f"{what} {'not ' if self._is_single else ''}acceptable; see `errors`.", problems=problems
        )


def _judged(index: int, arrived: Arrived, before: _Known, *, is_new: bool) -> dict[str, Any]:
    if is_new:
        return _item(index, EventVerdict.ACCEPTED, arrived, before.id)
    if before.event is None or arrived.says_what(dict(before.event)):
        return _item(index, EventVerdict.DUPLICATE, arrived, before.id)
    told = Problem(f"#/{index}/id", str(EventIdReused()), "Give it an id of its own.", EventIdReused.code)
    return _item(index, EventVerdict.CONFLICT, arrived, before.id, [told])


def _item(
    index: int,
    verdict: EventVerdict,
    arrived: Arrived | None = None,
    event_id: UUID | None = None,
    problems: Sequence[Problem] = (),
) -> dict[str, Any]:
    return {
        "index": index,
        "verdict": verdict,
        "id": None if arrived is None else arrived.id,
        "source": None if arrived is None else arrived.source,
        "event_id": event_id,
        "errors": [shown(problem, None) for problem in problems],
    }
