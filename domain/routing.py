"""Event triggers: which events start a workflow, and what it is started with.

`configuration` says it in one of two ways: `{type, source?, subject?, filter?}` for one event, or `{on: …}` as the
DSL's `schedule.on` for one, any or all of several. `read` and `max_age` go with both.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from domain import cloudevents, events
from domain.definitions import durations, phrases
from domain.definitions.expressions import (
    ACTIVATION_FUEL,
    Expression,
    ExpressionError,
    FuelExhausted,
    Json,
    Meter,
    Template,
    compile_expression,
    strip_expression,
)
from domain.definitions.fitting import attribute_fits, same
from domain.definitions.program import EventFilter, Strategy
from domain.definitions.program.listening import strategy, types_of
from domain.definitions.values import canonical

SOURCE_OF_EXECUTIONS: Final = "/perdure/executions"
#: So many executions may have started each other by events; the next one is refused.
MAXIMUM_HOPS: Final = 10
#: What an execution is started with, in bytes of JSON: as much as a request may bring.
MAXIMUM_INPUT: Final = 1024 * 1024
_ATTRIBUTES: Final = ("type", "source", "subject")
_TOLD: Final = ("id", "source", "type", "subject", "time")


class FilterFailed(Exception):
    """No answer came of a trigger's filters for an event; the message says why, for the author of the filter."""


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """`listed`: the input is the list of the events, as the DSL says; otherwise the one event itself."""

    to: Strategy
    condition: Expression | None
    read: str
    max_age: timedelta | None
    listed: bool

    @property
    def types(self) -> tuple[str, ...] | None:
        return types_of(self.to)

    @property
    def is_set(self) -> bool:
        """Whether it starts only when one event for each of its filters has come."""
        return self.to.way == "all"


@dataclass(frozen=True, slots=True)
class Fit:
    """Each filter that takes the event, with the correlation it found: events of one set have the same."""

    filters: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why the event is none for this trigger."""

    reason: str
    is_late: bool = False


def parse(configuration: Mapping[str, Any]) -> EventTrigger:
    """A configuration that validation accepted. Raises ExpressionError, KeyError, TypeError for any other."""
    on = configuration.get("on")
    source = configuration.get("filter")
    age = configuration.get("max_age")
    return EventTrigger(
        to=strategy(_one_of(configuration) if on is None else on, "on"),
        condition=None if source is None else compile_expression(strip_expression(source.strip())),
        read=configuration.get("read", "data"),
        max_age=None if age is None else durations.parse(age),
        listed=on is not None,
    )


def types(configuration: Mapping[str, Any]) -> list[str] | None:
    """All types of events that the trigger can take; None when they are not listed."""
    found = parse(configuration).types
    return None if found is None else list(found)


def judge(trigger: EventTrigger, event: Mapping[str, Json], recorded: datetime) -> Fit | Misfit:
    """Hold an event against the filters. Raises FilterFailed."""
    if trigger.max_age is not None:
        age = _age(event, recorded)
        if age is not None and age > trigger.max_age:
            late = f"it came {_in_words(age)} after it had happened"
            return Misfit(
                f"{late}, and this trigger takes none after {_in_words(trigger.max_age)}", is_late=True
            )
    meter = Meter(ACTIVATION_FUEL)
    try:
        return _judged(trigger, event, meter)
    except FuelExhausted:
        raise FilterFailed(
            "The filters of this trigger take too many steps together; simplify them."
        ) from None
    except ExpressionError as error:
        raise FilterFailed(str(error)) from None


def input_of(trigger: EventTrigger, found: Sequence[Mapping[str, Json]]) -> Json:
    """What the workflow starts with, from the events in the order in which they were recorded."""
    read = [events.read(event, trigger.read) for event in found]
    return read if trigger.listed else read[0]


def told(name: str, found: Sequence[Mapping[str, Json]]) -> dict[str, Any]:
    """`$workflow.trigger`: `event` is the one that completed it; `events` are all where it is a list."""
    brief = [{each: event[each] for each in _TOLD if each in event} for event in found]
    return {"type": "event", "name": name, "event": brief[-1], "events": brief}


def trigger_key(trigger_id: object, event_id: object) -> str:
    """Unique in the organization: one event starts one execution of a trigger."""
    return f"event/{trigger_id}/{event_id}"


def _one_of(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The short form as the long one: each of the types with the other attributes."""
    wanted = {name: configuration[name] for name in _ATTRIBUTES if name in configuration}
    named = wanted.get("type")
    if isinstance(named, list):
        return {"any": [{"with": {**wanted, "type": each}} for each in named]}
    return {"one": {"with": wanted}} if wanted else {"any": []}


def _judged(trigger: EventTrigger, event: Mapping[str, Json], meter: Meter) -> Fit | Misfit:
    failed: ExpressionError | None = None
    found: list[tuple[int, str]] = []
    if trigger.to.way == "any" and not trigger.to.filters:
        found.append((0, ""))
    for index, wanted in enumerate(trigger.to.filters):
        try:
            correlation = _fits(wanted, event, meter)
        except ExpressionError as error:
            failed = failed or error
            continue
        if correlation is not None:
            found.append((index, correlation))
            if not trigger.is_set:
                break
    if not found:
        if failed is not None:
            raise failed
        return Misfit("no filter takes it")
    if trigger.condition is not None:
        held = trigger.condition.evaluate(dict(event), {}, meter)
        if held is None or held is False:
            return Misfit("`filter` does not hold for it")
    return Fit(tuple(found))


def _fits(wanted: EventFilter, event: Mapping[str, Json], meter: Meter) -> str | None:
    """The correlation that was found; None for an event that is not meant."""

    def evaluate(part: Expression | Template, value: Json) -> Json:
        return part.evaluate(value, {}, meter)

    for name, attribute in wanted.attributes:
        if name not in event or not attribute_fits(attribute, event[name], evaluate):
            return None
    values: dict[str, Json] = {}
    for correlation in wanted.correlations:
        value = evaluate(correlation.start, dict(event))
        if value is None:
            return None
        expected = correlation.expect
        if expected is not None:
            meant = expected if isinstance(expected, str) else evaluate(expected, None)
            if not same(meant, value):
                return None
        values[correlation.name] = value
    return _hashed(values) if values else ""


def _hashed(values: Mapping[str, Json]) -> str:
    """What is compared may be anybody's address or number; it is not kept."""
    return hashlib.blake2b(canonical(dict(values)), digest_size=20).hexdigest()


def _age(event: Mapping[str, Json], recorded: datetime) -> timedelta | None:
    time = event.get("time")
    moment = cloudevents.moment(time) if isinstance(time, str) else None
    return None if moment is None else recorded - moment


def _in_words(span: timedelta) -> str:
    return phrases.duration(durations.iso(timedelta(seconds=round(span.total_seconds()))))
