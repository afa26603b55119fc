"""Failing: a fault names the step where it arose and climbs from there, one boundary at a time.

First the transition that met the fault is given up, which evaluates nothing. What follows is a transition of its own:
the steps up to the next boundary fail, and the boundary decides. A `try` around them may catch the error; a
branch fails its fork, or merely loses the race; at the root the execution fails. Everything a boundary leaves behind is
stopped before the error climbs on or is handled.
"""

from dataclasses import dataclass

from domain.definitions.expressions import ACTIVATION_FUEL, Json
from domain.definitions.faults import Fault
from domain.definitions.state import Frame, Todo
from domain.executions import ExecutionStatus, StepStatus

from . import ending, entering, forks, stopping, tries
from .activation import Activation, Commit

#: What the expressions of a single step may compute at most, wherever they run (about 10 s).
MAXIMUM_STEP_FUEL = ACTIVATION_FUEL * 60

#: Where a fault of the workflow itself arose.
_OUTSIDE = {"begin": "/input", "finish": "/output", "hear": "/do"}


@dataclass(frozen=True, slots=True)
class _Climb:
    """The steps that fail, innermost first, and the block of the `try` or of the branch that they stand in."""

    failed: list[Frame]
    block: Frame | None


def prepare(activation: Activation, todo: Todo, fault: Fault) -> Commit:
    """Give up the transition that `fault` has met; never evaluates, never fails."""
    frame = activation.state.frames.get(todo.frame)
    if frame is None:
        error = fault.at(_OUTSIDE[todo.do]).as_json()
        return lambda: ending.conclude(activation, ExecutionStatus.FAILED, error)
    if todo.do == "enter":
        return lambda: _fail_entering(activation, frame, fault)
    if todo.do == "fault" and not fault.fatal:
        return _prepare_failed_catch(activation, frame, todo, fault)
    return lambda: _fail(activation, frame, fault.at(_pointer(activation, frame)))


def prepare_fault(activation: Activation, todo: Todo) -> Commit:
    """Carry an error from the step where it arose, or has climbed to, as far as the next boundary."""
    error = todo.value
    assert isinstance(error, dict)
    climb = _climb(activation, activation.state.frames[todo.frame])
    error = {**error, "instance": error.get("instance") or climb.failed[0].pointer}
    block = climb.block
    if block is None:
        return lambda: ending.conclude(
            activation, ExecutionStatus.FAILED, error, _told(activation, climb, error)
        )
    assert block.parent is not None
    around = activation.state.frames[block.parent]
    if _role(activation, block) == "branch":
        return lambda: forks.branch_failed(activation, block, error, _told(activation, climb, error))
    then = Todo("caught" if tries.admits(activation, around, error) else "fault", around.id, error)
    return lambda: stopping.stop_below(activation, around, then, _told(activation, climb, error))


def step_too_costly() -> Fault:
    """Not to be caught: whoever tries again would compute as long again."""
    return Fault(
        "runtime",
        500,
        "Step too costly",
        "The expressions of this one step need more computing than a step may use; split it into several",
        fatal=True,
    )


def _prepare_failed_catch(activation: Activation, frame: Frame, todo: Todo, fault: Fault) -> Commit:
    """Asking a `try` whether it catches an error has failed itself: that is the fault of the `try`."""
    assert isinstance(todo.value, dict)
    first = todo.value
    climb = _climb(activation, frame)
    assert climb.block is not None
    assert climb.block.parent is not None
    around = activation.state.frames[climb.block.parent]
    then = Todo("fault", around.id, fault.at(around.pointer).as_json())
    return lambda: stopping.stop_below(activation, around, then, _told(activation, climb, first))


def _fail_entering(activation: Activation, block_frame: Frame, fault: Fault) -> None:
    """A step that failed while it was being entered is still an occurrence in the log."""
    step = activation.program.blocks[block_frame.pointer].steps[block_frame.at]
    frame = entering.newborn(activation.state, block_frame, step)
    entering.admit(activation, frame, block_frame)
    _fail(activation, frame, fault.at(step.pointer))


def _fail(activation: Activation, frame: Frame, fault: Fault) -> None:
    error = fault.as_json()
    if not fault.fatal:
        activation.due(Todo("fault", frame.id, error))
        return
    failed: list[Frame] = []
    at: Frame | None = frame
    while at is not None:
        failed.append(at)
        at = None if at.parent is None else activation.state.frames[at.parent]
    told = _told(activation, _Climb(failed, None), error)
    ending.conclude(activation, ExecutionStatus.FAILED, error, told)


def _climb(activation: Activation, frame: Frame) -> _Climb:
    failed: list[Frame] = []
    while True:
        if frame.kind == "step":
            failed.append(frame)
        elif _role(activation, frame) in ("try", "branch"):
            return _Climb(failed, frame)
        if frame.parent is None:
            return _Climb(failed, None)
        frame = activation.state.frames[frame.parent]


def _told(activation: Activation, climb: _Climb, error: dict[str, Json]) -> list[int]:
    """Tell the step log of the steps that have failed."""
    steps = [frame for frame in climb.failed if frame.kind == "step"]
    for frame in steps:
        activation.journal.note(frame, StepStatus.FAILED, error=error)
    return [frame.id for frame in steps]


def _role(activation: Activation, block: Frame) -> str:
    return activation.program.blocks[block.pointer].role


def _pointer(activation: Activation, frame: Frame) -> str:
    """The step that a fault in a transition of this frame belongs to."""
    if frame.kind == "block" and frame.parent is not None:
        return activation.state.frames[frame.parent].pointer
    return frame.pointer
