"""`raise`: an error written here, or one of `use.errors`."""

from domain.definitions.validation.calls import Calls
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.faulting import check_error
from domain.definitions.validation.report import Report, kind

from .step import Step


def check_raise(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    raised = report.object(step.at("raise"), step.body["raise"], "`raise`")
    if raised is None:
        return step.names
    report.unknown_fields(step.at("raise"), raised, {"error"}, "`raise`")
    at = step.at("raise", "error")
    match raised.get("error"):
        case _ if "error" not in raised:
            message = "`raise` does not say which error."
            hint = "Write `error: {type: …, status: …}`, or the name of one in `use.errors`."
            report.add(step.at("raise"), "missing_field", message, hint)
        case str(name):
            step.components.refer(report, "errors", at, name, step.names)
        case dict(error):
            check_error(report, expressions, at, error, step.names)
        case other:
            message = f"`error` must be an object or the name of an error in `use.errors`, not {kind(other)}."
            report.add(at, "wrong_type", message, "For example `error: {type: …, status: 400}`.")
    return step.names
