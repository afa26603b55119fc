"""What each keyword demands of its step. A check returns the names that its inner steps can read."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from domain.definitions import durations
from domain.definitions.expressions import is_expression
from domain.definitions.model import (
    MAX_EVENT_TYPE,
    READINGS,
    REFUSED_PROCESSES,
    RESERVED_VARIABLES,
    SECRETS,
)
from domain.definitions.pointers import join
from domain.definitions.validation.arguments import check_arguments, check_repeatable
from domain.definitions.validation.calls import Calls, takes_secrets
from domain.definitions.validation.certainty import is_open
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.flow import check_cases, check_then
from domain.definitions.validation.report import Report, kind, shown

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Step:
    """A step being checked, with the names it can read and the steps beside it."""

    pointer: str
    keyword: str
    body: Mapping[str, Any]
    names: Names
    siblings: Mapping[str, int]

    def at(self, *parts: str | int) -> str:
        return join(self.pointer, *parts)


Check = Callable[[Report, Expressions, Calls, Step], Names]


def check_do(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    return step.names


def check_set(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    value = step.body["set"]
    if value == {}:
        report.add(
            step.at("set"), "empty_set", "`set` needs at least one value.", "Add what the data shall be."
        )
    expressions.shape(step.at("set"), value, step.names, "`set`")
    return step.names


def check_switch(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    cases, at = step.body["switch"], step.at("switch")
    if not isinstance(cases, list) or not cases:
        message = "`switch` needs a list of at least one case."
        report.add(at, "wrong_type", message, "Write `- name: {when: …, then: …}` for each case.")
        return step.names
    seen: set[str] = set()
    for index, case in enumerate(cases):
        if not isinstance(case, dict) or len(case) != 1:
            message = "A case is an object with its name as the only key."
            report.add(join(at, index), "bad_case", message, "Write `- name: {when: …, then: …}`.")
            continue
        [(name, value)] = case.items()
        place = join(at, index, name)
        if name in seen:
            report.add(
                place, "duplicate_name", f"There are two cases called `{shown(name)}`.", "Rename one of them."
            )
        seen.add(name)
        body = report.object(place, value, "A case")
        if body is None:
            continue
        report.unknown_fields(place, body, {"when", "then"}, "A case")
        if "when" in body:
            expressions.expression(join(place, "when"), body["when"], step.names, "`when`")
        if "then" in body:
            check_then(report, join(place, "then"), body["then"], step.siblings)
        else:
            message = f"Case `{shown(name)}` does not say where to go."
            report.add(
                place,
                "missing_field",
                message,
                "Add `then` with a step of this list, or continue, exit, end.",
            )
    check_cases(report, at, cases)
    return step.names


def check_for(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    at = step.at("for")
    loop = report.object(at, step.body["for"], "`for`")
    if loop is None:
        return step.names
    report.unknown_fields(at, loop, {"each", "in", "at"}, "`for`")
    if "in" not in loop:
        report.add(
            at, "missing_field", "`for` needs the list to walk in `in`.", "For example `in: .documents`."
        )
    elif isinstance(loop["in"], list):
        if is_open(loop["in"]):
            message = "A list written out holds plain values; expressions in it would not be evaluated."
            report.add(join(at, "in"), "mixed_text", message, "Make the whole list one expression.")
        else:
            expressions.expression(join(at, "in"), written_out(loop["in"]), step.names, "`for.in`")
    else:
        expressions.expression(join(at, "in"), loop["in"], step.names, "`for.in`")
    variables = [
        _variable(report, at, loop, field, default) for field, default in (("each", "item"), ("at", "index"))
    ]
    if variables[0] == variables[1]:
        report.add(at, "duplicate_name", "`each` and `at` cannot have the same name.", "Rename one of them.")
    within = step.names | {name for name in variables if name is not None}
    if "while" in step.body:
        expressions.expression(step.at("while"), step.body["while"], within, "`while`")
    return within


def written_out(items: list[Any]) -> str:
    """A list as an expression that yields it: JSON is jq."""
    return json.dumps(items, ensure_ascii=False)


def _variable(report: Report, at: str, loop: Mapping[str, Any], field: str, default: str) -> str | None:
    name = report.text(join(at, field), loop.get(field, default), f"`{field}`")
    if name is None:
        return None
    if not _VARIABLE.fullmatch(name):
        message = f"`{shown(name)}` cannot be the name of a variable."
        report.add(join(at, field), "bad_name", message, "Use letters, digits and underscores, without `$`.")
        return None
    if name in RESERVED_VARIABLES:
        message = f"`${name}` has a meaning of its own everywhere."
        report.add(join(at, field), "reserved_name", message, "Choose another name.")
        return None
    return name


def check_wait(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    value = step.body["wait"]
    if isinstance(value, str) and is_expression(value):
        expressions.expression(step.at("wait"), value, step.names, "`wait`")
    elif is_open(value):
        message = "An expression must be the whole value of `wait`."
        report.add(step.at("wait"), "bad_duration", message, 'For example ${ "PT\\(.minutes)M" }.')
    else:
        try:
            durations.parse(value)
        except durations.InvalidDuration as refusal:
            report.add(step.at("wait"), "bad_duration", str(refusal))
    return step.names


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


def check_call(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    given = step.body.get("with", {})
    name = report.text(step.at("call"), step.body["call"], "`call`")
    resolved = None if name is None else calls.resolve(report, step.at("call"), name, arguments=given)
    if not isinstance(given, dict):
        message = f"`with` must be an object of arguments, not {kind(given)}."
        report.add(step.at("with"), "wrong_type", message, "Write each argument under its name.")
        return step.names
    readable = step.names | SECRETS if resolved is None or takes_secrets(resolved.spec) else step.names
    expressions.template(step.at("with"), given, readable, mixed=True)
    if resolved is not None:
        at = step.at("with") if "with" in step.body else step.pointer
        check_arguments(report, at, given, resolved)
        check_repeatable(report, step.pointer, given, resolved)
    return step.names


def check_unsupported(report: Report, step: Step) -> Names:
    """The rest of the DSL: refused with the reason, or not there yet."""
    value = step.body[step.keyword]
    refused = [
        word
        for word in REFUSED_PROCESSES
        if step.keyword == "run" and isinstance(value, dict) and word in value
    ]
    for word in refused:
        report.refused(step.at("run", word), f"`run: {word}`", REFUSED_PROCESSES[word])
    if not refused:
        report.unsupported(step.at(step.keyword), f"`{step.keyword}`")
    caught = step.body.get("catch")
    if step.keyword == "try" and isinstance(caught, dict):
        name = caught.get("as", "error")
        return step.names | {name} if isinstance(name, str) else step.names
    return step.names


CHECKS: Final[dict[str, Check]] = {
    "call": check_call,
    "do": check_do,
    "for": check_for,
    "listen": check_listen,
    "set": check_set,
    "switch": check_switch,
    "wait": check_wait,
}
