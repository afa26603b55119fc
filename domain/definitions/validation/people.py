"""What steps that ask people say about them and about other steps."""

from collections.abc import Collection, Mapping
from typing import Any

from domain.actions import ActionSpec, Lane
from domain.definitions.expressions import is_expression
from domain.definitions.pointers import join
from domain.definitions.validation.report import Report, shown
from domain.tasks.candidates import Candidate


def check_four_eyes(
    report: Report, pointer: str, given: Mapping[str, Any], spec: ActionSpec, names: Collection[str]
) -> None:
    """A name that no step has would keep nobody from deciding, and nobody would notice."""
    steps = given.get("four_eyes")
    if spec.lane is not Lane.TASK or not isinstance(steps, list):
        return
    for index, name in enumerate(steps):
        if not isinstance(name, str) or is_expression(name) or "${" in name or name in names:
            continue
        message = f"`four_eyes` names a step `{shown(name)}`, which there is not."
        hint = (
            report.did_you_mean(name, sorted(names)) or "Name a step of `approve` or `ask` that comes before."
        )
        report.add(join(pointer, "four_eyes", index), "unknown_step", message, hint)


def check_candidates(report: Report, pointer: str, given: Mapping[str, Any], spec: ActionSpec) -> None:
    """Whether there is such a person or role, only an organization knows; what names nobody anywhere is told here."""
    if spec.lane is not Lane.TASK:
        return
    escalation = given.get("escalate")
    named: list[tuple[tuple[str, ...], Any]] = [
        ((name,), given.get(name)) for name in ("assignees", "candidates")
    ]
    if isinstance(escalation, Mapping):
        named.append((("escalate", "to"), escalation.get("to")))
    for path, candidates in named:
        for index, text in enumerate(candidates if isinstance(candidates, list) else []):
            if not isinstance(text, str) or "${" in text:
                continue
            try:
                Candidate.parse(text)
            except ValueError as problem:
                message = f"`{shown(text)}` names nobody: {problem}."
                report.add(join(pointer, *path, index), "bad_argument", message)
