"""`for`: what is walked, and the variables of a round."""

import json
from typing import Any

from domain.definitions.pointers import join
from domain.definitions.validation.calls import Calls
from domain.definitions.validation.certainty import is_open
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report

from .step import Step
from .variables import check_variable


def check_for(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    at = step.at("for")
    loop = report.object(at, step.body["for"], "`for`")
    if loop is None:
        return step.names
    report.unknown_fields(at, loop, {"each", "in", "at"}, "`for`")
    if "in" not in loop:
        report.add(
            at, "missing_field", "`for` needs the list to walk in `in`.", "For example `in: .documents`."
        )
    elif isinstance(loop["in"], list):
        if is_open(loop["in"]):
            message = "A list written out holds plain values; expressions in it would not be evaluated."
            report.add(join(at, "in"), "mixed_text", message, "Make the whole list one expression.")
        else:
            expressions.expression(join(at, "in"), written_out(loop["in"]), step.names, "`for.in`")
    else:
        expressions.expression(join(at, "in"), loop["in"], step.names, "`for.in`")
    variables = [
        check_variable(report, at, loop, field, default)
        for field, default in (("each", "item"), ("at", "index"))
    ]
    if variables[0] == variables[1]:
        report.add(at, "duplicate_name", "`each` and `at` cannot have the same name.", "Rename one of them.")
    within = step.names | {name for name in variables if name is not None}
    if "while" in step.body:
        expressions.expression(step.at("while"), step.body["while"], within, "`while`")
    return within


def written_out(items: list[Any]) -> str:
    """A list as an expression that yields it: JSON is jq."""
    return json.dumps(items, ensure_ascii=False)
