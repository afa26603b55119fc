"""Event triggers: which events start a workflow, as a trigger's configuration or as the DSL's `schedule.on`."""

from collections import Counter
from typing import Any, Final

from domain.definitions import durations
from domain.definitions.model import MAX_EVENT_TYPE, READINGS
from domain.definitions.pointers import join
from domain.definitions.validation.expressions import Expressions
from domain.definitions.validation.filters import check_filter
from domain.definitions.validation.keywords.listening import check_strategy
from domain.definitions.validation.report import Report, kind, shown

_FIELDS: Final = frozenset({"type", "source", "subject", "filter", "read", "max_age", "on"})
#: The short form, which `on` says in full.
_SHORT: Final = ("type", "source", "subject", "filter")
MAX_TYPES: Final = 20
#: Nothing of an execution can be read before there is one.
_NOTHING: Final = frozenset[str]()


def check_event_trigger(report: Report, at: str, given: dict[str, Any]) -> None:
    """The `configuration` of an event trigger."""
    report.unknown_fields(at, given, _FIELDS, "The configuration of an event trigger")
    expressions = Expressions(report, Counter())
    short = [name for name in _SHORT if name in given]
    if "on" in given:
        check_on(report, expressions, join(at, "on"), given["on"])
        for name in short:
            message = f"`{name}` belongs to the short form, and this trigger says it in `on`."
            report.add(
                join(at, name), "said_twice", message, "Say it in the filters of `on`, or leave `on` out."
            )
    elif "type" not in given:
        message = "An event trigger says in `type` which events start the workflow."
        report.add(at, "missing_field", message, "For example `type: invoice.paid`; or write `on: …`.")
    else:
        _check_short(report, expressions, at, given)
    if given.get("read", "data") not in READINGS:
        message = f"`read` says how events are read: {', '.join(READINGS)}."
        report.add(join(at, "read"), "bad_reading", message)
    if "max_age" in given:
        _check_age(report, join(at, "max_age"), given["max_age"])


def check_on(report: Report, expressions: Expressions, at: str, value: Any) -> None:
    """`one`, `any` or `all` filters; those of `all` correlate by the same names, or none does."""
    before = len(report.problems)
    check_strategy(report, expressions, at, value, _NOTHING, "`on`")
    if not isinstance(value, dict) or len(report.problems) > before:
        return
    if "until" in value:
        message = "What starts a workflow is complete with its first event: `until` has nothing to end."
        report.add(join(at, "until"), "misplaced_until", message, "Collect events with a step that listens.")
    if "all" in value:
        names = [frozenset(each.get("correlate", {})) for each in value["all"]]
        if len(set(names)) > 1:
            message = (
                "The events of one set are found by what they all correlate: the same names in every filter."
            )
            report.add(
                join(at, "all"), "uneven_correlation", message, "Write `correlate` alike in all of them."
            )


def _check_short(report: Report, expressions: Expressions, at: str, given: dict[str, Any]) -> None:
    named = given["type"]
    listed = named if isinstance(named, list) else [named]
    if not listed or len(listed) > MAX_TYPES:
        message = f"`type` is a text, or a list of 1 to {MAX_TYPES} texts."
        report.add(join(at, "type"), "bad_event_type", message)
    for index, each in enumerate(listed[:MAX_TYPES]):
        place = join(join(at, "type"), index) if isinstance(named, list) else join(at, "type")
        if isinstance(each, str):
            _attribute(report, place, "type", each)
        else:
            message = f"The type of an event is a text of 1 to {MAX_EVENT_TYPE} characters, not {kind(each)}."
            report.add(place, "bad_event_type", message)
    for name in ("source", "subject"):
        if name in given:
            _attribute(report, join(at, name), name, given[name])
    if "filter" in given:
        expressions.expression(join(at, "filter"), given["filter"], _NOTHING, "`filter`")


def _attribute(report: Report, at: str, name: str, value: Any) -> None:
    """One attribute, as a filter has it."""
    inner = Report()
    check_filter(inner, Expressions(inner, Counter()), "", {"with": {name: value}}, _NOTHING)
    for problem in inner.problems:
        report.add(at, problem.code, problem.message, problem.suggestion)


def _check_age(report: Report, at: str, value: Any) -> None:
    try:
        durations.parse(value, allow_zero=False)
    except durations.InvalidDuration as error:
        report.add(at, "bad_duration", f"{error.message}", f"For example `1 hour`, not {shown(str(value))}.")
