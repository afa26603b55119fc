"""What the world is to say in a dry run: answers by step, events with their moments, checked before anything runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Final

from domain.definitions import durations
from domain.definitions.durations import InvalidDuration
from domain.definitions.faults import Fault
from domain.definitions.phrases import visible
from domain.definitions.pointers import join
from domain.definitions.program import Call, Program
from domain.errors import Problem
from domain.executions import TaskOutcome

MAXIMUM_MOCKS: Final = 1_000
MAXIMUM_EVENTS: Final = 200
#: The mock of what undoes a step has the step's name and this.
COMPENSATION: Final = "!compensate"
_WORDS: Final = frozenset({"output", "error", "echo", "decision", "never"})
_HOW: Final = (
    "Write {output: …}, {error: {status: 503}}, {echo: true}, {decision: approved} or {never: true}."
)
_KINDS: Final = {
    401: "authentication",
    403: "authorization",
    408: "timeout",
    400: "validation",
}


#: What a decision says where its mock does not.
NOBODY: Final = {"comment": None, "data": None, "decided_by": "00000000-0000-0000-0000-000000000000"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: an output, a fault, the arguments themselves (`echo`) or none ever; after how long, in ms."""

    output: Any = None
    fault: Fault | None = None
    echoes: bool = False
    is_missing: bool = False
    after: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    after: int
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mocks:
    """`answers` by step name or pointer: each in its turn, the last one from then on."""

    answers: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)
    events: tuple[Arrival, ...] = ()


def read_mocks(program: Program, answers: Any, events: Any) -> tuple[Mocks, list[Problem]]:
    """The mocks and everything that is wrong with them, at /mocks and /events."""
    reader = _Reader(program)
    return Mocks(reader.answers(answers), reader.events(events)), reader.problems


class _Reader:
    def __init__(self, program: Program) -> None:
        self.problems: list[Problem] = []
        self.program = program
        #: Pointers of steps by their names and by themselves.
        self.named: dict[str, set[str]] = {}
        for pointer, step in program.steps.items():
            self.named.setdefault(step.name, set()).add(pointer)
            self.named.setdefault(pointer, set()).add(pointer)
        self.known = {step.name for step in program.steps.values()} | set(program.steps)

    def wrong(self, pointer: str, message: str, suggestion: str | None = _HOW) -> None:
        self.problems.append(Problem(pointer, message, suggestion, "bad_mock"))

    def answers(self, given: Any) -> dict[str, tuple[Answer, ...]]:
        if not isinstance(given, Mapping) or len(given) > MAXIMUM_MOCKS:
            self.wrong("/mocks", f"Mocks are an object of at most {MAXIMUM_MOCKS} steps with their answers.")
            return {}
        found = {}
        for name, mock in given.items():
            at = join("/mocks", name)
            if name.removesuffix(COMPENSATION) not in self.known:
                close = get_close_matches(name, sorted(self.known), 1)
                hint = (
                    f"Did you mean `{visible(close[0])}`?" if close else "Name a step, or give its pointer."
                )
                self.wrong(at, f"There is no step `{visible(name)}`.", hint)
                continue
            turns = mock if isinstance(mock, list) else [mock]
            if not turns or len(turns) > MAXIMUM_MOCKS:
                self.wrong(at, "A list of answers has at least one and at most 1000.")
            paths = [join(at, index) if isinstance(mock, list) else at for index in range(len(turns))]
            read = [self.answer(path, each, name) for path, each in zip(paths, turns, strict=True)]
            found[name] = tuple(each for each in read if each is not None)
        return found

    def answer(self, at: str, given: Any, name: str) -> Answer | None:
        given = {given: True} if given in ("echo", "never") else given
        if not isinstance(given, Mapping):
            self.wrong(at, "A mock says what the step's call answers.")
            return None
        words = {*_WORDS} & given.keys()
        if len(words) != 1 or given.keys() - _WORDS - {"after"}:
            self.wrong(
                at, "A mock holds one of output, error, echo, decision and never, and perhaps `after`."
            )
            return None
        after = self.after(at, given)
        match words.pop():
            case "output":
                return Answer(given["output"], after=after)
            case "error":
                fault = self.fault(join(at, "error"), given["error"])
                return None if fault is None else Answer(fault=fault, after=after)
            case "decision":
                decided = self.decision(join(at, "decision"), given["decision"], name)
                return None if decided is None else Answer(decided, after=after)
            case "echo":
                return Answer(echoes=True, after=after)
        return Answer(is_missing=True)

    def after(self, at: str, given: Mapping[str, Any]) -> int:
        if "after" not in given:
            return 0
        try:
            return durations.parse(given["after"]) // timedelta(milliseconds=1)
        except InvalidDuration as error:
            self.wrong(join(at, "after"), str(error), None)
            return 0

    def fault(self, at: str, given: Any) -> Fault | None:
        status = given.get("status", 500) if isinstance(given, Mapping) else None
        if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 599:
            self.wrong(at, "An error has a `status` between 100 and 599.", "Write {error: {status: 503}}.")
            return None
        texts = {name: given[name] for name in ("type", "title", "detail") if name in given}
        if not all(isinstance(text, str) for text in texts.values()):
            self.wrong(at, "`type`, `title` and `detail` of an error are texts.", None)
            return None
        kind = texts.get("type", _KINDS.get(status, "communication"))
        return Fault(kind, status, texts.get("title", f"Status {status}"), texts.get("detail"))

    def decision(self, at: str, given: Any, name: str) -> dict[str, Any] | None:
        """`ask` is submitted, `approve` approved or rejected; other names may be either's."""
        decided = {"outcome": given} if isinstance(given, str) else given
        outcome = decided.get("outcome") if isinstance(decided, Mapping) else None
        called = {_action(self.program, pointer) for pointer in self.named.get(name, ())}
        if called == {"ask"}:
            if outcome != TaskOutcome.SUBMITTED:
                mend = "Write {decision: {outcome: submitted, data: {…}}}."
                self.wrong(at, "What is asked for with `ask` is submitted.", mend)
                return None
        elif outcome not in (TaskOutcome.APPROVED, TaskOutcome.REJECTED) and not (
            "ask" in called and outcome == TaskOutcome.SUBMITTED
        ):
            self.wrong(at, "A decision is approved or rejected.", "Write {decision: approved}.")
            return None
        words = {} if outcome == TaskOutcome.SUBMITTED else {"approved": outcome == TaskOutcome.APPROVED}
        return {**words, **NOBODY, **decided}

    def events(self, given: Any) -> tuple[Arrival, ...]:
        if not isinstance(given, list) or len(given) > MAXIMUM_EVENTS:
            self.wrong(
                "/events", f"Events are a list of at most {MAXIMUM_EVENTS}.", "Write [{type: …, data: …}]."
            )
            return ()
        found = []
        for index, each in enumerate(given):
            at = join("/events", index)
            if not isinstance(each, Mapping) or not isinstance(each.get("type"), str):
                self.wrong(at, "An event has a `type`.", "Write {type: com.example.paid, data: …}.")
                continue
            event = {name: value for name, value in each.items() if name != "after"}
            after = self.after(at, each)
            found.append(
                Arrival(after, {"specversion": "1.0", "id": f"mock-{index}", "source": "/mocks", **event})
            )
        return tuple(found)


def _action(program: Program, pointer: str) -> str | None:
    work = program.steps[pointer].work
    return work.pinned.action if isinstance(work, Call) else None
