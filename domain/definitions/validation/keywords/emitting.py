"""`emit`: the event that a step publishes."""

import re
from typing import Any, Final

from domain.definitions.model import MAX_EVENT_TYPE
from domain.definitions.pointers import join
from domain.definitions.validation.calls import Calls
from domain.definitions.validation.certainty import is_open
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report, kind
from domain.events import ATTRIBUTES, MAXIMUM_ID, MAXIMUM_SOURCE, RESERVED, attribute_problem, may_emit_as

from .step import Step

_BYTES: Final = {"id": MAXIMUM_ID, "source": MAXIMUM_SOURCE}
_ADDRESS: Final = re.compile(r"[^\s<>\"\\^`|]+")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def check_emit(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    at = step.at("emit")
    emit = report.object(at, step.body["emit"], "`emit`")
    if emit is None:
        return step.names
    report.unknown_fields(at, emit, {"event"}, "`emit`")
    if "event" not in emit:
        hint = "Write `event: {with: {type: …, data: …}}`."
        report.add(at, "missing_field", "`emit` does not say which event.", hint)
        return step.names
    at = join(at, "event")
    event = report.object(at, emit["event"], "`event`")
    if event is None:
        return step.names
    report.unknown_fields(at, event, {"with"}, "`event`")
    if "with" in event:
        _check_attributes(report, expressions, join(at, "with"), event["with"], step.names)
    else:
        hint = "Write `with: {type: …, data: …}`."
        report.add(at, "missing_field", "The event needs its attributes in `with`.", hint)
    return step.names


def _check_attributes(
    report: Report, expressions: Expressions, pointer: str, value: Any, names: Names
) -> None:
    attributes = report.object(pointer, value, "`with`")
    if attributes is None:
        return
    if "type" not in attributes:
        hint = "Name what happened, for example `type: com.example.invoice.paid`."
        report.add(pointer, "missing_field", "An event needs a `type`.", hint)
    expressions.template(pointer, attributes, names, mixed=True)
    for name, given in attributes.items():
        at = join(pointer, name)
        if name not in ATTRIBUTES:
            problem = attribute_problem(name, None if isinstance(given, str) else given)
            if problem is not None:
                report.add(at, "bad_attribute", problem[0].upper() + problem[1:] + ".")
        elif name != "data" and not isinstance(given, str):
            report.add(at, "wrong_type", f"The `{name}` of an event must be a text, not {kind(given)}.")
        elif name != "data" and not is_open(given):
            _check_text(report, at, name, given)


def _check_text(report: Report, at: str, name: str, given: str) -> None:
    if name == "type":
        if not 1 <= len(given) <= MAX_EVENT_TYPE:
            message = f"The `type` of an event has 1 to {MAX_EVENT_TYPE} characters."
            report.add(at, "bad_event_type", message)
        return
    if not given:
        report.add(at, "empty_attribute", f"The `{name}` of an event cannot be empty.", "Leave it out.")
    elif len(given.encode()) > _BYTES.get(name, 1000):
        message = f"The `{name}` of an event has at most {_BYTES.get(name, 1000)} bytes."
        report.add(at, "attribute_too_long", message)
    elif name in ("source", "dataschema") and not _ADDRESS.fullmatch(given):
        message = f"The `{name}` of an event is an address (a URI), without spaces."
        report.add(at, "bad_reference", message, "For example `https://example.com/orders` or `/orders`.")
    elif name == "source" and not may_emit_as(given):
        message = f"Sources that begin with `{RESERVED}` are those of this platform itself."
        report.add(at, "reserved_source", message, "For example `https://example.com/orders` or `/orders`.")
    elif name == "time" and not _MOMENT.fullmatch(given):
        hint = "For example `2026-03-01T09:30:00Z`; left out, it is the moment of sending."
        report.add(at, "bad_time", "The `time` of an event is a date and time with its zone.", hint)
