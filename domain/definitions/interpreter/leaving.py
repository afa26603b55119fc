"""Leaving a step: its output is shaped and exported, then `then` says where to go."""

from dataclasses import replace
from typing import Literal

from domain.definitions.expressions import Json
from domain.definitions.program import For, Listen, Step, Try
from domain.definitions.shaping import Shaped, shape
from domain.definitions.state import Frame, Todo
from domain.executions import StepStatus

from . import compensating, stopping
from .activation import Activation, Commit


def settle(activation: Activation, frame: Frame, step: Step, raw: Json, then: str | None = None) -> None:
    """The work of a step is done, and `raw` is fit for the state.

    Where something has yet to be evaluated, leaving becomes a transition of its own. `then` overrides the
    step's own.
    """
    if step.flow.keeps_output and step.compensation is None:
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
    undo = compensating.kept(activation, step, frame, shaped.output)

    def commit() -> None:
        if undo is not None:
            activation.state.compensations.append(undo)
        _leave(activation, frame, step, shaped, todo.then)

    return commit


def go_to(activation: Activation, block_frame: Frame, index: int, value: Json) -> None:
    """Enter the step at `index` of the block next; behind the last one the block has ended."""
    if index < len(activation.program.blocks[block_frame.pointer].steps):
        activation.state.move(block_frame, index, value)
        activation.due(Todo("enter", block_frame.id))
    else:
        leave_block(activation, block_frame, value)


def leave_block(
    activation: Activation, block_frame: Frame, output: Json, then: Literal["exit"] | None = None
) -> None:
    """The block has ended: the workflow is done, a loop goes on, any other step has its output.

    `then` says that a step has left the block before its end.
    """
    frames = activation.state.frames
    role = activation.program.blocks[block_frame.pointer].role
    if role == "branch":
        activation.due(Todo("branch", block_frame.id, output))
        return
    del frames[block_frame.id]
    if block_frame.parent is None:
        activation.due(Todo("finish", value=output))
        return
    owner = frames[block_frame.parent]
    step = activation.step(owner)
    if role in ("before", "after"):
        activation.due(Todo(role, owner.id, output, then=then))
    elif role == "catch":
        assert isinstance(step.work, Try)
        handled = frames[owner.id] = replace(owner, error=None)
        settle(activation, handled, step, output, step.work.catch.then)
    elif isinstance(step.work, For):
        activation.due(Todo("iterate", owner.id, output))
    elif isinstance(step.work, Listen):
        activation.due(Todo("heard", owner.id, output))
    else:
        settle(activation, owner, step, output)


def _leave(activation: Activation, frame: Frame, step: Step, shaped: Shaped, then: str | None) -> None:
    state = activation.state
    output = shaped.output
    if shaped.exports:
        activation.export(frame, shaped.export)
    if step.pointer in activation.program.remembered:
        state.steps[step.name] = output
    if frame.around is not None:
        _next_after(activation, step, replace(frame, around={**frame.around, "output": output, "then": then}))
    else:
        _complete(activation, frame, step, output, then)


def after_ended(activation: Activation, frame: Frame) -> None:
    """What an extension gives after a step is not used."""
    _next_after(activation, activation.step(frame), frame)


def _next_after(activation: Activation, step: Step, frame: Frame) -> None:
    """The innermost extension that has begun comes first."""
    around = frame.around
    assert around is not None
    begun, output, then = around["begun"], around["output"], around["then"]
    assert isinstance(begun, list)
    while begun:
        index = begun[-1]
        begun = begun[:-1]
        assert isinstance(index, int)
        block = step.extensions[index].after
        if block is not None:
            frame = replace(frame, around={**around, "begun": begun})
            activation.state.frames[frame.id] = frame
            activation.open_block(frame, block, output)
            return
    assert then is None or isinstance(then, str)
    _complete(activation, frame, step, output, then)


def _complete(activation: Activation, frame: Frame, step: Step, output: Json, then: str | None) -> None:
    state = activation.state
    activation.journal.note(frame, StepStatus.COMPLETED, output=output)
    assert frame.parent is not None
    block_frame = state.frames[frame.parent]
    del state.frames[frame.id]
    match then or step.then:
        case "continue":
            go_to(activation, block_frame, block_frame.at + 1, output)
        case "exit":
            leave_block(activation, block_frame, output, "exit")
        case "end":
            _end(activation, block_frame, output)
        case name:
            index = activation.program.blocks[block_frame.pointer].index[name]
            go_to(activation, block_frame, index, output)


def _end(activation: Activation, inner: Frame, output: Json) -> None:
    """Every enclosing step is done too, as it is, and what runs beside them is stopped: the workflow finishes."""
    frames = activation.state.frames
    done: list[int] = []
    frame: Frame | None = inner
    while frame is not None:
        if frame.kind == "step":
            activation.journal.note(frame, StepStatus.COMPLETED, output=output)
            done.append(frame.id)
        frame = None if frame.parent is None else frames[frame.parent]
    activation.state.deadline = None  # what has ended is not late any more, whatever has yet to stop
    stopping.stop_all(activation, Todo("finish", value=output), done)
