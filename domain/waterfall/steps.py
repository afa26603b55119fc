"""What a waterfall is made of: lines of the step log, and which of them was entered inside which."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from domain.definitions.program import COMPENSATE
from domain.executions import StepStatus

_OPEN: Final = frozenset({StepStatus.RUNNING, StepStatus.WAITING})
#: What somebody should see without searching for it.
_NOTABLE: Final = _OPEN | {StepStatus.FAILED, StepStatus.CANCELLED}
_EXTENSIONS: Final = "/use/extensions/"
#: As many lines back at most is looked for the step that an extension stands around.
_BACK: Final = 200


@dataclass(frozen=True, slots=True)
class Step:
    """One entry into a step, without its values; one that `is_taken_over` happened in the execution this repeats."""

    occurrence: str
    pointer: str
    name: str
    kind: str
    action: str | None
    visit: int
    position: int
    attempt: int
    status: StepStatus
    started: datetime | None
    completed: datetime | None
    is_taken_over: bool = False

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            row["occurrence"],
            row["pointer"],
            row["name"],
            row["kind"],
            row["action"],
            row["visit"],
            row["position"],
            row["attempt"],
            StepStatus(row["status"]),
            row["started_at"],
            row["completed_at"],
            row["is_taken_over"],
        )

    @property
    def is_open(self) -> bool:
        return self.status in _OPEN

    @property
    def is_notable(self) -> bool:
        return self.status in _NOTABLE and not self.is_taken_over

    @property
    def undoes(self) -> bool:
        """It compensates what a step of the same name did."""
        return self.pointer.endswith(COMPENSATE)


class Node:
    """A step, or with None the execution itself, and what was entered inside it."""

    __slots__ = ("children", "is_notable", "parent", "step")

    def __init__(self, step: Step | None, parent: "Node | None") -> None:
        self.step = step
        self.parent = parent
        self.children: list[Node] = []
        #: It or something inside it runs, waits, failed or was cancelled.
        self.is_notable = False

    @property
    def key(self) -> str:
        """Short, for it stands in the address of every row."""
        return "0" if self.step is None else str(self.step.position)

    def notable(self) -> None:
        node: Node | None = self
        while node is not None and not node.is_notable:
            node.is_notable = True
            node = node.parent


def tree(steps: Sequence[Step], *, selected: str | None = None) -> Node:
    """The execution with its steps inside each other; `steps` in the order in which they began.

    A step stands in the latest entry into the step around it: rounds of a loop never overlap. What compensates stands
    at the end, where it happened.
    """
    root = Node(None, None)
    latest: dict[str, Node] = {}
    known = _Ancestors(step.pointer for step in steps)
    entered: list[Node] = []
    for step in steps:
        parent = root
        if not step.undoes:
            around = known.of(step.pointer)
            if around is not None:
                parent = latest.get(around, root)
            elif step.pointer.startswith(_EXTENSIONS):
                parent = _extended(step, entered) or root
        node = Node(step, parent)
        parent.children.append(node)
        latest[step.pointer] = node
        entered.append(node)
        if step.is_notable or step.occurrence == selected:
            node.notable()
    return root


class _Ancestors:
    """Which of the steps that were entered stands closest around a pointer."""

    def __init__(self, pointers: Iterable[str]) -> None:
        self._all = frozenset(pointers)
        self._found: dict[str, str | None] = {}

    def of(self, pointer: str) -> str | None:
        if pointer not in self._found:
            around = pointer.rpartition("/")[0]
            while around and around not in self._all:
                around = around.rpartition("/")[0]
            self._found[pointer] = around or None
        return self._found[pointer]


def _extended(step: Step, entered: Sequence[Node]) -> Node | None:
    """The step that an extension's step stands around: the innermost one that was open when it began."""
    for node in reversed(entered[-_BACK:]):
        other = node.step
        if other is None or other.pointer.startswith(_EXTENSIONS) or step.started is None:
            continue
        if other.completed is None or other.completed >= step.started:
            return node
    return None
