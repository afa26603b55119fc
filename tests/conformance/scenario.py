"""Scenarios of our own: a definition, what the world does, and what must come of it. See `scenarios/`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from domain.definitions import documents
from domain.definitions.faults import Fault

FOLDER = Path(__file__).parent / "scenarios"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`events` arrive in order as soon as the execution has begun; `decisions` answer tasks by the step's name.

    `error` names the members that must be as written; a plain `type` is one of the standard types.
    `log` tells all steps in the order of entering with how they ended; `path` those names alone.
    """

    theme: str
    title: str
    do: list[dict[str, Any]]
    pitfalls: tuple[int, ...] = ()
    document: dict[str, Any] = field(default_factory=dict)
    input: Any = None
    actions: list[dict[str, Any]] | None = None
    workflows: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    events: tuple[dict[str, Any], ...] = ()
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    budget: int | None = None
    status: str = "completed"
    output: Any = None
    error: dict[str, Any] | None = None
    path: list[str] | None = None
    log: list[str] | None = None
    refused: str | None = None
    #: False where the API refuses the input before anything begins.
    enters: bool = True

    def __str__(self) -> str:
        return f"{self.theme}: {self.title}"

    def definition(self, name: str = "scenario") -> dict[str, Any]:
        header = {"dsl": "1.0.3", "namespace": "tests", "name": name, "version": "1.0.0"}
        return {"document": header, "do": self.do, **self.document}

    def children(self) -> dict[str, dict[str, Any]]:
        """The definitions of the workflows it runs, by their names."""
        header = {"dsl": "1.0.3", "namespace": "tests", "version": "1.0.0"}
        return {name: {"document": {**header, "name": name}, **body} for name, body in self.workflows.items()}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ended, whoever carried it out; `log` are (step, status) in the order of entering."""

    status: str
    output: Any
    error: dict[str, Any] | None
    log: list[tuple[str, str]]


def hold(scenario: Scenario, outcome: Outcome) -> None:
    assert outcome.status == scenario.status, outcome.error
    if scenario.error is None:
        assert outcome.output == scenario.output
        assert _kinds(outcome.output) == _kinds(scenario.output), "a number or truth value changed its kind"
    else:
        assert outcome.error is not None
        wanted = {**scenario.error}
        if ":" not in wanted.get("type", ":"):
            wanted["type"] = Fault(wanted["type"], 500, "").type
        assert {name: outcome.error.get(name) for name in wanted} == wanted
    if scenario.path is not None:
        assert [name for name, _ in outcome.log] == scenario.path
    if scenario.log is not None:
        assert [f"{name} {status}" for name, status in outcome.log] == scenario.log


def _kinds(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _kinds(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_kinds(each) for each in value]
    return type(value)


def load() -> list[Scenario]:
    """Every scenario of the folder. Raises TypeError for a word it does not know, ValueError for a doubtful one."""
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        for written in documents.load(path.read_text()).value:
            if "error" in written and "status" not in written:
                written["status"] = "failed"
            if not {"output", "error", "refused"} & written.keys():
                raise ValueError(f"{path.name}: '{written['title']}' expects nothing")
            tuples = {name: tuple(written.pop(name, ())) for name in ("pitfalls", "events")}
            found.append(Scenario(theme=path.stem, **written, **tuples))
    return found


SCENARIOS = load()
