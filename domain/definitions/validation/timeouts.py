"""Durations wherever they stand, and the timeouts made of them."""

from typing import Any

from domain.definitions import durations
from domain.definitions.expressions import is_expression
from domain.definitions.pointers import join
from domain.definitions.validation.certainty import is_open
from domain.definitions.validation.components import Components
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report, kind


def check_duration(
    report: Report,
    expressions: Expressions,
    pointer: str,
    value: Any,
    names: Names,
    what: str,
    *,
    allow_zero: bool = True,
) -> None:
    """A duration as people or the standard write it, or one expression that yields it."""
    if isinstance(value, str) and is_expression(value):
        expressions.expression(pointer, value, names, what)
    elif is_open(value):
        message = f"An expression must be the whole value of {what}."
        report.add(pointer, "bad_duration", message, 'For example ${ "PT\\(.minutes)M" }.')
    else:
        try:
            durations.parse(value, allow_zero=allow_zero)
        except durations.InvalidDuration as refusal:
            report.add(pointer, "bad_duration", str(refusal))


def check_timeout(
    report: Report,
    expressions: Expressions,
    components: Components,
    pointer: str,
    value: Any,
    names: Names,
) -> None:
    """`timeout` of a step or of the workflow: written here, or the name of one in `use.timeouts`."""
    if isinstance(value, str):
        hint = f"Write `timeout: {{after: {value}}}`." if _is_duration(value) else None
        components.refer(report, "timeouts", pointer, value, names, hint)
    elif isinstance(value, dict):
        check_limit(report, expressions, pointer, value, names)
    else:
        message = (
            f"`timeout` must be an object or the name of a timeout in `use.timeouts`, not {kind(value)}."
        )
        report.add(pointer, "wrong_type", message, "For example `timeout: {after: 3 days}`.")


def check_limit(
    report: Report, expressions: Expressions, pointer: str, value: dict[str, Any], names: Names
) -> None:
    """`{after: duration}`."""
    report.unknown_fields(pointer, value, {"after"}, "A timeout")
    if "after" in value:
        at = join(pointer, "after")
        check_duration(report, expressions, at, value["after"], names, "`after`", allow_zero=False)
    else:
        message = "A timeout says in `after` how long it may take."
        report.add(pointer, "missing_field", message, "For example `after: 3 days`.")


def _is_duration(text: str) -> bool:
    if is_expression(text):
        return True
    try:
        durations.parse(text)
    except durations.InvalidDuration:
        return False
    return True
