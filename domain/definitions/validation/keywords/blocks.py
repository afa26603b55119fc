"""`do` and `set`: the plainest steps."""

from domain.definitions.validation.calls import Calls
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report

from .step import Step


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
