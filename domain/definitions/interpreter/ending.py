"""Ending before the end: the outcome stands, everything under way is stopped, what was done is undone."""

from collections.abc import Collection, Mapping

from domain.definitions.expressions import Json
from domain.definitions.state import Todo
from domain.executions import ExecutionStatus

from . import stopping
from .activation import Activation


def conclude(
    activation: Activation,
    status: ExecutionStatus,
    error: Mapping[str, Json] | None = None,
    told: Collection[int] = (),
) -> None:
    """The first outcome stands. `told` are frames of which the step log knows already how they ended."""
    state = activation.state
    state.outcome = {"status": status.value, "error": None if error is None else dict(error)}
    state.deadline = None
    stopping.stop_all(activation, Todo("compensate"), told)
