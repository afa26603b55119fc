"""`listen`: which events a step waits for, when it has heard enough, and what it does with each."""

from typing import Any, Final

from domain.definitions.model import READINGS
from domain.definitions.pointers import join
from domain.definitions.validation.calls import Calls
from domain.definitions.validation.data import check_data
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.filters import check_filter
from domain.definitions.validation.report import Report, kind, shown

from .step import Step
from .variables import check_variable

#: Each is asked of every event, so a step asks no more.
MAX_FILTERS: Final = 50
_WAYS: Final = ("one", "all", "any")
_ITERATOR: Final = frozenset({"item", "at", "do", "output", "export"})


def check_listen(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    """The steps of `foreach` see its variables too."""
    at = step.at("listen")
    listen = report.object(at, step.body["listen"], "`listen`")
    if listen is not None:
        report.unknown_fields(at, listen, {"to", "read"}, "`listen`")
        read = listen.get("read", "data")
        if read not in READINGS:
            told = f"not `{shown(read)}`" if isinstance(read, str) else f"not {kind(read)}"
            message = f"`read` says how events are read: `data`, `envelope` or `raw`, {told}."
            hint = report.did_you_mean(read, READINGS) if isinstance(read, str) else None
            report.add(join(at, "read"), "bad_reading", message, hint)
        if "to" in listen:
            check_strategy(report, expressions, join(at, "to"), listen["to"], step.names)
        else:
            hint = "Write `to: {one: {with: {type: …}}}`."
            report.add(at, "missing_field", "`listen` does not say what it waits for.", hint)
    return _check_foreach(report, expressions, step) if "foreach" in step.body else step.names


def check_strategy(
    report: Report,
    expressions: Expressions,
    pointer: str,
    value: Any,
    names: Names,
    what: str = "`to`",
    *,
    ends: bool = False,
) -> None:
    """Which events; `ends` for the strategy of an `until`, which ends and is not ended itself."""
    to = report.object(pointer, value, what)
    if to is None:
        return
    report.unknown_fields(pointer, to, {*_WAYS, "until"}, what)
    said = [way for way in _WAYS if way in to]
    if not said:
        hint = "Write `one: {with: {type: …}}`, or a list of such filters under `all` or `any`."
        report.add(pointer, "missing_field", f"{what} does not say which events.", hint)
    if len(said) > 1:
        message = f"{what} says {' and '.join(f'`{way}`' for way in said)}, but means one of them."
        report.add(pointer, "several_ways", message, "Keep the one that is meant.")
    for way in said:
        at = join(pointer, way)
        if way == "one":
            check_filter(report, expressions, at, to["one"], names)
        else:
            _check_filters(report, expressions, at, to[way], way, names)
    if "until" in to:
        _check_until(report, expressions, join(pointer, "until"), to, names, ends=ends)


def _check_filters(
    report: Report, expressions: Expressions, pointer: str, value: Any, way: str, names: Names
) -> None:
    if not isinstance(value, list):
        hint = f"Write `{way}: [{{with: {{type: …}}}}, …]`."
        report.add(
            pointer, "wrong_type", f"`{way}` must be a list of event filters, not {kind(value)}.", hint
        )
        return
    if not value and way == "all":
        hint = "Add a filter; to take the first event of any kind, write `any: []`."
        report.add(pointer, "no_filter", "`all` without a filter would wait for nothing.", hint)
    if len(value) > MAX_FILTERS:
        message = f"A step listens with at most {MAX_FILTERS} filters."
        report.add(pointer, "too_many", message, "Merge them, for example with an expression over `type`.")
        return
    for index, each in enumerate(value):
        check_filter(report, expressions, join(pointer, index), each, names)


def _check_until(
    report: Report,
    expressions: Expressions,
    pointer: str,
    to: dict[str, Any],
    names: Names,
    *,
    ends: bool,
) -> None:
    until = to["until"]
    if ends:
        message = "The events that end the listening are not ended by others."
        report.add(pointer, "misplaced_until", message, "Leave this `until` out.")
    elif "any" not in to:
        message = "`until` goes with `any`; `one` and `all` end by themselves."
        report.add(pointer, "misplaced_until", message, "Listen to `any: […]`, or leave `until` out.")
    elif isinstance(until, str):
        expressions.expression(pointer, until, names, "`until`")
    elif isinstance(until, dict):
        check_strategy(report, expressions, pointer, until, names, "`until`", ends=True)
    else:
        message = f"`until` is an expression or says which events end the listening, not {kind(until)}."
        hint = "For example `until: length >= 3`, or `until: {one: {with: {type: …}}}`."
        report.add(pointer, "wrong_type", message, hint)


def _check_foreach(report: Report, expressions: Expressions, step: Step) -> Names:
    at = step.at("foreach")
    loop = report.object(at, step.body["foreach"], "`foreach`")
    if loop is None:
        return step.names
    report.unknown_fields(at, loop, _ITERATOR, "`foreach`")
    variables = [
        check_variable(report, at, loop, field, default)
        for field, default in (("item", "item"), ("at", "index"))
    ]
    if variables[0] is not None and variables[0] == variables[1]:
        report.add(at, "duplicate_name", "`item` and `at` cannot have the same name.", "Rename one of them.")
    within = step.names | {name for name in variables if name is not None}
    shaping: dict[str, Any] = {part: loop[part] for part in ("output", "export") if part in loop}
    check_data(report, expressions, at, shaping, within)
    return within
