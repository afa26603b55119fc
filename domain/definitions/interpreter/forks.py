"""Forks: every branch is a block of its own beside the others, with the data and the context it found.

Without `compete` the fork ends when all branches have, with the list of their outputs; the first that fails stops
the others and fails the fork. With `compete` the first branch that completes stops the others and its output
is the fork's; it fails when all have failed, with the first error.
"""

from collections.abc import Sequence
from dataclasses import replace

from domain.definitions import scopes
from domain.definitions.checks import checked
from domain.definitions.expressions import Json
from domain.definitions.program import Fork
from domain.definitions.state import Frame, Todo
from domain.definitions.values import canonical
from domain.executions import StepStatus

from . import leaving, stopping
from .activation import Activation, Commit


def prepare(activation: Activation, fork: Fork, frame: Frame) -> Commit:
    def commit() -> None:
        activation.stay(frame, StepStatus.RUNNING)
        blocks = [activation.state.open_block(frame.id, pointer, frame.value) for pointer in fork.branches]
        activation.state.frames[frame.id] = replace(frame, branches=[block.id for block in blocks])
        for block in blocks:
            activation.due(Todo("enter", block.id))

    return commit


def prepare_branch(activation: Activation, block: Frame, output: Json) -> Commit:
    """A branch has completed."""
    frame, fork = _fork(activation, block)
    if not fork.compete:
        return lambda: _complete(activation, frame, block, output)
    merge = _prepare_merge(activation, frame, [block.id])

    def commit() -> None:
        merge()
        won = activation.state.frames[frame.id] = replace(frame, error=None)
        stopping.stop_below(activation, won, Todo("leave", frame.id, output))

    return commit


def prepare_join(activation: Activation, frame: Frame) -> Commit:
    """All branches have completed."""
    step = activation.step(frame)
    frames, branches = activation.state.frames, frame.branches or []
    outputs: list[Json] = [frames[id].value for id in branches]
    checked(outputs, f"The output of step '{step.name}'", activation.meter)
    merge = _prepare_merge(activation, frame, branches)

    def commit() -> None:
        for id in branches:
            del frames[id]
            activation.state.contexts.pop(id, None)
        merge()
        leaving.settle(activation, frame, step, outputs)

    return commit


def branch_failed(activation: Activation, block: Frame, error: dict[str, Json], told: Sequence[int]) -> None:
    """`told` are the frames of the branch that the step log knows as failed."""
    frame, fork = _fork(activation, block)
    if fork.compete:
        stopping.stop_below(activation, block, Todo("lost", block.id, error), told)
    else:
        stopping.stop_below(activation, frame, Todo("fault", frame.id, error), told)


def lose(activation: Activation, block: Frame, error: dict[str, Json]) -> None:
    """A competing branch is out of the race; nobody is left when it was the last."""
    frame, _ = _fork(activation, block)
    state = activation.state
    del state.frames[block.id]
    state.contexts.pop(block.id, None)
    left = [id for id in frame.branches or [] if id != block.id]
    lost = state.frames[frame.id] = replace(frame, branches=left, error=frame.error or error)
    if not left:
        activation.due(Todo("fault", frame.id, lost.error))


def _complete(activation: Activation, frame: Frame, block: Frame, output: Json) -> None:
    """The block stays behind with its output until the others are there."""
    state = activation.state
    state.move(block, 1, output)
    done = state.frames[frame.id] = replace(frame, at=frame.at + 1)
    if done.at == len(done.branches or []):
        activation.due(Todo("join", frame.id))


def _fork(activation: Activation, block: Frame) -> tuple[Frame, Fork]:
    assert block.parent is not None
    frame = activation.state.frames[block.parent]
    fork = activation.step(frame).work
    assert isinstance(fork, Fork)
    return frame, fork


def _prepare_merge(activation: Activation, frame: Frame, branches: Sequence[int]) -> Commit:
    """What the branches have changed in the context enters the one around the fork, in the order of declaration."""
    state = activation.state
    before = merged = scopes.context(state, frame)
    changed = [state.contexts[id] for id in branches if id in state.contexts]
    for own in changed:
        merged = _merge(before, own, merged)
    if not changed:
        return lambda: None
    checked(merged, "The context that the branches of a fork have made", activation.meter)
    return lambda: activation.export(frame, merged)


def _merge(before: Json, own: Json, merged: Json) -> Json:
    """Keys of objects are merged one by one; anything else replaces the whole."""
    if not (isinstance(before, dict) and isinstance(own, dict) and isinstance(merged, dict)):
        return own
    kept = {name: value for name, value in merged.items() if name in own or name not in before}
    changes = {
        name: value for name, value in own.items() if name not in before or not _same(value, before[name])
    }
    return {**kept, **changes}


def _same(one: Json, other: Json) -> bool:
    """As JSON: true is not 1."""
    return one is other or (one == other and canonical(one) == canonical(other))
