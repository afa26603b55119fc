"""Whether an event is one that a listening step waits for.

Events come from outside: one on which a filter's expression fails is simply not meant, and never fails the step.
"""

from collections.abc import Mapping
from dataclasses import replace

from domain.definitions.checks import charge_walk
from domain.definitions.expressions import ExpressionError, Json
from domain.definitions.fitting import attribute_fits, same
from domain.definitions.program import EventFilter, Listen, Shape, Strategy
from domain.definitions.state import Frame

from .activation import Activation
from .hearing import Hearing


def taken(
    activation: Activation, frame: Frame, listen: Listen, hearing: Hearing, kept: Mapping[str, Json]
) -> Hearing | None:
    """The step with the event, or None when it leaves the event alone. `kept` is the event and its size."""
    event, size = kept["event"], kept["size"]
    assert isinstance(event, dict)
    assert isinstance(size, int)
    charge_walk(activation.meter, size)
    if hearing.closed:
        return None
    until = listen.to.until
    if isinstance(until, Strategy):
        ending = _first(activation, frame, until, hearing, hearing.until_met, event)
        if ending is not None:
            index, latched = ending
            met = [*hearing.until_met, index]
            # What an `until` consumes is no part of what the step gives.
            return replace(
                hearing,
                consumed=hearing.consumed + 1,
                until_met=met,
                latched={**latched, **hearing.latched},
                closed=_complete(until, met),
            )
    found = _first(activation, frame, listen.to, hearing, hearing.met, event)
    if found is None:
        return None
    index, latched = found
    met = hearing.met if until is not None else [*hearing.met, index]
    closed = until is None and _complete(listen.to, met)
    return replace(hearing.takes(dict(kept), latched), met=met, closed=closed)


def _complete(to: Strategy, met: list[int]) -> bool:
    return len(met) == len(to.filters) if to.way == "all" else bool(met)


def _first(
    activation: Activation,
    frame: Frame,
    to: Strategy,
    hearing: Hearing,
    met: list[int],
    event: dict[str, Json],
) -> tuple[int, dict[str, Json]] | None:
    """The first filter that takes the event, and what its correlations were found to be. An event counts once."""
    if to.way == "any" and not to.filters:
        return 0, {}
    for index, wanted in enumerate(to.filters):
        if to.way == "all" and index in met:
            continue
        try:
            latched = _fits(activation, frame, wanted, hearing, event)
        except ExpressionError:
            continue
        if latched is not None:
            return index, latched
    return None


def _fits(
    activation: Activation, frame: Frame, wanted: EventFilter, hearing: Hearing, event: dict[str, Json]
) -> dict[str, Json] | None:
    def evaluate(part: Shape, data: Json) -> Json:
        return activation.evaluate(part, data, frame)

    for name, attribute in wanted.attributes:
        if name not in event or not attribute_fits(attribute, event[name], evaluate):
            return None
    found: dict[str, Json] = {}
    for correlation in wanted.correlations:
        value = activation.evaluate(correlation.start, event, frame)
        if value is None:
            return None
        for known in (hearing.expected, hearing.latched):
            name = correlation.key if known is hearing.expected else correlation.name
            if name in known and not same(known[name], value):
                return None
        found[correlation.name] = value
    return found
