"""`call`: a function with what it is given, or an action with its arguments."""

from typing import Any

from domain.definitions.model import SECRETS
from domain.definitions.schemas import SchemaRefused, compile_schema
from domain.definitions.validation.arguments import check_arguments, check_bounded, check_repeatable
from domain.definitions.validation.authentications import check_call_authentications
from domain.definitions.validation.calls import Calls, takes_secrets
from domain.definitions.validation.certainty import is_open
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.people import check_candidates, check_four_eyes
from domain.definitions.validation.report import Report, kind, shown

from .step import Step


def check_call(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    given = step.body.get("with", {})
    name = report.text(step.at("call"), step.body["call"], "`call`")
    if name is not None and name not in calls.configured and calls.functions.has(name):
        if step.undoes:
            message = "Only an action can undo a step, not a function: what undoes is a single call."
            report.add(step.at("call"), "not_an_action", message, "Call the action itself.")
        else:
            calls.functions.check_call(report, step.at("call"), name)
        if _is_object(report, step, given):
            expressions.template(step.at("with"), given, step.names, mixed=True)
            _check_given(report, step, name, given, calls.functions.inline.get(name))
        return step.names
    resolved = None if name is None else calls.resolve(report, step.at("call"), name, arguments=given)
    if not _is_object(report, step, given):
        return step.names
    readable = step.names | SECRETS if resolved is None or takes_secrets(resolved.spec) else step.names
    expressions.template(step.at("with"), given, readable, mixed=True)
    if resolved is not None:
        at = step.at("with") if "with" in step.body else step.pointer
        check_arguments(report, at, given, resolved)
        check_four_eyes(report, at, given, resolved.spec, expressions.steps)
        check_candidates(report, at, given, resolved.spec)
        check_call_authentications(report, expressions, step.components, at, given, resolved.spec, step.names)
        check_repeatable(report, step.pointer, given, resolved)
        if "timeout" not in step.body and not step.undoes:
            check_bounded(report, step.pointer, resolved)
    return step.names


def _is_object(report: Report, step: Step, given: Any) -> bool:
    if isinstance(given, dict):
        return True
    message = f"`with` must be an object of arguments, not {kind(given)}."
    report.add(step.at("with"), "wrong_type", message, "Write each argument under its name.")
    return False


def _check_given(report: Report, step: Step, name: str, given: dict[str, Any], function: Any) -> None:
    """What is written out against the function's own schema; expressions may become anything."""
    schema = function.get("input") if isinstance(function, dict) else None
    for part in ("schema", "document"):
        schema = schema.get(part) if isinstance(schema, dict) else None
    if schema is None or "with" not in step.body or is_open(given):
        return
    try:
        problems = compile_schema(schema).problems(given)
    except SchemaRefused:
        return  # told where the function stands
    for problem in problems[:5]:
        message = f"Function `{shown(name)}` cannot take this: {problem.message}."
        report.add(step.at("with") + problem.pointer, "bad_argument", message.replace("..", "."))
