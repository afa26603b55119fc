"""The rows of a waterfall, top to bottom: every step below the one it was entered in, long loops folded.

What is entered again inside one step makes passes: the rounds of a loop, the attempts of a `try`, the repeats after
a jump back. Of many passes the first and the last are shown, those in which something runs or went wrong, and
those somebody asked for; the others are folded, a hundred to a row.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from domain.executions import StepStatus

from .axis import Axis, axis_of
from .bars import Bar, Shape, bar_of, placed, shape_of
from .passes import CHUNK, ENDS, WORDS, key_of, passes_of, shown_of
from .steps import Node, Step, tree

#: Deeper steps are shown as deep as this.
DEEPEST: Final = 8


@dataclass(frozen=True, slots=True)
class Fold:
    """Passes `first` to `last` of `word` ("round"); `key` asks for them to be shown."""

    key: str
    word: str
    first: int
    last: int
    steps: int
    statuses: Mapping[StepStatus, int]

    @property
    def passes(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Row:
    """A step or a fold. `note` says which pass of what begins here: "round 3"."""

    key: str
    depth: int
    step: Step | None = None
    fold: Fold | None = None
    shape: Shape = Shape.GROUP
    bar: Bar | None = None
    note: str = ""
    is_parallel: bool = False

    @property
    def length(self) -> timedelta | None:
        """How long the step took; None while it goes on, and for what was skipped."""
        step = self.step
        if step is None or step.started is None or step.completed is None or self.shape is Shape.NONE:
            return None
        return step.completed - step.started


@dataclass(frozen=True, slots=True)
class Waterfall:
    rows: tuple[Row, ...]
    axis: Axis
    steps: int
    statuses: Mapping[StepStatus, int] = field(default_factory=dict)


def waterfall(
    steps: Sequence[Step],
    *,
    begins: datetime,
    now: datetime,
    is_over: bool,
    opened: Collection[str] = (),
    selected: str | None = None,
) -> Waterfall:
    """`steps` in the order in which they began; `opened` are keys of folds, `selected` an occurrence to be seen."""
    root = tree(steps, selected=selected)
    own = [step for step in steps if not step.is_taken_over]
    begins = min([begins, *(step.started for step in own if step.started is not None)])
    ends = max([begins, *(step.completed for step in own if step.completed is not None)])
    now = max(ends, now)
    work = [
        (step.started, step.completed or now)
        for step in own
        if step.started is not None and shape_of(step).is_work
    ]
    axis = axis_of(work, begins, now, grows=not is_over)
    rows = tuple(_Rows(axis, frozenset(opened)).below(root, 0))
    return Waterfall(rows, axis, len(steps), Counter(step.status for step in steps))


class _Rows:
    def __init__(self, axis: Axis, opened: Collection[str]) -> None:
        self.axis = axis
        self.opened = opened

    def below(self, node: Node, depth: int) -> Iterator[Row]:
        kind = node.step.kind if node.step is not None else ""
        if kind == "fork":
            for child in node.children:
                yield from self.of(child, depth, is_parallel=True)
            return
        passes = passes_of(node.children)
        word = WORDS.get(kind, "pass")
        shown = shown_of(node, passes, self.opened)
        at = 0
        while at < len(passes):
            if at in shown:
                note = f"{word} {at + 1}" if len(passes) > 1 else ""
                for child in passes[at]:
                    yield from self.of(child, depth, note=note)
                    note = ""
                at += 1
            else:
                last = at
                while last + 1 < len(passes) and last + 1 not in shown and (last + 1 - ENDS) % CHUNK:
                    last += 1
                yield self.folded(node, passes, word, at, last, depth)
                at = last + 1

    def of(self, node: Node, depth: int, *, note: str = "", is_parallel: bool = False) -> Iterator[Row]:
        step = node.step
        assert step is not None
        yield Row(
            key=step.occurrence,
            depth=min(depth, DEEPEST),
            step=step,
            shape=shape_of(step, holds=bool(node.children)),
            bar=bar_of(step, self.axis),
            note=note,
            is_parallel=is_parallel,
        )
        yield from self.below(node, depth + 1)

    def folded(
        self, node: Node, passes: Sequence[Sequence[Node]], word: str, first: int, last: int, depth: int
    ) -> Row:
        statuses: Counter[StepStatus] = Counter()
        begins, ends, is_open = 1000.0, 0.0, False
        for child in (child for each in passes[first : last + 1] for child in each):
            for step in _every(child):
                statuses[step.status] += 1
                bar = bar_of(step, self.axis)
                if bar is not None:
                    begins, ends = min(begins, bar.x), max(ends, bar.x + bar.width)
                    is_open = is_open or bar.is_open
        key = key_of(node, first - (first - ENDS) % CHUNK)
        fold = Fold(key, word, first + 1, last + 1, statuses.total(), statuses)
        bar = placed(begins, ends, is_open=is_open) if ends else None
        return Row(f"fold {key_of(node, first)}", min(depth, DEEPEST), fold=fold, bar=bar)


def _every(node: Node) -> Iterator[Step]:
    assert node.step is not None
    yield node.step
    for child in node.children:
        yield from _every(child)
