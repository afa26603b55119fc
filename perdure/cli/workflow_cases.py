"""Cases of a workflow, kept in a file beside it: what goes in, what the world answers, what shall come of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from domain.actions import Catalogue
from domain.definitions import durations
from domain.definitions.diff.fields import differing, same
from domain.definitions.documents import Document
from domain.definitions.dryrun import NEW_YEAR, DryRun, Trial, dry_run
from domain.definitions.durations import InvalidDuration
from domain.definitions.program import Program
from domain.errors import Invalid
from perdure.cli.workflow_files import load
from workers.devstack.errors import StackError

_FIELDS: Final = frozenset({"name", "input", "mocks", "events", "trigger", "starts_at", "unmocked", "expect"})
_EXPECTED: Final = frozenset({"status", "output", "output_contains", "error", "path", "calls", "elapsed"})
_HOW: Final = (
    "Write `cases:` with a list of {name, input, mocks, events, expect: {status, output, error, path}}."
)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    trial: Trial
    expect: Mapping[str, Any]
    line: int


@dataclass(frozen=True, slots=True)
class Result:
    """`failures` say what was otherwise than expected; none means passed."""

    case: Case
    run: DryRun | None
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.failures

    def as_json(self) -> dict[str, Any]:
        run = None if self.run is None else self.run.as_json()
        return {"name": self.case.name, "passed": self.passed, "failures": list(self.failures), "run": run}


def read_cases(path: Path) -> list[Case]:
    """Raises StackError with line and column for what is no file of cases."""
    document = load(path)
    listed = document.value.get("cases") if isinstance(document.value, dict) else None
    if not isinstance(listed, list) or not listed:
        raise StackError(f"{path} holds no cases.", _HOW)
    return [_case(path, document, index, given) for index, given in enumerate(listed)]


def run_case(program: Program, catalogue: Catalogue, case: Case) -> Result:
    try:
        run = dry_run(program, catalogue, case.trial)
    except Invalid as refused:
        told = [
            f"{each.pointer}: {each.message} {each.suggestion or ''}".strip() for each in refused.problems
        ]
        return Result(case, None, tuple(told))
    return Result(case, run, tuple(_failures(run, case.expect)))


def _case(path: Path, document: Document, index: int, given: Any) -> Case:
    pointer = f"/cases/{index}"

    def refuse(at: str, message: str) -> StackError:
        line, column = document.locate(at)
        return StackError(f"{path}:{line}:{column}: {message}", _HOW)

    if not isinstance(given, dict) or not isinstance(given.get("expect"), dict):
        raise refuse(pointer, "A case says what it expects.")
    for name in given.keys() - _FIELDS:
        raise refuse(f"{pointer}/{name}", f"A case has no `{name}`.")
    for name in given["expect"].keys() - _EXPECTED:
        raise refuse(
            f"{pointer}/expect/{name}", f"Nothing expects `{name}`; it may be {', '.join(sorted(_EXPECTED))}."
        )
    trial = Trial(
        given.get("input", {}),
        given.get("mocks", {}),
        given.get("events", []),
        given.get("trigger", {"type": "manual", "name": "test"}),
        generates=given.get("unmocked", "generate") == "generate",
        now=NEW_YEAR if "starts_at" not in given else _moment(refuse, pointer, given["starts_at"]),
    )
    return Case(
        str(given.get("name", f"case {index + 1}")), trial, given["expect"], document.locate(pointer)[0]
    )


def _moment(refuse: Any, pointer: str, text: Any) -> int:
    try:
        moment = datetime.fromisoformat(str(text))
        if moment.tzinfo is None:
            raise ValueError
    except ValueError:
        raise refuse(
            f"{pointer}/starts_at", "`starts_at` is a moment such as 2026-03-01T09:00:00Z."
        ) from None
    return int(moment.timestamp() * 1000)


def _failures(run: DryRun, expect: Mapping[str, Any]) -> list[str]:
    wanted = expect.get("status", "failed" if "error" in expect else "completed")
    found = []
    if run.status != wanted:
        found.append(f"It {_ended(run)} instead of {wanted}.")
    if "output" in expect:
        found += [f"output{told}" for told in _differences(expect["output"], run.output)]
    if "output_contains" in expect:
        found += [f"output{told}" for told in _missing(expect["output_contains"], run.output, "")]
    if "error" in expect:
        found += [f"error{told}" for told in _missing(expect["error"], run.error, "")]
    if "path" in expect and run.path != expect["path"]:
        found.append(f"The path was {_short(run.path)} instead of {_short(expect['path'])}.")
    if "elapsed" in expect:
        found += _elapsed(run, expect["elapsed"])
    if "calls" in expect:
        found += _calls(run, expect["calls"])
    return found


def _ended(run: DryRun) -> str:
    if run.question is not None:
        return f"asked: {run.question.message} {run.question.suggestion}"
    told = f"ended {run.status}"
    if run.error is not None:
        told += f" ({run.error.get('status')} {run.error.get('title')}: {run.error.get('detail', '')})"
    return told if run.reason is None else f"{told} ({run.reason})"


def _differences(expected: Any, actual: Any) -> list[str]:
    return [
        f"{change.pointer}: {'nothing' if not change.is_set else _short(change.after)} instead of "
        f"{'nothing' if not change.was_set else _short(change.before)}"
        for change in differing(expected, actual)
    ][:10]


def _missing(expected: Any, actual: Any, pointer: str) -> list[str]:
    """Where `actual` lacks something of `expected`; what it holds besides does not matter."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return [
            told
            for name in expected
            for told in _missing(expected[name], actual.get(name), f"{pointer}/{name}")
        ]
    return [] if same(expected, actual) else [f"{pointer}: {_short(actual)} instead of {_short(expected)}"]


def _elapsed(run: DryRun, expected: Any) -> list[str]:
    """In whole seconds: calls take a moment too."""
    try:
        wanted = durations.parse(expected)
    except InvalidDuration as error:
        return [f"elapsed: {error}"]
    took = timedelta(milliseconds=run.ended - run.started)
    if abs(took - wanted) < timedelta(seconds=1):
        return []
    return [f"It took {durations.iso(took)} instead of {durations.iso(wanted)}."]


def _calls(run: DryRun, expected: Any) -> list[str]:
    """The arguments of each call of a step: those of one, or of a list of them in order."""
    if not isinstance(expected, dict):
        return ["`calls` is a mapping of steps to their arguments."]
    found = []
    for name, wanted in expected.items():
        made = [
            each.arguments for each in run.trace if each.kind == "call" and name in (each.name, each.pointer)
        ]
        listed = wanted if isinstance(wanted, list) else [wanted]
        if len(made) != len(listed):
            found.append(f"“{name}” was called {len(made)} times instead of {len(listed)}.")
            continue
        for one, other in zip(listed, made, strict=True):
            found += [f"“{name}”{told}" for told in _missing(one, other, "")]
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:119] + "…"
