"""`fork`: steps that run side by side."""

from domain.definitions.model import MAX_BRANCHES
from domain.definitions.validation.calls import Calls
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report, kind

from .step import Step


def check_fork(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    at = step.at("fork")
    fork = report.object(at, step.body["fork"], "`fork`")
    if fork is None:
        return step.names
    report.unknown_fields(at, fork, {"branches", "compete"}, "`fork`")
    branches = fork.get("branches")
    if "branches" not in fork:
        message = "`fork` needs the steps to run side by side in `branches`."
        report.add(at, "missing_field", message, "Write `- name: {…}` for each of them.")
    elif isinstance(branches, list) and len(branches) > MAX_BRANCHES:
        message = f"A `fork` has at most {MAX_BRANCHES} branches, not {len(branches)}."
        report.add(
            step.at("fork", "branches"), "too_many_branches", message, "Split it, or walk a list with `for`."
        )
    compete = fork.get("compete", False)
    if not isinstance(compete, bool):
        message = f"`compete` must be true or false, not {kind(compete)}."
        report.add(step.at("fork", "compete"), "wrong_type", message, "With `true` the first to finish wins.")
    return step.names
