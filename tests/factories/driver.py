"""Executions in memory: the interpreter with a world that answers its commands from a dictionary.

Every advance is also held against what must always be true: the state it was given is unchanged, states and
commands survive JSON, progress never falls and reaches 100 only with success.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from domain.actions import ActionSpec, Catalogue, Effect, Lane
from domain.definitions import documents
from domain.definitions.commands import (
    Arrived,
    AwaitEvents,
    CallAction,
    Cancelled,
    Command,
    Completed,
    Event,
    Failed,
    Finish,
    Resume,
    Sleep,
    StepRecord,
    Stop,
    Stopped,
    Tick,
    Yield,
    command_as_json,
    command_from_json,
    keep,
)
from domain.definitions.expressions import ExpressionError, Meter
from domain.definitions.faults import Fault
from domain.definitions.interpreter import Advance, advance, begin
from domain.definitions.program import Program, load_program
from domain.definitions.publishing import publish
from domain.definitions.shaping import expression_failed, shape
from domain.definitions.state import State
from domain.executions import ExecutionStatus

#: 2026-01-01T00:00:00Z
NEW_YEAR = 1_767_225_600_000


def _spec(name: str, lane: Lane, effect: Effect = Effect.IDEMPOTENT) -> ActionSpec:
    return ActionSpec(name, "1.0.0", name, "", effect, lane, timedelta(seconds=30), {"type": "object"}, {})


ACTIONS = Catalogue(
    [
        _spec("look", Lane.ACTIVITY),
        _spec("quick", Lane.SEGMENT),
        _spec("approve", Lane.TASK),
        _spec("http.request", Lane.ACTIVITY, Effect.KEYED),
        _spec("openapi.request", Lane.ACTIVITY, Effect.KEYED),
    ]
)


def compiled(steps: str | list[Any], **parts: Any) -> dict[str, Any]:
    """What publishing stores, through real JSON. `steps` may be the YAML of `do`; `parts` belong beside it."""
    do = documents.load(steps).value if isinstance(steps, str) else steps
    beside = {name: parts.pop(name) for name in ("actions", "variables") if name in parts}
    published = publish({"do": do, **parts}, name="test", namespace="tests", catalogue=ACTIONS, **beside)
    stored: dict[str, Any] = json.loads(json.dumps(published.compiled))
    return stored


def program(steps: str | list[Any], **parts: Any) -> Program:
    return load_program(compiled(steps, **parts))


#: How long a call takes unless its answer says otherwise, in milliseconds.
A_CALL = 1000


@dataclass(frozen=True)
class Slow:
    """An answer that takes its time."""

    milliseconds: int
    answer: Any = None


@dataclass
class Execution:
    """One execution. `answers` maps a step's name to its output, to a Fault, or to a list of those in order."""

    program: Program
    input: Any = None
    answers: Mapping[str, Any] = field(default_factory=dict)
    fuel: int | None = None
    budget: int = 10_000
    now: int = NEW_YEAR
    #: Whether outputs are shaped as activities do it, where the command says how.
    shaping: bool = True
    commands: list[Command] = field(default_factory=list)
    #: Every record in the order told.
    told: list[StepRecord] = field(default_factory=list)
    finish: Finish | None = None
    yields: int = 0

    def __post_init__(self) -> None:
        self.state = begin(
            self.program,
            input=self.input,
            execution={"id": "e-1", "trigger": {"type": "manual", "name": "api"}},
            now=self.now,
            budget=self.budget,
        )
        self._asked: dict[str, int] = {}
        self._answers: dict[str, Any] = {}
        #: What is under way, and when it is due.
        self.waiting: list[tuple[int, Command]] = []

    def run(self) -> "Execution":
        """To the end, in the time that waits and calls take: what is due first is answered first."""
        self.begin()
        while self.finish is None:
            self.step()
        return self

    def begin(self) -> None:
        self._await(self.take(Resume(self.now)))

    def step(self) -> None:
        """Let the world do the next thing that is due."""
        stop = next((each for each in self.waiting if isinstance(each[1], Stop)), None)
        deadline = self.state.next_deadline
        due = stop or min(self.waiting, key=lambda each: each[0], default=None)
        if due is None or (stop is None and deadline is not None and deadline <= due[0]):
            assert deadline is not None, "the execution neither asks for anything nor ends"
            self.now = max(self.now, deadline)
            self._await(self.take(Tick(self.now)))
            return
        self.waiting.remove(due)
        self.now = max(self.now, due[0])
        self._await(self.take(self._said(due[1])))

    def _await(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, Sleep):
                self.waiting.append((command.until, command))
            elif isinstance(command, Stop):
                named = [
                    each for each in self.waiting if getattr(each[1], "occurrence", "") == command.occurrence
                ]
                assert len(named) == 1, "what is stopped is under way"
                self.waiting.remove(named[0])
                self.waiting.append((self.now, command))
            elif isinstance(command, CallAction):
                self._answers[command.occurrence] = answer = self._reply(command)
                takes = answer.milliseconds if isinstance(answer, Slow) else A_CALL
                self.waiting.append((self.now + takes, command))
            elif not isinstance(command, Finish):
                self.waiting.append((self.now + A_CALL, command))

    def take(self, event: Event) -> list[Command]:
        """One event, and as many resumptions as its fuel makes necessary; the commands that came of it."""
        step = self._advance(event, self.fuel)
        given: list[Command] = []
        fuel = self.fuel
        while step.commands and isinstance(step.commands[-1], Yield):
            self.yields += 1
            given += step.commands[:-1]
            assert fuel is not None
            fuel = self.fuel if step.progressed else 2 * fuel
            step = self._advance(Resume(event.now), fuel)
        given += step.commands
        self.commands += given
        for command in given:
            if isinstance(command, Finish):
                assert self.finish is None, "an execution finishes once"
                self.finish = command
        return given

    def _advance(self, event: Event, fuel: int | None) -> Advance:
        before = json.dumps(self.state.as_json())
        progress = self.state.progress
        step = advance(self.program, self.state, event, Meter(fuel))
        assert json.dumps(self.state.as_json()) == before, "advance changed the state it was given"
        self.state = State.from_json(json.loads(json.dumps(step.state.as_json())))
        assert self.state == step.state, "the state does not survive JSON"
        for command in step.commands:
            assert command_from_json(json.loads(json.dumps(command_as_json(command)))) == command
        completed = any(
            isinstance(command, Finish) and command.status is ExecutionStatus.COMPLETED
            for command in step.commands
        )
        assert progress <= self.state.progress <= (100 if completed or progress == 100 else 99)
        assert not completed or self.state.progress == 100
        self.told += step.records
        return step

    def answer(self, command: Command) -> Event:
        """What the world says to a command that alone is under way."""
        if isinstance(command, Sleep):
            self.now = command.until
        elif not isinstance(command, Stop):
            self.now += A_CALL
        if isinstance(command, CallAction):
            self._answers[command.occurrence] = self._reply(command)
        return self._said(command)

    def _reply(self, command: CallAction) -> Any:
        undoes = command.occurrence.endswith("!compensate")
        name = f"{command.name}!compensate" if undoes else command.name
        output = self.answers[name]
        if isinstance(output, list):
            count = self._asked[name] = self._asked.get(name, 0) + 1
            output = output[count - 1]
        return output

    def _said(self, command: Command) -> Event:
        if isinstance(command, Stop):
            return Stopped(self.now, command.occurrence)
        if isinstance(command, Sleep):
            return Completed(self.now, command.occurrence, None)
        if isinstance(command, AwaitEvents):
            [type] = command.types or ["any"]
            event = {"specversion": "1.0", "type": type, "data": self.answers[command.name]}
            return Arrived(self.now, event)
        assert isinstance(command, CallAction), command
        output = self._answers.pop(command.occurrence)
        if isinstance(output, Slow):
            output = output.answer
        if callable(output):
            output = output(command.arguments)
        if isinstance(output, Fault):
            return Failed(self.now, command.occurrence, output.as_json())
        if command.shaping is None or not self.shaping:
            return Completed(self.now, command.occurrence, output)
        step = self.program.steps[command.shaping.step]
        try:
            shaped = shape(step, output, command.shaping.scope, Meter()).as_json()
        except Fault as fault:
            return Failed(self.now, command.occurrence, fault.as_json())
        except ExpressionError as error:
            return Failed(self.now, command.occurrence, expression_failed(error).as_json())
        return Completed(self.now, command.occurrence, None, shaped)

    def cancel(self) -> list[Command]:
        return self.take(Cancelled(self.now))

    @property
    def output(self) -> Any:
        assert self.finish is not None
        assert self.finish.status is ExecutionStatus.COMPLETED, self.finish.error
        return self.finish.output

    @property
    def error(self) -> dict[str, Any]:
        assert self.finish is not None
        assert self.finish.status is ExecutionStatus.FAILED, self.finish
        assert self.finish.error is not None
        return self.finish.error

    @property
    def records(self) -> dict[str, StepRecord]:
        """The latest record of each occurrence, in the order of entering."""
        latest: dict[str, StepRecord] = {}
        keep(latest, self.told)
        return dict(sorted(latest.items(), key=lambda item: item[1].position))

    @property
    def path(self) -> list[str]:
        """The names of the steps in the order of entering, skipped ones in brackets."""
        return [f"({each.name})" if each.status == "skipped" else each.name for each in self.records.values()]


def execute(steps: str | list[Any], data: Any = None, replies: Any = None, /, **more: Any) -> Execution:
    """Publish, load and run; `more` are parts of the definition, or `fuel`, `budget`, `shaping` of the execution."""
    own = {name: more.pop(name) for name in ("fuel", "budget", "shaping") if name in more}
    return Execution(program(steps, **more), data, replies or {}, **own).run()


@cache
def example() -> Program:
    """A program with every kind of step."""
    return program(
        """
- prepare: {set: {items: "${ .items }", total: 0}, export: {as: "$context + {seen: .items}"}}
- each:
    for: {in: .items, each: item, at: index}
    while: $index < 3
    do:
      - maybe: {if: "$item > 1", set: "{total: (.total + $item), items: .items}"}
      - fetch: {call: look, with: {id: "${ $item }"}, output: {as: ".n + $input.total | {total: ., items: []}"}}
- nested:
    do:
      - inner: {call: quick, with: {note: "total ${ .total }"}}
      - rest: {wait: PT1S, then: exit}
- decide:
    switch:
      - much: {when: "$context.seen | length > 1", then: ask}
      - else: {then: finish}
- ask: {call: approve, with: {title: sure}, if: .ok}
- finish: {set: {done: true, first: "${ $steps.prepare.total }"}}
"""
    )


EXAMPLE_INPUT = {"items": [1, 2, 3, 4]}
EXAMPLE_ANSWERS = {
    "fetch": [{"n": 1}, {"n": 2}, {"n": 3}],
    "inner": {"ok": True},
    "ask": {"outcome": "approved", "approved": True},
}
