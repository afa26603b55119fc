"""Events that a workflow emits, recorded in the transaction of the segment that emits them."""

from datetime import UTC, timedelta
from typing import Annotated, Any
from uuid import UUID

import orjson
from pydantic import ConfigDict, Field, JsonValue, RootModel, field_validator

from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, action
from activities.listening import opened
from db.events import Events, NewEvent
from db.sealed import place
from domain.actions import Effect, Lane
from domain.definitions.faults import Fault
from domain.definitions.values import measure
from domain.events import (
    EMIT,
    MAXIMUM_EVENT,
    MAXIMUM_ID,
    MAXIMUM_SOURCE,
    MAXIMUM_TYPE,
    RESERVED,
    SPECVERSION,
    attribute_problem,
    may_emit_as,
)
from domain.ids import derived_id

Attribute = Annotated[str, Field(min_length=1, max_length=1000)]


class Emitted(Arguments):
    """The attributes of a CloudEvent; others than these are extensions."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: Annotated[str, Field(min_length=1, max_length=MAXIMUM_TYPE)]
    source: Annotated[str, Field(min_length=1)]
    id: Annotated[str, Field(min_length=1)] | None = None
    time: Attribute | None = None
    subject: Attribute | None = None
    datacontenttype: Attribute | None = None
    dataschema: Attribute | None = None
    data: JsonValue = None

    @field_validator("id", "source")
    @classmethod
    def _bounded(cls, value: str | None, info: Any) -> str | None:
        limit = MAXIMUM_ID if info.field_name == "id" else MAXIMUM_SOURCE
        if value is not None and len(value.encode()) > limit:
            raise ValueError(f"{info.field_name} has at most {limit} bytes")
        if info.field_name == "source" and value is not None and not may_emit_as(value):
            raise ValueError(f"sources that begin with {RESERVED} are those of this platform itself")
        return value


class CloudEvent(RootModel[dict[str, JsonValue]]):
    """The event as it was recorded."""


@action(
    EMIT,
    version="1.0.0",
    title="Emit an event",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=timedelta(seconds=5),
)
async def emit(context: ActionContext, arguments: Emitted) -> CloudEvent:
    """Publish a CloudEvent to the workflows of the organization that listen to it.

    Its id comes from the step unless one is given. An event with a source and id that were used before is the
    same event: it is not published again.
    """
    id = derived_id(f"{context.effect_key}/event")
    event = _event(context, arguments, id)
    content = orjson.dumps(event)
    recorded = await Events(context.transaction).record(
        NewEvent(
            id=id,
            organization_id=context.organization_id,
            execution_id=context.execution_id,
            source=arguments.source,
            event_id=str(event["id"]),
            type=arguments.type,
            content=await context.services.keys.seal(
                context.organization_id, content, place("events", "content", id)
            ),
        )
    )
    return CloudEvent(event if recorded else await _standing(context, event, id))


def _event(context: ActionContext, arguments: Emitted, id: UUID) -> dict[str, JsonValue]:
    given = arguments.model_dump(exclude_none=True)
    if "data" in arguments.model_fields_set:
        given["data"] = arguments.data
    for name, value in (arguments.model_extra or {}).items():
        problem = attribute_problem(name, value)
        if problem is not None:
            raise Fault("validation", 400, "Arguments refused", f"{EMIT}: {problem}")
    time = context.now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = {"specversion": SPECVERSION, "id": str(id), "time": time, **given}
    if measure(event, MAXIMUM_EVENT) > MAXIMUM_EVENT:
        limit = (
            f"An event has at most {MAXIMUM_EVENT // 1024} KB; keep large data as a document and send its id"
        )
        raise Fault("validation", 413, "Event too large", limit)
    return event


async def _standing(context: ActionContext, event: dict[str, JsonValue], id: UUID) -> Any:
    """The event that was recorded before: by this very step, or by another that says the same."""
    found = await Events(context.transaction).of(str(event["source"]), str(event["id"]))
    if found is None:  # forgotten in this moment
        return event
    known = await opened(context.services.keys, context.organization_id, *found)
    if found[0] != id and any(known.get(name) != event.get(name) for name in ("type", "subject", "data")):
        raise Fault(
            "validation",
            409,
            "Event id reused",
            "another event with this source and id, but with other content, was emitted before; leave `id` out, and"
            " each event has one of its own",
        )
    return known
