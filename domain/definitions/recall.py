"""What a step of a recorded execution had before it: walked again in memory, the log answering for the world.

Nothing of it is guessed: conditions, loops, branches, exports and errors take the course they took, because the
same interpreter takes it from the same input and the same answers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from domain.definitions.commands import (
    AwaitEvents,
    CallAction,
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
)
from domain.definitions.expressions import Expression, Json, Meter
from domain.definitions.interpreter import advance
from domain.definitions.program import Call, For, Listen, Program, Step, Try
from domain.definitions.state import State
from domain.executions import StepStatus
from domain.ids import occurrence_name

_Asked: TypeAlias = CallAction | Sleep | AwaitEvents | Stop
_ANSWERED = frozenset({StepStatus.COMPLETED, StepStatus.FAILED})


class NotRecalled(Exception):
    """The log does not lead to that step; `args[0]` says why."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """`value` is what `.` was, `scope` the values of the names, without $."""

    value: Json
    scope: Mapping[str, Json]


def before_step(
    program: Program, state: State, log: Mapping[str, StepRecord], pointer: str, visit: int, meter: Meter
) -> Recalled:
    """The step's input, as `input.from` made it, and its scope. `state` is that of the beginning.

    Raises NotRecalled; ExpressionError or a Fault of `input.from` itself.
    """
    step = program.steps[pointer]
    probe = _Probe(step.condition, visit, _names(program))
    world = World(log)
    try:
        done = advance(watched(program, pointer, probe), state, Resume(state.now), meter)
        while True:
            event = world.answer(done.commands, done.state)
            done = advance(watched(program, pointer, probe), done.state, event, meter)
    except _Reached as reached:
        value, scope = reached.recalled.value, dict(reached.recalled.scope)
    scope["steps"] = _latest_outputs(log, log.get(occurrence_name(pointer, visit)))
    if step.flow.input_from is not None:
        value = step.flow.input_from.evaluate(value, scope, meter)
        scope["input"] = value
    return Recalled(value, scope)


def _latest_outputs(log: Mapping[str, StepRecord], until: StepRecord | None) -> dict[str, Json]:
    earlier = [each for each in log.values() if until is None or each.position < until.position]
    done = [each for each in earlier if each.status is StepStatus.COMPLETED]
    return {each.name: each.output for each in sorted(done, key=lambda each: each.position)}


class _Reached(Exception):
    def __init__(self, recalled: Recalled) -> None:
        super().__init__()
        self.recalled = recalled


class _Probe(Expression):
    """Stands in for the condition of a step, the first thing evaluated on entering it."""

    __slots__ = ("_condition", "_left")

    def __init__(self, condition: Expression | None, visit: int, names: frozenset[str]) -> None:
        self.names = names
        self._condition = condition
        self._left = visit

    def evaluate(self, value: Json, scope: Mapping[str, Json], meter: Meter) -> Json:
        self._left -= 1
        if self._left == 0:
            raise _Reached(Recalled(value, scope))
        return True if self._condition is None else self._condition.evaluate(value, scope, meter)


def _names(program: Program) -> frozenset[str]:
    """Everything that can have a value at a step of this program."""
    names = {"context", "input", "workflow", "task", "runtime"}
    for step in program.steps.values():
        match step.work:
            case For(each=each, at=at):
                names |= {each, at}
            case Listen(foreach=foreach) if foreach is not None:
                names |= {foreach.item, foreach.at}
            case Try(catch=catch):
                names.add(catch.name)
            case _:
                pass
    return frozenset(names)


def watched(program: Program, pointer: str, probe: Expression) -> Program:
    """The program with a probe at a step; what the log tells of a call is its output as it was shaped."""

    def changed(step: Step) -> Step:
        if isinstance(step.work, Listen) or (isinstance(step.work, Call) and not step.work.keeps_input):
            step = replace(step, flow=replace(step.flow, output_as=None, output_schema=None))
        return replace(step, condition=probe) if step.pointer == pointer else step

    steps = {where: changed(step) for where, step in program.steps.items()}
    blocks = {
        where: replace(block, steps=tuple(steps[step.pointer] for step in block.steps))
        for where, block in program.blocks.items()
    }
    return replace(program, steps=steps, blocks=blocks)


class World:
    """Answers commands as the log says they were answered, in the order of the answers.

    `open` are those that were asked and have no answer yet, by their occurrences.
    """

    def __init__(self, log: Mapping[str, StepRecord]) -> None:
        self._log = log
        self.open: dict[str, _Asked] = {}

    def answer(self, commands: Iterable[Command], state: State) -> Event:
        """The event that came next. Raises NotRecalled."""
        self.ask(commands)
        return self.next(state)

    def ask(self, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Yield():
                    raise NotRecalled("it takes too many steps to get there once more")
                case Finish():
                    raise NotRecalled("the execution ended before it got there")
                case _:
                    self.open[command.occurrence] = command

    def next(self, state: State) -> Event:
        answers = self.answers(state)
        if answers:
            event = min(answers, key=lambda each: each.now)
            del self.open[event.occurrence]
            return replace(event, now=max(event.now, state.now))
        if state.next_deadline is None or not any(map(self._was_stopped, self.open)):
            raise NotRecalled("the execution had not come so far")
        return Tick(max(state.now, state.next_deadline))

    def answers(self, state: State) -> list[Completed | Failed | Stopped]:
        """What the log says to the open commands, as far as it says anything."""
        return [found for command in self.open.values() if (found := self._said(command, state.now))]

    def _was_stopped(self, occurrence: str) -> bool:
        record = self._log.get(occurrence)
        return record is not None and record.status is StepStatus.CANCELLED

    def _said(self, command: _Asked, now: int) -> Completed | Failed | Stopped | None:
        if isinstance(command, Stop):
            return Stopped(now, command.occurrence)
        occurrence = command.occurrence
        record = self._log.get(occurrence)
        if record is None:
            return Completed(command.until, occurrence, None) if isinstance(command, Sleep) else None
        if record.status not in _ANSWERED or record.completed is None:
            return None
        if record.status is StepStatus.FAILED:
            return Failed(record.completed, occurrence, record.error or {})
        return Completed(record.completed, occurrence, record.output)
