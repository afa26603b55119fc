"""Extensions: lists of steps before and after another step, one around the other like skins.

The first extension stands outermost: its `before` runs first and its `after` last. Which of them apply is asked once,
when the step begins. `exit` in a `before` skips everything inside that extension, the step among it, and
gives its output for the step's. Otherwise what `before` and `after` give is not used: the step keeps its data.
"""

from collections.abc import Sequence
from dataclasses import replace

from domain.definitions import scopes
from domain.definitions.expressions import Expression, Json
from domain.definitions.program import Step
from domain.definitions.state import Frame, Todo
from domain.executions import StepStatus

from . import leaving, work
from .activation import Activation, Commit


def prepare(activation: Activation, step: Step, frame: Frame) -> Commit:
    """Begin the work of a step that extensions may stand around."""
    applying: list[Json] = [
        index
        for index, extension in enumerate(step.extensions)
        if extension.when is None or _holds(activation, extension.when, frame)
    ]
    if not applying:
        return work.prepare(activation, step, frame)
    extended = replace(frame, around={"coming": applying, "begun": []})

    def commit() -> None:
        activation.state.frames[frame.id] = extended
        activation.stay(extended, StepStatus.RUNNING)
        _next_before(activation, step, extended)

    return commit


def before_ended(activation: Activation, frame: Frame, todo: Todo) -> None:
    """A `before` has come to its end, or with `then` "exit" left everything inside its extension out."""
    step = activation.step(frame)
    if todo.then != "exit":
        _next_before(activation, step, frame)
        return
    begun = _indexes(frame, "begun")
    left = activation.state.frames[frame.id] = replace(frame, around={"coming": [], "begun": [*begun[:-1]]})
    leaving.settle(activation, left, step, todo.value)


def prepare_work(activation: Activation, frame: Frame) -> Commit:
    return work.prepare(activation, activation.step(frame), frame)


def _next_before(activation: Activation, step: Step, frame: Frame) -> None:
    coming, begun = _indexes(frame, "coming"), _indexes(frame, "begun")
    if not coming:
        activation.due(Todo("work", frame.id))
        return
    around: dict[str, Json] = {"coming": [*coming[1:]], "begun": [*begun, coming[0]]}
    moved = activation.state.frames[frame.id] = replace(frame, around=around)
    block = step.extensions[coming[0]].before
    if block is None:
        _next_before(activation, step, moved)
    else:
        activation.open_block(moved, block, frame.value)


def _holds(activation: Activation, when: Expression, frame: Frame) -> bool:
    scope = activation.scope(frame, when.names)
    if "task" in when.names:
        scope["task"] = scopes.extended_task(activation.program, frame)
    result = when.evaluate(frame.value, scope, activation.meter)
    return result is not None and result is not False


def _indexes(frame: Frame, part: str) -> Sequence[int]:
    found = (frame.around or {}).get(part)
    assert isinstance(found, list)
    return [index for index in found if isinstance(index, int)]
