"""A workflow's text as an editor needs it: what is wrong, at which line; and where each step is written."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import islice

from domain.actions import Catalogue
from domain.definitions import files
from domain.definitions.documents import Unreadable
from domain.definitions.files import WorkflowText
from domain.definitions.outline import outline
from domain.definitions.validation import validate
from domain.errors import Invalid, Problem


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem and where it is written; both numbers count from 1."""

    problem: Problem
    line: int
    column: int

    @property
    def is_error(self) -> bool:
        return self.problem.severity == "error"


@dataclass(frozen=True, slots=True)
class Examined:
    """`workflow` is None for what is neither YAML nor JSON. `lines` are those of the steps, by pointer."""

    workflow: WorkflowText | None
    findings: tuple[Finding, ...]
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether it could be published."""
        return not any(each.is_error for each in self.findings)


def examine(text: str, *, catalogue: Catalogue, secrets: Collection[str] | None = None) -> Examined:
    """Every problem in the order of the lines; never raises. `secrets` are the names that are set, if known."""
    try:
        workflow = files.read(text)
    except Unreadable as error:
        # The place is told beside it.
        message = error.message.partition(": ")[2]
        problem = Problem(error.problems[0].pointer, message, None, error.reason)
        return Examined(None, (Finding(problem, *error.position),))
    found = [Finding(each, *workflow.document.locate(each.pointer)) for each in workflow.problems]
    if isinstance(workflow.definition, dict) and "definition" in workflow.parts:
        parts = workflow.parts
        problems = validate(
            workflow.definition,
            triggers=parts.get("triggers"),
            actions=parts.get("actions"),
            variables=parts.get("variables"),
            catalogue=catalogue,
            secrets=secrets,
        )
        found += [Finding(each, *workflow.locate(each.pointer)) for each in problems]
    found.sort(key=lambda each: (each.line, each.column))
    return Examined(workflow, tuple(found), _lines(workflow))


def _lines(workflow: WorkflowText) -> dict[str, int]:
    try:
        steps = outline(workflow.definition)
    except Invalid:
        return {}
    inner = (step for outermost in steps for step in outermost.walk())
    return {step.pointer: workflow.locate(step.pointer).line for step in islice(inner, 2_000)}
