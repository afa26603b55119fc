"""`try`: which errors are caught, how often the steps are tried again, and what handles the error."""

from typing import Final

from domain.definitions.validation.calls import Calls
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.faulting import check_filter
from domain.definitions.validation.flow import check_then
from domain.definitions.validation.report import Report
from domain.definitions.validation.retries import check_retry

from .step import Step
from .variables import check_variable

_CATCH: Final = frozenset({"errors", "as", "when", "exceptWhen", "retry", "do", "then"})


def check_try(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    """Returns what the handler can read; the steps of `try` themselves know no error."""
    if "catch" not in step.body:
        message = "A `try` step needs `catch`."
        report.add(step.pointer, "missing_field", message, "`catch: {}` catches every error and goes on.")
        return step.names
    at = step.at("catch")
    caught = report.object(at, step.body["catch"], "`catch`")
    if caught is None:
        return step.names
    report.unknown_fields(at, caught, _CATCH, "`catch`")
    name = caught.get("as", "error")
    if name != "error":
        name = check_variable(report, at, caught, "as", "error")
    names = step.names if name is None else step.names | {name}
    if "errors" in caught:
        check_filter(report, step.at("catch", "errors"), caught["errors"])
    for field in ("when", "exceptWhen"):
        if field in caught:
            expressions.expression(step.at("catch", field), caught[field], names, f"`{field}`")
    if "retry" in caught:
        check_retry(report, expressions, step.components, step.at("catch", "retry"), caught["retry"], names)
    if "then" in caught:
        check_then(report, step.at("catch", "then"), caught["then"], step.siblings)
    return names
