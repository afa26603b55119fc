"""Leaving a step: its output is shaped and exported, then `then` says where to go."""

from domain.definitions.expressions import Json
from domain.definitions.program import For, Step
from domain.definitions.shaping import Shaped, shape
from domain.definitions.state import Frame, Todo
from domain.executions import StepStatus

from .activation import Activation, Commit


def settle(activation: Activation, frame: Frame, step: Step, raw: Json, then: str | None = None) -> None:
    """The work of a step is done, and `raw` is fit for the state.

    Where something has yet to be evaluated, leaving becomes a transition of its own. `then` overrides the
    step's own.
    """
    if step.flow.keeps_output:
        _leave(activation, frame, step, Shaped(raw, exports=False), then)
    else:
        activation.due(Todo("leave", frame.id, raw, then=then))


def prepare(activation: Activation, frame: Frame, todo: Todo) -> Commit:
    step = activation.step(frame)
    if todo.shaped is not None:
        shaped = Shaped.from_json(todo.shaped)
    else:
        scope = activation.scope(frame, step.flow.leaving_names)
        shaped = shape(step, todo.value, scope, activation.meter)
    return lambda: _leave(activation, frame, step, shaped, todo.then)


def go_to(activation: Activation, block_frame: Frame, index: int, value: Json) -> None:
    activation.state.move(block_frame, index, value)
    activation.due(Todo("enter", block_frame.id))


def leave_block(activation: Activation, block_frame: Frame, output: Json) -> None:
    """The block has ended: the workflow is done, a loop goes on, any other step has its output."""
    frames = activation.state.frames
    del frames[block_frame.id]
    if block_frame.parent is None:
        activation.due(Todo("finish", value=output))
        return
    owner = frames[block_frame.parent]
    step = activation.step(owner)
    if isinstance(step.work, For):
        activation.due(Todo("iterate", owner.id, output))
    else:
        settle(activation, owner, step, output)


def _leave(activation: Activation, frame: Frame, step: Step, shaped: Shaped, then: str | None) -> None:
    state = activation.state
    output = shaped.output
    if shaped.exports:
        state.context = shaped.export
    if step.name in activation.program.remembered:
        state.steps[step.name] = output
    activation.journal.note(frame, StepStatus.COMPLETED, output=output)
    assert frame.parent is not None
    block_frame = state.frames[frame.parent]
    del state.frames[frame.id]
    match then or step.then:
        case "continue":
            go_to(activation, block_frame, block_frame.at + 1, output)
        case "exit":
            leave_block(activation, block_frame, output)
        case "end":
            _end(activation, block_frame, output)
        case name:
            index = activation.program.blocks[block_frame.pointer].index[name]
            go_to(activation, block_frame, index, output)


def _end(activation: Activation, inner: Frame, output: Json) -> None:
    """Every enclosing step is done too, as it is: the workflow finishes with this output."""
    frames = activation.state.frames
    frame: Frame | None = inner
    while frame is not None:
        if frame.kind == "step":
            activation.journal.note(frame, StepStatus.COMPLETED, output=output)
        del frames[frame.id]
        frame = None if frame.parent is None else frames[frame.parent]
    activation.due(Todo("finish", value=output))
