"""The state in which a recorded execution stood when it entered a step: walked again, then handed on to be continued.

Everything entered before is answered from the log and happens no second time. The step itself is due and not begun.
What was under way beside it, in other branches of a fork, goes on with the answer the log has, or begins again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from domain.actions import Lane
from domain.definitions import scopes
from domain.definitions.commands import (
    CallAction,
    Command,
    Completed,
    Event,
    Failed,
    Resume,
    Shaping,
    Sleep,
    StepRecord,
    Stop,
    Stopped,
    Yield,
    keep,
)
from domain.definitions.expressions import Expression, ExpressionError, FuelExhausted, Json, Meter
from domain.definitions.faults import Fault
from domain.definitions.interpreter import advance
from domain.definitions.interpreter.calls import MAXIMUM_SHAPING
from domain.definitions.program import Call, Listen, Program, Step
from domain.definitions.recall import NotRecalled, World, watched
from domain.definitions.shaping import Shaped, shape_flow
from domain.definitions.state import State
from domain.definitions.values import canonical, measure
from domain.executions import StepStatus

_OPEN: Final = frozenset({StepStatus.RUNNING, StepStatus.WAITING})
#: As many lines of the log as one sentence names.
_NAMED: Final = 5


class LogIncomplete(NotRecalled):
    """Lines of the log that the walk needs are not there; `args[0]` says which."""


@dataclass(frozen=True, slots=True)
class Leg:
    """As far as `until` (an occurrence) the steps were taken by one execution; the one that repeated it from there
    on has the id `then` and began at `at`, in epoch ms."""

    until: str
    then: str
    at: int


@dataclass(frozen=True, slots=True)
class Retraced:
    """`state` with the chosen step due, its clock moved on to the moment of the repetition."""

    state: State
    #: What was under way there and has no answer: it begins again.
    commands: list[Command]
    #: Every step entered before, as it stands there, by its occurrence.
    records: dict[str, StepRecord] = field(default_factory=dict)


def retrace(
    program: Program,
    state: State,
    log: Mapping[str, StepRecord],
    legs: Sequence[Leg],
    meter: Meter,
) -> Retraced:
    """Walk to the end of the last of `legs`; the execution that continues from there is that leg's `then`.

    `state` is that of the beginning. Raises NotRecalled.
    """
    walk = _Walk(program, state, log, meter)
    try:
        for leg in legs:
            walk.go(leg)
        commands = walk.settle()
    except FuelExhausted:
        raise NotRecalled("it takes too many steps to get there once more") from None
    except (Fault, ExpressionError) as error:
        raise NotRecalled(f"what a step beside it exports has no value any more ({error})") from None
    walk.compare()
    return Retraced(walk.state, commands, walk.records)


class _Walk:
    def __init__(self, program: Program, state: State, log: Mapping[str, StepRecord], meter: Meter) -> None:
        self.state = state
        self.records: dict[str, StepRecord] = {}
        self._program = program
        self._log = log
        self._meter = meter
        self._world = World(log)
        #: The program with the gate of this leg, the gate itself, and when it was reached.
        self._walked = program
        self._gate = _Gate(None, 0)
        self._cut = state.now

    def go(self, leg: Leg) -> None:
        """As far as the step, then hand over: another id, and a clock on which no time has passed in between."""
        pointer, _, visit = leg.until.rpartition("#")
        step = self._program.steps.get(pointer)
        if step is None or not visit.isdigit():
            raise NotRecalled(f"this version has no step at {leg.until}")
        self._gate = _Gate(step.condition, int(visit) - self.state.visits.get(pointer, 0))
        self._walked = watched(self._program, pointer, self._gate)
        self._advance(Resume(self.state.now))
        while not self._gate.is_reached:
            try:
                event = self._world.next(self.state)
            except NotRecalled:
                self._require_lines()
                raise
            self._advance(event)
        self._hand_over(leg)

    def settle(self) -> list[Command]:
        """Give what was under way its answers, and what has none its whole time again; answers what begins again."""
        self._require_lines()
        for event in self._world.answers(self.state):
            del self._world.open[event.occurrence]
            answer = _whole(self._program, self.state, replace(event, now=self.state.now), self._meter)
            # The chosen step is due first and keeps its gate: the answer only becomes due behind it.
            self.state = advance(self._walked, self.state, answer, Meter()).state
        commands = list(self._world.open.values())
        for command in commands:
            if not isinstance(command, Sleep):
                self._begin_again(command.occurrence)
        return [_whole_call(self._program, self.state, command) for command in commands]

    def compare(self) -> None:
        """What the walk came past is what the log tells, or another course would be continued."""
        for occurrence, record in self.records.items():
            line = self._log.get(occurrence)
            if line is None:
                raise _missing([occurrence])
            if _heard_more_than_logged(self._program.steps.get(record.pointer)):
                raise NotRecalled(
                    f"step '{record.name}' did something for each event it heard, and events are not in the log"
                )
            ended = record.status not in _OPEN
            if ended and (line.status is not record.status or _differ(line.output, record.output)):
                raise NotRecalled(f"step '{record.name}' does not come out as its log says ({occurrence})")

    def _advance(self, event: Event) -> None:
        done = advance(self._walked, self.state, event, self._meter)
        keep(self.records, done.records)
        self.state = done.state
        commands = done.commands
        if self._gate.is_reached:  # which looks to the interpreter like fuel that is spent
            commands = [command for command in commands if not isinstance(command, Yield)]
        self._world.ask(commands)

    def _hand_over(self, leg: Leg) -> None:
        state = self.state.copy()
        self._cut, shift = state.now, leg.at - state.now
        state.now = leg.at
        state.execution = {**state.execution, "id": leg.then}
        state.deadline = None if state.deadline is None else state.deadline + shift
        state.frames = {
            id: frame if frame.deadline is None else replace(frame, deadline=frame.deadline + shift)
            for id, frame in state.frames.items()
        }
        for command in list(self._world.open.values()):
            if isinstance(command, Sleep):
                self._world.open[command.occurrence] = replace(command, until=command.until + shift)
        self.state = state

    def _begin_again(self, occurrence: str) -> None:
        owner = self.state.pending.get(occurrence)
        if not owner:
            return
        frame = self.state.frames[owner]
        used = self._cut - frame.started
        deadline = None if frame.deadline is None else frame.deadline + used
        self.state.frames[owner] = replace(frame, started=self.state.now, deadline=deadline)

    def _require_lines(self) -> None:
        """A call whose line was removed might have had an answer."""
        asked = (each for each in self._world.open.values() if not isinstance(each, Sleep | Stop))
        gone = [each.occurrence for each in asked if each.occurrence not in self._log]
        if gone:
            raise _missing(gone)


class _Gate(Expression):
    """Stands in for the condition of a step, the first thing evaluated on entering it: from `visit` on, nobody passes.

    To the interpreter it looks like fuel that is spent, so it leaves a state in which that step is due.
    """

    __slots__ = ("_condition", "_left", "is_reached")

    def __init__(self, condition: Expression | None, visit: int) -> None:
        self.names = frozenset() if condition is None else condition.names
        self._condition = condition
        self._left = visit
        self.is_reached = False

    def evaluate(self, value: Json, scope: Mapping[str, Json], meter: Meter) -> Json:
        self._left -= 1
        if self._left <= 0:
            self.is_reached = True
            raise FuelExhausted
        return True if self._condition is None else self._condition.evaluate(value, scope, meter)


def _whole(
    program: Program, state: State, event: Completed | Failed | Stopped, meter: Meter
) -> Completed | Failed | Stopped:
    """The log tells an output as it was shaped, which must not be shaped again; what it exports is worked out."""
    owner = state.pending.get(event.occurrence)
    if not isinstance(event, Completed) or not owner:
        return event
    frame = state.frames[owner]
    step = program.steps[frame.pointer]
    if not _is_logged_shaped(step):
        return event
    flow = replace(step.flow, output_as=None, output_schema=None)
    scope = scopes.build(program, state, frame, step.flow.leaving_names)
    shaped: Shaped = shape_flow(flow, f"step '{step.name}'", event.output, scope, meter)
    return replace(event, shaped=shaped.as_json())


def _whole_call(program: Program, state: State, command: Command) -> Command:
    """The walk left out how outputs are shaped: a call that begins again says it where it is carried out."""
    if not isinstance(command, CallAction) or command.lane is not Lane.ACTIVITY:
        return command
    owner = state.pending.get(command.occurrence)
    if not owner:
        return command
    frame = state.frames[owner]
    step = program.steps[frame.pointer]
    if step.flow.output_as is None and step.flow.export_as is None:
        return command
    scope = scopes.build(program, state, frame, step.flow.leaving_names)
    fits = measure(scope, MAXIMUM_SHAPING) <= MAXIMUM_SHAPING
    return replace(command, shaping=Shaping(step.pointer, scope) if fits else None)


def _is_logged_shaped(step: Step) -> bool:
    return isinstance(step.work, Listen) or (isinstance(step.work, Call) and not step.work.keeps_input)


def _heard_more_than_logged(step: Step | None) -> bool:
    """What `foreach` does and exports depends on each event, of which the log tells none."""
    foreach = step.work.foreach if step is not None and isinstance(step.work, Listen) else None
    return foreach is not None and (foreach.block is not None or foreach.flow.export_as is not None)


def _differ(logged: Json, walked: Json) -> bool:
    """Large outputs are not in the log."""
    return logged is not None and walked is not None and canonical(logged) != canonical(walked)


def _missing(occurrences: Sequence[str]) -> LogIncomplete:
    named = ", ".join(occurrences[:_NAMED])
    more = f" and {len(occurrences) - _NAMED} more" if len(occurrences) > _NAMED else ""
    return LogIncomplete(f"the log has no line of {named}{more}")
