"""Errors as definitions write them: those they raise, and the filters that catch them."""

import re
from typing import Any, Final

from domain.definitions.expressions import is_expression
from domain.definitions.pointers import join
from domain.definitions.validation.certainty import is_open
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report, kind, shown

_FIELDS: Final = ("type", "status", "title", "detail", "instance")
_DEMANDED: Final = {
    "type": "For example `type: https://example.org/errors/no-stock`.",
    "status": "For example `status: 400`; the numbers are those of HTTP.",
}
#: A reference of RFC 3986, possibly with `{variables}`: no white space, and no expression.
_REFERENCE: Final = re.compile(
    r"(?!\s*\$\{)(?=\S)(?:[^:/?#]+:)?(?://[^/?#\s]*)?[^?#\s]*(?:\?[^#\s]*)?(?:#\S*)?"
)
_POINTER: Final = re.compile(r"(?:/(?:[^~/]|~[01])*)*")


def check_error(
    report: Report, expressions: Expressions, pointer: str, error: dict[str, Any], names: Names
) -> None:
    """What `raise` raises: `type` and `status` are demanded, texts may be expressions."""
    report.unknown_fields(pointer, error, _FIELDS, "An error")
    for field, hint in _DEMANDED.items():
        if field not in error:
            report.add(pointer, "missing_field", f"An error needs its `{field}`.", hint)
    if "status" in error:
        _check_status(report, join(pointer, "status"), error["status"])
    for field in ("type", "title", "detail", "instance"):
        if field not in error:
            continue
        at = join(pointer, field)
        text = report.text(at, error[field], f"`{field}`")
        if text is None:
            continue
        expressions.template(at, text, names, mixed=False)
        if is_open(text) and (is_expression(text) or field in ("title", "detail")):
            continue
        if field == "type" and not _REFERENCE.fullmatch(text):
            message = f"`{shown(text)}` is no reference that could name a type of error."
            report.add(at, "bad_reference", message, "Write a URI without spaces, or one expression.")
        elif field == "instance" and not _POINTER.fullmatch(text):
            message = f"`{shown(text)}` is no JSON pointer."
            report.add(
                at, "bad_pointer", message, "Leave it out: it is filled in with the place of the step."
            )


def check_filter(report: Report, pointer: str, value: Any) -> None:
    """`errors` of a `catch`: an error is caught when all that is given here equals what it says."""
    errors = report.object(pointer, value, "`errors`")
    if errors is None:
        return
    report.unknown_fields(pointer, errors, {"with"}, "`errors`")
    if "with" not in errors:
        return
    at = join(pointer, "with")
    wanted = report.object(at, errors["with"], "`with`")
    if wanted is None:
        return
    report.unknown_fields(at, wanted, _FIELDS, "An error")
    if not wanted:
        message = "This filter is empty."
        report.add(
            at, "empty_filter", message, "Say which errors to catch, or leave `errors` out to catch all."
        )
    if "status" in wanted:
        _check_status(report, join(at, "status"), wanted["status"])
    for field in ("type", "title", "detail", "instance"):
        if field in wanted:
            text = report.text(join(at, field), wanted[field], f"`{field}`")
            if text is not None and is_open(text):
                message = "A filter is compared as it is written; expressions in it are not evaluated."
                report.add(join(at, field), "static_text", message, "Write the condition in `when`.")


def _check_status(report: Report, pointer: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        message = f"`status` must be a whole number, not {kind(value)}."
        if isinstance(value, float):
            message = "`status` must be a whole number."
        report.add(pointer, "wrong_type", message, "The numbers are those of HTTP: for example 400 or 503.")
    elif not 100 <= value <= 599:
        message = f"{value:.0f} is no status of HTTP: those are 100 to 599."
        hint = "Use 400 for what the caller did wrong, 500 for what went wrong here."
        report.add(pointer, "unusual_status", message, hint, severity="warning")
