"""Loops: the list is evaluated once, `while` before each round, and each round begins with the output of the last."""

from dataclasses import replace

from domain.definitions.checks import checked
from domain.definitions.expressions import Json
from domain.definitions.faults import Fault
from domain.definitions.program import For, Step
from domain.definitions.state import Frame
from domain.executions import StepStatus

from . import leaving
from .activation import Activation, Commit


def prepare_first(activation: Activation, step: Step, loop: For, frame: Frame) -> Commit:
    items = activation.evaluate(loop.items, frame.value, frame)
    if not isinstance(items, list):
        raise Fault(
            "expression",
            400,
            "Nothing to loop over",
            f"`for.in` of step '{step.name}' must give a list, but gave {_kind(items)}",
        )
    checked(items, f"The list of `for.in` of step '{step.name}'", activation.meter)
    begin_round = _prepare_round(activation, replace(frame, items=items), step, loop, frame.value)

    def commit() -> None:
        activation.stay(frame, StepStatus.RUNNING)
        begin_round()

    return commit


def prepare_next(activation: Activation, frame: Frame, value: Json) -> Commit:
    """`value` is the output of the round that has ended."""
    step = activation.step(frame)
    assert isinstance(step.work, For)
    return _prepare_round(activation, replace(frame, at=frame.at + 1), step, step.work, value)


def _prepare_round(activation: Activation, frame: Frame, step: Step, loop: For, value: Json) -> Commit:
    """Begin a round with `value`, or end the loop with it."""
    items = frame.items
    assert items is not None
    over = frame.at >= len(items)
    if not over and loop.condition is not None:
        over = not activation.holds(loop.condition, value, frame)

    def commit() -> None:
        if over:
            # Without its items the loop's variables are gone, and those of an outer loop are seen again.
            ended = activation.state.frames[frame.id] = replace(frame, items=None)
            leaving.settle(activation, ended, step, value)
        else:
            activation.state.frames[frame.id] = frame
            activation.journal.progress_to_round(frame)
            activation.open_block(frame, loop.block, value)

    return commit


def _kind(value: Json) -> str:
    names = {type(None): "null", bool: "a boolean", dict: "an object", str: "a string"}
    return names.get(type(value), "a number")
