"""Failing: a fault names the step where it arose, and every step around that one fails with it."""

from domain.definitions.commands import Finish
from domain.definitions.expressions import ACTIVATION_FUEL
from domain.definitions.faults import Fault
from domain.definitions.state import Frame, Todo
from domain.executions import ExecutionStatus, StepStatus

from . import entering
from .activation import Activation, Commit

#: What the expressions of a single step may compute at most, wherever they run (about 10 s).
MAXIMUM_STEP_FUEL = ACTIVATION_FUEL * 60

#: Where a fault of the workflow itself arose.
_OUTSIDE = {"begin": "/input", "finish": "/output"}


def prepare(activation: Activation, todo: Todo, fault: Fault) -> Commit:
    """Give up the transition that `fault` has met."""
    frame = activation.state.frames.get(todo.frame)
    if frame is None:
        return lambda: _fail(activation, None, fault.at(_OUTSIDE[todo.do]))
    if todo.do == "enter":
        return lambda: _fail_entering(activation, frame, fault)
    return lambda: _fail(activation, frame, fault.at(frame.pointer))


def step_too_costly() -> Fault:
    return Fault(
        "runtime",
        500,
        "Step too costly",
        "The expressions of this one step need more computing than a step may use; split it into several",
    )


def _fail_entering(activation: Activation, block_frame: Frame, fault: Fault) -> None:
    """A step that failed while it was being entered is still an occurrence in the log."""
    step = activation.program.blocks[block_frame.pointer].steps[block_frame.at]
    frame = entering.newborn(activation.state, block_frame, step)
    entering.admit(activation, frame, block_frame)
    _fail(activation, frame, fault.at(step.pointer))


def _fail(activation: Activation, frame: Frame | None, fault: Fault) -> None:
    error = fault.as_json()
    while frame is not None:
        if frame.kind == "step":
            activation.journal.note(frame, StepStatus.FAILED, error=error)
        frame = None if frame.parent is None else activation.state.frames[frame.parent]
    activation.close(Finish(ExecutionStatus.FAILED, error=error))
