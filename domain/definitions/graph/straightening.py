"""Straight lines where there is room: boxes that follow one another alone share an axis, as far as others let them."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from .shapes import Box


def straighten(
    rows: Sequence[Sequence[int]],
    boxes: Sequence[Box],
    below: Sequence[Sequence[int]],
    gap: float,
    axis: list[float],
) -> None:
    """Order and distances stay as they are."""
    limits = _Limits(rows, boxes, gap, axis)
    chains = sorted(_chains(rows, below), key=len, reverse=True)
    for _ in range(2):
        for chain in chains:
            _align(chain, boxes, limits, axis)


def _align(chain: list[int], boxes: Sequence[Box], limits: "_Limits", axis: list[float]) -> None:
    """Pieces of the chain, each as long as one axis fits all of it."""
    piece: list[int] = []
    lowest, highest = float("-inf"), float("inf")
    for box in chain:
        low, high = limits.of(box)
        if piece and max(lowest, low) > min(highest, high):
            _move(piece, lowest, highest, boxes, axis)
            piece, lowest, highest = [], float("-inf"), float("inf")
        piece.append(box)
        lowest, highest = max(lowest, low), min(highest, high)
    _move(piece, lowest, highest, boxes, axis)


def _move(piece: list[int], lowest: float, highest: float, boxes: Sequence[Box], axis: list[float]) -> None:
    """Real boxes decide where; bends alone stay near their middle."""
    real = [box for box in piece if boxes[box].height] or piece
    wanted = sum(axis[box] for box in real) / len(real)
    for box in piece:
        axis[box] = min(max(wanted, lowest), highest)


class _Limits:
    def __init__(
        self, rows: Sequence[Sequence[int]], boxes: Sequence[Box], gap: float, axis: list[float]
    ) -> None:
        self.boxes = boxes
        self.gap = gap
        self.axis = axis
        self.before = {right: left for row in rows for left, right in pairwise(row)}
        self.after = {left: right for right, left in self.before.items()}

    def of(self, box: int) -> tuple[float, float]:
        low, high = float("-inf"), float("inf")
        own = self.boxes[box]
        if (left := self.before.get(box)) is not None:
            low = self.axis[left] + self.boxes[left].right + self.gap + own.left
        if (right := self.after.get(box)) is not None:
            high = self.axis[right] - self.boxes[right].left - self.gap - own.right
        return low, high


def _chains(rows: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Maximal runs in which each leads to the next alone, and nothing else leads there."""
    led_by: dict[int, list[int]] = {}
    for box, targets in enumerate(below):
        for target in targets:
            led_by.setdefault(target, []).append(box)
    seen: set[int] = set()
    for row in rows:
        for box in row:
            if box in seen:
                continue
            chain = [box]
            seen.add(box)
            while (following := _middle(below[chain[-1]])) is not None:
                if following in seen or _middle(led_by[following]) != chain[-1]:
                    break
                chain.append(following)
                seen.add(following)
            if len(chain) > 1:
                yield chain


def _middle(boxes: Sequence[int]) -> int | None:
    """The middle one of an odd number, as they are written; of an even number none is nearer than its twin."""
    return boxes[len(boxes) // 2] if len(boxes) % 2 else None
