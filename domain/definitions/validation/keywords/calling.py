"""`call`: the action and its arguments."""

from domain.definitions.model import (
    SECRETS,
)
from domain.definitions.validation.arguments import check_arguments, check_repeatable
from domain.definitions.validation.calls import Calls, takes_secrets
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report, kind

from .step import Step


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
