"""Entering a step: is its turn allowed, does its condition hold, what is its input, how does its work begin?"""

from dataclasses import replace

from domain.definitions.checks import checked, refuse_problems
from domain.definitions.faults import Fault
from domain.definitions.program import Step
from domain.definitions.state import Frame, State
from domain.executions import StepStatus

from . import compensating, extending, leaving, timeouts, work
from .activation import Activation, Commit


def prepare(activation: Activation, block_frame: Frame) -> Commit:
    """The order of the specification: `if` on the raw input, `input.schema`, `input.from`, then the work."""
    step = activation.program.blocks[block_frame.pointer].steps[block_frame.at]
    _refuse_beyond_budget(activation.state, step)
    frame = newborn(activation.state, block_frame, step)
    raw = block_frame.value
    if step.condition is not None and not activation.holds(step.condition, raw, frame):
        return lambda: _skip(activation, frame, block_frame)
    compensating.refuse_beyond(activation, step)
    refuse_problems(step.flow.input_schema, raw, f"The input of step '{step.name}'", activation.meter)
    if step.flow.input_from is not None:
        value = activation.evaluate(step.flow.input_from, raw, frame)
        checked(value, f"The input of step '{step.name}'", activation.meter)
        frame = replace(frame, raw=raw, value=value)
    frame = timeouts.of_step(activation, step, frame)
    begin_work = (extending if step.extensions else work).prepare(activation, step, frame)

    def commit() -> None:
        admit(activation, frame, block_frame)
        begin_work()

    return commit


def newborn(state: State, block_frame: Frame, step: Step) -> Frame:
    """The frame of a step that is to be entered next, not yet part of the state."""
    return Frame(
        id=state.next_frame,
        parent=block_frame.id,
        kind="step",
        pointer=step.pointer,
        value=block_frame.value,
        raw=None if step.flow.input_from is None else block_frame.value,
        visit=state.visits.get(step.pointer, 0) + 1,
        position=state.occurrences + 1,
        started=state.now,
    )


def admit(activation: Activation, frame: Frame, block_frame: Frame) -> None:
    """The step has been entered: whatever comes of it, it counts as an occurrence."""
    state = activation.state
    state.frames[frame.id] = frame
    state.next_frame += 1
    state.visits[frame.pointer] = frame.visit
    state.occurrences += 1
    activation.journal.progress_to_step(block_frame)


def _skip(activation: Activation, frame: Frame, block_frame: Frame) -> None:
    """The raw input passes on to the next step; the skipped step's `then` is not followed."""
    admit(activation, frame, block_frame)
    activation.journal.note(frame, StepStatus.SKIPPED)
    del activation.state.frames[frame.id]
    leaving.go_to(activation, block_frame, block_frame.at + 1, block_frame.value)


def _refuse_beyond_budget(state: State, step: Step) -> None:
    if state.occurrences >= state.budget:
        raise Fault(
            "runtime",
            500,
            "Step budget exceeded",
            f"More than {state.budget} steps were entered; check the loop or the backward jump that leads to"
            f" '{step.name}', or ask for a higher limit",
            instance=step.pointer,
            fatal=True,
        )
