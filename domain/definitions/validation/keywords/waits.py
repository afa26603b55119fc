"""`wait`: a duration, written or computed."""

from domain.definitions import durations
from domain.definitions.expressions import is_expression
from domain.definitions.validation.calls import Calls
from domain.definitions.validation.certainty import is_open
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report

from .step import Step


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
