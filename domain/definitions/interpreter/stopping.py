"""Stopping: what is not wanted any more ends everywhere, and only then does the walk go on.

A subtree of frames is dropped at once; each command it had under way is told to stop. The world answers every
`Stop` in the end, with `Stopped` or with what came of the command after all, and when the last answer is there the
transition that waits for it becomes due.
"""

from collections.abc import Collection

from domain.definitions.commands import Stop
from domain.definitions.state import Frame, Stopping, Todo
from domain.executions import StepStatus

from .activation import Activation


def stop_below(activation: Activation, frame: Frame, then: Todo, told: Collection[int] = ()) -> None:
    """End everything inside `frame`, and what it has under way itself; `frame` stays for `then`.

    `told` are frames of which the step log knows already how they ended.
    """
    _stop(activation, {*activation.state.below(frame.id)}, frame.id, then, told)


def stop_all(activation: Activation, then: Todo, told: Collection[int] = ()) -> None:
    """End everything that is going on; `then` needs no frame."""
    state = activation.state
    _stop(activation, {*state.frames, 0}, 0, then, told)


def answered(activation: Activation, occurrence: str) -> bool:
    """Something that was told to stop has ended; False when nothing of that name was."""
    stopping = activation.state.stopping
    for index, each in enumerate(stopping):
        if occurrence in each.awaited:
            awaited = [name for name in each.awaited if name != occurrence]
            if awaited:
                stopping[index] = Stopping(awaited, each.then)
            else:
                del stopping[index]
                activation.due(each.then)
            return True
    return False


def _stop(activation: Activation, below: set[int], top: int, then: Todo, told: Collection[int]) -> None:
    state = activation.state
    for frame in [each for each in state.frames.values() if each.id in below]:
        if frame.kind == "step" and frame.id not in told:
            activation.journal.note(frame, StepStatus.CANCELLED)
        del state.frames[frame.id]
        state.contexts.pop(frame.id, None)
    within = below | {top}
    state.todo = [todo for todo in state.todo if todo.frame not in within]
    awaited = [occurrence for occurrence, owner in state.pending.items() if owner in within]
    for occurrence in awaited:
        del state.pending[occurrence]
        activation.commands.append(Stop(occurrence))
    # What an earlier stop inside still waits for, this one waits for too; what was to follow it is superseded.
    for each in [each for each in state.stopping if each.then.frame in within]:
        awaited += each.awaited
        state.stopping.remove(each)
    if awaited:
        state.stopping.append(Stopping(awaited, then))
    else:
        activation.due(then)
