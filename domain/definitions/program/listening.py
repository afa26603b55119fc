"""Compiles `listen` and `emit`: each filter's attributes become what they are compared with or tested by."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from domain.actions import Effect, Lane
from domain.definitions.expressions import (
    Expression,
    Json,
    Template,
    compile_template,
    is_expression,
    strip_expression,
)
from domain.events import EMIT, OF_WORKFLOWS, is_pattern, pattern

from .filters import Correlation, EventFilter, Foreach, Listen, Literally, Strategy
from .flow import expression, flow
from .parts import Call, PinnedAction

#: Part of the engine, like the keyword itself: there is nothing to choose when publishing.
_EMITTING: Final[dict[str, Any]] = {
    "action": EMIT,
    "version": "1.0.0",
    "lane": Lane.SEGMENT,
    "effect": Effect.IDEMPOTENT,
    "timeout": timedelta(seconds=5),
}


def listen(body: Mapping[str, Any], block: str | None) -> Listen:
    """`block` is where the steps of `foreach` were loaded, if it has any."""
    written = body["listen"]
    to = strategy(written["to"], "to")
    return Listen(to, written.get("read", "data"), _foreach(body.get("foreach"), block), types_of(to))


def emit(body: Mapping[str, Any], name: str) -> Call:
    """An event is a call of a built-in action; its source is the workflow unless the step says otherwise."""
    pinned = PinnedAction(**_EMITTING, defaults={"source": f"{OF_WORKFLOWS}{name}"})
    arguments = {**pinned.defaults, **body["emit"]["event"]["with"]}
    return Call(EMIT, pinned, compile_template(arguments, mixed=True), frozenset())


def strategy(written: Mapping[str, Any], place: str) -> Strategy:
    """`place` begins the keys of its correlations."""
    if "one" in written:
        return Strategy("one", (_filter(written["one"], f"{place}/0"),))
    way, filters = ("all", written["all"]) if "all" in written else ("any", written["any"])
    until: Expression | Strategy | None = None
    if way == "any" and "until" in written:
        condition = written["until"]
        until = expression(condition) if isinstance(condition, str) else strategy(condition, "until")
    wanted = tuple(_filter(each, f"{place}/{index}") for index, each in enumerate(filters))
    return Strategy("all" if way == "all" else "any", wanted, until)


def _filter(written: Mapping[str, Any], place: str) -> EventFilter:
    return EventFilter(
        attributes=tuple((name, _wanted(value)) for name, value in written["with"].items()),
        correlations=tuple(
            Correlation(name, f"{place}/{name}", expression(each["from"]), _expected(each.get("expect")))
            for name, each in written.get("correlate", {}).items()
        ),
    )


def _wanted(value: Json) -> Literally | Expression | Template:
    if isinstance(value, str):
        if is_expression(value):
            return expression(value)
        return Literally(value, pattern(value) if is_pattern(value) else None)
    template = compile_template(value)
    return template if template.names or _has_expression(value) else Literally(value)


def _has_expression(value: Json) -> bool:
    if isinstance(value, dict):
        return any(map(_has_expression, value.values()))
    if isinstance(value, list):
        return any(map(_has_expression, value))
    return isinstance(value, str) and is_expression(value)


def _expected(value: str | None) -> Expression | str | None:
    return expression(strip_expression(value)) if value is not None and is_expression(value) else value


def _foreach(written: Mapping[str, Any] | None, block: str | None) -> Foreach | None:
    if written is None:
        return None
    return Foreach(written.get("item", "item"), written.get("at", "index"), block, flow(written))


def types_of(to: Strategy) -> tuple[str, ...] | None:
    """All types of events it can take; None as soon as one filter could take an event of any type."""
    wanted = [_type(each) for each in _filters(to)]
    if None in wanted or (to.way == "any" and not to.filters):
        return None
    return tuple(dict.fromkeys(type for type in wanted if type is not None))


def _filters(to: Strategy) -> Iterator[EventFilter]:
    yield from to.filters
    if isinstance(to.until, Strategy):
        yield from _filters(to.until)


def _type(wanted: EventFilter) -> str | None:
    type = dict(wanted.attributes).get("type")
    if isinstance(type, Literally) and type.pattern is None and isinstance(type.value, str):
        return type.value
    return None
