"""Event filters: the attributes an event must have, and how it is correlated with others."""

from typing import Any, Final

from domain.definitions.expressions import is_expression
from domain.definitions.model import MAX_EVENT_TYPE
from domain.definitions.pointers import join
from domain.definitions.validation.certainty import is_open
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report, kind
from domain.events import ATTRIBUTES, is_pattern, pattern

#: Attributes that are texts in every event.
_TEXTS: Final = ATTRIBUTES - {"data"}


def check_filter(report: Report, expressions: Expressions, pointer: str, value: Any, names: Names) -> None:
    """`{with, correlate}`; in `with` a text is a value or a regular expression, `${ }` a test or the value."""
    event = report.object(pointer, value, "An event filter")
    if event is None:
        return
    report.unknown_fields(pointer, event, {"with", "correlate"}, "An event filter")
    if "with" in event:
        _check_with(report, expressions, join(pointer, "with"), event["with"], names)
    else:
        hint = "Write `with: {type: …}`."
        report.add(pointer, "missing_field", "The event filter needs `with`.", hint)
    if "correlate" in event:
        _check_correlations(report, expressions, join(pointer, "correlate"), event["correlate"], names)


def _check_with(report: Report, expressions: Expressions, pointer: str, value: Any, names: Names) -> None:
    attributes = report.object(pointer, value, "`with`")
    if attributes is None:
        return
    if not attributes:
        hint = "Add `type`; to take every event, write `any: []`."
        report.add(pointer, "missing_field", "`with` names no attribute that an event must have.", hint)
    for name, wanted in attributes.items():
        at = join(pointer, name)
        if name in _TEXTS and not isinstance(wanted, str):
            message = f"The `{name}` of an event is a text, not {kind(wanted)}."
            report.add(
                at, "wrong_type", message, 'Write the value, or a test such as `${ startswith("a") }`.'
            )
            continue
        expressions.template(at, wanted, names, mixed=False)
        if isinstance(wanted, str) and not is_open(wanted):
            if name == "type" and not 1 <= len(wanted) <= MAX_EVENT_TYPE:
                message = f"The `type` of an event has 1 to {MAX_EVENT_TYPE} characters."
                report.add(at, "bad_event_type", message)
            elif is_pattern(wanted) and pattern(wanted) is None and name == "type":
                message = "This is neither the type of an event nor a regular expression."
                report.add(at, "bad_pattern", message, "Write the type itself, or put `\\` before symbols.")


def _check_correlations(
    report: Report, expressions: Expressions, pointer: str, value: Any, names: Names
) -> None:
    correlations = report.object(pointer, value, "`correlate`")
    for name, each in (correlations or {}).items():
        at = join(pointer, name)
        correlation = report.object(at, each, "A correlation")
        if correlation is None:
            continue
        report.unknown_fields(at, correlation, {"from", "expect"}, "A correlation")
        if "from" in correlation:
            expressions.expression(join(at, "from"), correlation["from"], names, "`from`")
        else:
            hint = "For example `from: .data.orderId`."
            report.add(at, "missing_field", "A correlation says with `from` what is compared.", hint)
        if "expect" in correlation:
            _check_expected(report, expressions, join(at, "expect"), correlation["expect"], names)


def _check_expected(report: Report, expressions: Expressions, pointer: str, value: Any, names: Names) -> None:
    """A bare text stands for itself here: the specification calls it a constant."""
    expected = report.text(pointer, value, "`expect`")
    if expected is None:
        return
    if is_expression(expected):
        expressions.expression(pointer, expected, names, "`expect`")
    elif is_open(expected):
        message = "`expect` is one expression or one constant; nothing is filled into a text here."
        report.add(pointer, "mixed_text", message, 'Write one expression, for example ${ "A-\\(.id)" }.')
