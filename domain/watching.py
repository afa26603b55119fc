"""How far somebody who watches an execution has been told of it: small enough to travel as the id of an event."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final, Self

from domain.executions import StepStatus

_OPEN: Final = {StepStatus.RUNNING: "r", StepStatus.WAITING: "w"}
_ID: Final = re.compile(r"(0|[0-9a-f]{12})\.(\d{1,18})\.(\d{1,18})\.([\drwt-]*)\.([\d-]*)\.([01])", re.ASCII)
FIRST_COURSE: Final = "0"
#: A longer id would be refused by proxies; whoever is that far behind is shown the whole again.
MAXIMUM_ID: Final = 2000


@dataclass(frozen=True, slots=True)
class Seen:
    """`revision` of the execution's row; of its steps the `highest` position, those still open, and the gaps.

    Within a course a step that has ended does not change any more, and every position is taken once. So the steps
    to be told are those above `highest`, those that were open, and those in the gaps. A reset begins another course,
    which rewrites steps and takes some back: whoever has been told of the one before is shown the whole again.
    """

    course: str = FIRST_COURSE
    revision: int = 0
    highest: int = 0
    #: Position → what was told of the step: its status and attempt, such as "r1", and "r1t" until it is tried again.
    open: dict[int, str] = field(default_factory=dict)
    gaps: frozenset[int] = frozenset()
    is_over: bool = False

    @property
    def unsettled(self) -> list[int]:
        return sorted([*self.open, *self.gaps])

    def is_news(self, position: int, status: str, attempt: int, *, is_due: bool = False) -> bool:
        """`is_due`: the attempt has failed, and another one is to come."""
        if position in self.open:
            return self.open[position] != _standing(status, attempt, is_due)
        return position > self.highest or position in self.gaps

    def step(self, position: int, status: str, attempt: int, *, is_due: bool = False) -> Self:
        """After a step has been told."""
        open = {each: told for each, told in self.open.items() if each != position}
        if status in _OPEN:
            open[position] = _standing(status, attempt, is_due)
        skipped = range(self.highest + 1, position)
        return replace(
            self,
            highest=max(self.highest, position),
            open=open,
            gaps=self.gaps.difference((position,)).union(skipped),
        )

    def row(self, revision: int, *, is_over: bool) -> Self:
        """After the execution itself has been told."""
        return replace(self, revision=revision, is_over=is_over)

    def __str__(self) -> str:
        open = "-".join(f"{position}{told}" for position, told in sorted(self.open.items()))
        gaps = "-".join(str(position) for position in sorted(self.gaps))
        return f"{self.course}.{self.revision}.{self.highest}.{open}.{gaps}.{int(self.is_over)}"

    @classmethod
    def parse(cls, text: str) -> "Seen | None":
        """None for what is no such id: its bearer is shown the whole."""
        match = _ID.fullmatch(text) if len(text) <= MAXIMUM_ID else None
        if match is None:
            return None
        open = dict(_told(match[4]))
        if None in open.values():
            return None
        told = {position: standing for position, standing in open.items() if standing is not None}
        gaps = frozenset(int(position) for position in match[5].split("-") if position)
        return cls(match[1], int(match[2]), int(match[3]), told, gaps, match[6] == "1")


def course_of(reset_run_id: str | None) -> str:
    """The course that this reset began, short enough for an id; None: nobody has reset the execution."""
    return FIRST_COURSE if reset_run_id is None else sha256(reset_run_id.encode()).hexdigest()[:12]


def _standing(status: str, attempt: int, is_due: bool) -> str:
    return f"{_OPEN.get(StepStatus(status), '')}{attempt}{'t' if is_due else ''}"


def _told(text: str) -> Iterable[tuple[int, str | None]]:
    for part in text.split("-") if text else ():
        match = re.fullmatch(r"(\d{1,18})([rw]\d{1,9}t?)", part, re.ASCII)
        yield (int(match[1]), match[2]) if match else (0, None)
