"""`listen`: which events a step waits for."""

from typing import Any

from domain.definitions.model import (
    MAX_EVENT_TYPE,
    READINGS,
)
from domain.definitions.pointers import join
from domain.definitions.validation.calls import Calls
from domain.definitions.validation.certainty import is_open
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report, shown

from .step import Step


def check_listen(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    """One event of a named type; the other ways of listening are told apart from mistakes."""
    at = step.at("listen")
    listen = report.object(at, step.body["listen"], "`listen`")
    if listen is not None:
        report.unknown_fields(at, listen, {"to", "read"}, "`listen`")
        read = listen.get("read", "data")
        if read == "raw":
            report.unsupported(join(at, "read"), "`read: raw`", "Use `data` or `envelope`.")
        elif read not in READINGS:
            message = "`read` says how events are read: `data` or `envelope`."
            report.add(join(at, "read"), "bad_reading", message)
        if "to" in listen:
            _check_events(report, join(at, "to"), listen["to"])
        else:
            hint = "Write `to: {one: {with: {type: …}}}`."
            report.add(at, "missing_field", "`listen` does not say what it waits for.", hint)
    if "foreach" in step.body:
        report.unsupported(step.at("foreach"), "`foreach`", "Loop over the output in a `for` step.")
    return step.names | _iterator_names(step)


def _check_events(report: Report, pointer: str, value: Any) -> None:
    to = report.object(pointer, value, "`to`")
    if to is None:
        return
    report.unknown_fields(pointer, to, {"one", "all", "any", "until"}, "`to`")
    for word in ("all", "any", "until"):
        if word in to:
            report.unsupported(join(pointer, word), f"`{word}`", "Listen to `one` event.")
    if "one" not in to:
        if not {"all", "any"} & to.keys():
            hint = "Write `one: {with: {type: …}}`."
            report.add(pointer, "missing_field", "`to` does not say which event.", hint)
        return
    at = join(pointer, "one")
    event = report.object(at, to["one"], "`one`")
    if event is None:
        return
    report.unknown_fields(at, event, {"with", "correlate"}, "An event filter")
    if "correlate" in event:
        report.unsupported(join(at, "correlate"), "`correlate`")
    if "with" not in event:
        report.add(at, "missing_field", "The event filter needs `with`.", "Write `with: {type: …}`.")
        return
    at = join(at, "with")
    attributes = report.object(at, event["with"], "`with`")
    if attributes is None:
        return
    for name in attributes:
        if name != "type":
            report.unsupported(join(at, name), f"Filtering events by `{shown(name)}`", "Filter by `type`.")
    if "type" in attributes:
        _check_event_type(report, join(at, "type"), attributes["type"])
    elif not attributes:
        report.add(at, "missing_field", "`with` names the event by its `type`.", "Add `type`.")


def _check_event_type(report: Report, pointer: str, value: Any) -> None:
    type = report.text(pointer, value, "The `type` of an event")
    if type is None:
        return
    if is_open(type):
        report.unsupported(pointer, "An expression as `type`", "Write the type itself.")
    elif not 1 <= len(type) <= MAX_EVENT_TYPE:
        message = f"The `type` of an event has 1 to {MAX_EVENT_TYPE} characters."
        report.add(pointer, "bad_event_type", message)


def _iterator_names(step: Step) -> Names:
    """The loop variables of `foreach`, known although it is not supported: the steps inside are checked."""
    loop = step.body.get("foreach")
    if not isinstance(loop, dict):
        return frozenset()
    return frozenset(
        name for name in (loop.get("item", "item"), loop.get("at", "index")) if isinstance(name, str)
    )
