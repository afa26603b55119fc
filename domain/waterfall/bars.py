"""The shape of a bar: work, waiting and asking a person are told apart without any colour."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.executions import StepStatus

from .axis import Axis
from .steps import Step

#: So wide at least is a bar, in thousandths of the axis, or nobody would see it.
LEAST: Final = 4.0
_GROUPS: Final = frozenset({"do", "for", "fork", "try"})
_WAITS: Final = frozenset({"wait", "listen"})
#: Actions that ask somebody, by the names before their versions.
_PEOPLE: Final = frozenset({"approve", "ask"})
#: Computed within the interpreter, in no time worth a bar.
_MOMENTS: Final = frozenset({"set", "switch", "raise", "emit"})


class Shape(StrEnum):
    """`group` holds other steps, `child` is another execution, `moment` takes no time, `none` was skipped."""

    WORK = "work"
    WAIT = "wait"
    PERSON = "person"
    CHILD = "child"
    GROUP = "group"
    MOMENT = "moment"
    NONE = "none"

    @property
    def is_work(self) -> bool:
        """Somebody's computer is busy with it: the axis gives it room."""
        return self in (Shape.WORK, Shape.MOMENT)


def shape_of(step: Step, *, holds: bool = False) -> Shape:
    """`holds` says whether other steps were entered inside it."""
    if step.status is StepStatus.SKIPPED:
        return Shape.NONE
    if step.kind in _GROUPS or (holds and step.kind not in _WAITS):
        return Shape.GROUP
    if step.kind in _WAITS:
        return Shape.WAIT
    if step.kind == "run":
        return Shape.CHILD
    if step.kind == "call" and (step.action or "").partition(":")[0] in _PEOPLE:
        return Shape.PERSON
    return Shape.MOMENT if step.kind in _MOMENTS else Shape.WORK


@dataclass(frozen=True, slots=True)
class Bar:
    """`x` and `width` in thousandths of the axis; one that `is_open` ends now and grows."""

    x: float
    width: float
    is_open: bool = False


def bar_of(step: Step, axis: Axis) -> Bar | None:
    """None for what was skipped, has not begun, or happened in another execution."""
    if step.started is None or step.status is StepStatus.SKIPPED or step.is_taken_over:
        return None
    is_open = step.is_open and step.completed is None
    ended = axis.now if is_open else (step.completed or step.started)
    return placed(axis.at(step.started), axis.at(ended), is_open=is_open)


def placed(begins: float, ends: float, *, is_open: bool = False) -> Bar:
    """A bar wide enough to be seen that does not leave the axis."""
    width = max(ends - begins, LEAST)
    x = min(begins, 1000.0 - width) if width < 1000 else 0.0
    return Bar(round(x, 2), round(min(width, 1000.0), 2), is_open)
