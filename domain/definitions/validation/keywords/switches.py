"""`switch`: where to go on."""

from domain.definitions.pointers import join
from domain.definitions.validation.calls import Calls
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.flow import check_cases, check_then
from domain.definitions.validation.report import Report, shown

from .step import Step


def check_switch(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    cases, at = step.body["switch"], step.at("switch")
    if not isinstance(cases, list) or not cases:
        message = "`switch` needs a list of at least one case."
        report.add(at, "wrong_type", message, "Write `- name: {when: …, then: …}` for each case.")
        return step.names
    seen: set[str] = set()
    for index, case in enumerate(cases):
        if not isinstance(case, dict) or len(case) != 1:
            message = "A case is an object with its name as the only key."
            report.add(join(at, index), "bad_case", message, "Write `- name: {when: …, then: …}`.")
            continue
        [(name, value)] = case.items()
        place = join(at, index, name)
        if name in seen:
            report.add(
                place, "duplicate_name", f"There are two cases called `{shown(name)}`.", "Rename one of them."
            )
        seen.add(name)
        body = report.object(place, value, "A case")
        if body is None:
            continue
        report.unknown_fields(place, body, {"when", "then"}, "A case")
        if "when" in body:
            expressions.expression(join(place, "when"), body["when"], step.names, "`when`")
        if "then" in body:
            check_then(report, join(place, "then"), body["then"], step.siblings)
        else:
            message = f"Case `{shown(name)}` does not say where to go."
            report.add(
                place,
                "missing_field",
                message,
                "Add `then` with a step of this list, or continue, exit, end.",
            )
    check_cases(report, at, cases)
    return step.names
