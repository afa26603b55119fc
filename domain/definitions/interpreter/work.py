"""How the work of each kind of step begins: evaluate what it needs, and say what beginning it changes."""

from datetime import timedelta

from domain.definitions.checks import checked
from domain.definitions.commands import AwaitEvent, Sleep
from domain.definitions.durations import InvalidDuration, parse
from domain.definitions.expressions import Expression
from domain.definitions.faults import Fault
from domain.definitions.program import Call, Do, For, Listen, Set, Step, Switch, Wait
from domain.definitions.state import Frame
from domain.executions import StepStatus

from . import calls, leaving, loops
from .activation import Activation, Commit


def prepare(activation: Activation, step: Step, frame: Frame) -> Commit:
    match step.work:
        case Set():
            return _set(activation, step, step.work, frame)
        case Switch():
            return _switch(activation, step, step.work, frame)
        case Do():
            return _do(activation, step.work, frame)
        case For():
            return loops.prepare_first(activation, step, step.work, frame)
        case Wait():
            return _wait(activation, step, step.work, frame)
        case Listen():
            return _listen(activation, step, step.work, frame)
        case Call():
            return calls.prepare(activation, step, step.work, frame)


def _set(activation: Activation, step: Step, work: Set, frame: Frame) -> Commit:
    """What is set replaces the data."""
    output = activation.evaluate(work.values, frame.value, frame)
    checked(output, f"The output of step '{step.name}'", activation.meter)
    return lambda: leaving.settle(activation, frame, step, output)


def _switch(activation: Activation, step: Step, work: Switch, frame: Frame) -> Commit:
    """The first case that holds says where to go; without one the step's own `then` does."""
    for case in work.cases:
        if case.when is None or activation.holds(case.when, frame.value, frame):
            then = case.then
            return lambda: leaving.settle(activation, frame, step, frame.value, then)
    return lambda: leaving.settle(activation, frame, step, frame.value)


def _do(activation: Activation, work: Do, frame: Frame) -> Commit:
    def commit() -> None:
        activation.stay(frame, StepStatus.RUNNING)
        activation.open_block(frame, work.block, frame.value)

    return commit


def _wait(activation: Activation, step: Step, work: Wait, frame: Frame) -> Commit:
    duration = work.duration
    if isinstance(duration, Expression):
        duration = _duration(activation, step, duration, frame)
    until = activation.state.now + duration // timedelta(milliseconds=1)

    def commit() -> None:
        activation.state.pending[frame.occurrence] = frame.id
        activation.stay(frame, StepStatus.WAITING)
        activation.commands.append(Sleep(frame.occurrence, step.name, until))

    return commit


def _listen(activation: Activation, step: Step, work: Listen, frame: Frame) -> Commit:
    def commit() -> None:
        activation.state.pending[frame.occurrence] = frame.id
        activation.stay(frame, StepStatus.WAITING, input={"type": work.type})
        activation.commands.append(AwaitEvent(frame.occurrence, step.name, work.type))

    return commit


def _duration(activation: Activation, step: Step, expression: Expression, frame: Frame) -> timedelta:
    try:
        return parse(activation.evaluate(expression, frame.value, frame))
    except InvalidDuration as error:
        raise Fault("expression", 400, "Not a duration", f"`wait` of step '{step.name}': {error}") from error
