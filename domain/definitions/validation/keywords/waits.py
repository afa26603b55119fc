"""`wait`: a duration, written or computed."""

from domain.definitions.validation.calls import Calls
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report
from domain.definitions.validation.timeouts import check_duration

from .step import Step


def check_wait(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    check_duration(report, expressions, step.at("wait"), step.body["wait"], step.names, "`wait`")
    return step.names
