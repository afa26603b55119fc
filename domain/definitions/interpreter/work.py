"""How the work of each kind of step begins: evaluate what it needs, and say what beginning it changes."""

from domain.definitions.checks import checked
from domain.definitions.commands import Sleep
from domain.definitions.program import (
    Call,
    Do,
    For,
    Fork,
    Function,
    Listen,
    Raise,
    Set,
    Step,
    Switch,
    Try,
    Wait,
)
from domain.definitions.state import Frame
from domain.executions import StepStatus

from . import calls, forks, leaving, listening, loops, raising, spans, tries
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
        case Fork():
            return forks.prepare(activation, step.work, frame)
        case Try():
            return tries.prepare(activation, step, step.work, frame)
        case Raise():
            raise raising.fault(activation, step, step.work, frame)
        case Wait():
            return _wait(activation, step, step.work, frame)
        case Listen():
            return listening.prepare(activation, step, step.work, frame)
        case Call():
            return calls.prepare(activation, step, step.work, frame)
        case Function():
            return calls.prepare_function(activation, step, step.work, frame)


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
    length = spans.milliseconds(
        activation, work.duration, f"`wait` of step '{step.name}'", frame.value, frame
    )
    until = activation.state.now + length

    def commit() -> None:
        activation.state.pending[frame.occurrence] = frame.id
        activation.stay(frame, StepStatus.WAITING)
        activation.commands.append(Sleep(frame.occurrence, step.name, until))

    return commit
