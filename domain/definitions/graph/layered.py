"""Boxes in rows with the edges between them drawn through the gaps, where no box stands.

Rows by longest path, few crossings by sweeping, straight lines by least squares. An edge over several rows has
a place of its own in each of them; one that leads back or very far runs beside all boxes; when there are too
many of those, it becomes a reference that names its target.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from .ordering import ordered
from .placing import placed
from .ranks import Link, back_links, rows, with_strays
from .shapes import Box, Path, Piece, down, turn
from .straightening import straighten

GAP_X: Final = 28.0
GAP_Y: Final = 38.0
#: Edges over more rows than this run beside the boxes; so do all that lead back.
MAXIMUM_SPAN: Final = 8
MAXIMUM_LANES: Final = 5
MAXIMUM_WAYPOINTS: Final = 3_000
LANE: Final = 20.0


@dataclass(slots=True)
class Arranged:
    """Tops and axes of the boxes, paths of the links and the axis and top of their labels; references by link."""

    axis: list[float]
    top: list[float]
    paths: dict[int, Path]
    labels: dict[int, tuple[float, float]]
    left: float
    right: float
    height: float
    references: dict[int, tuple[float, float]] = field(default_factory=dict)


def arrange(boxes: Sequence[Box], links: Sequence[Link], reference: Callable[[int], Box]) -> Arranged:
    """The first box stands above, the last below all others; `reference` measures what stands for a link."""
    far = _Routes(boxes, links)
    return _Drawing(boxes, links, far, reference).arranged()


class _Routes:
    """Which links go through the rows, which beside them (left when they lead back), and which are only named."""

    def __init__(self, boxes: Sequence[Box], links: Sequence[Link]) -> None:
        count = len(boxes)
        every = with_strays(count, links)
        self.back = back_links(count, every)
        self.row = rows(count, every, self.back)
        self.lanes: dict[int, tuple[bool, int]] = {}
        self.named: set[int] = set()
        waypoints = 0
        taken: dict[tuple[bool, int], list[tuple[int, int]]] = {}
        spans = sorted(
            (abs(self.row[link.target] - self.row[link.source]), i) for i, link in enumerate(links)
        )
        for span, index in spans:
            link = links[index]
            is_back = index in self.back
            if not is_back and span <= MAXIMUM_SPAN and waypoints + span <= MAXIMUM_WAYPOINTS:
                waypoints += span
                continue
            ends = sorted((self.row[link.source], self.row[link.target]))
            for lane in range(MAXIMUM_LANES):
                busy = taken.setdefault((is_back, lane), [])
                if all(ends[1] < start or end < ends[0] for start, end in busy):
                    busy.append((ends[0] - 1, ends[1] + 1))
                    self.lanes[index] = (is_back, lane)
                    break
            else:
                self.named.add(index)


class _Drawing:
    def __init__(
        self, boxes: Sequence[Box], links: Sequence[Link], routes: _Routes, reference: Callable[[int], Box]
    ) -> None:
        self.boxes = list(boxes)
        self.links = links
        self.routes = routes
        self.row = list(routes.row)
        self.weights = [1.0] * len(boxes)
        self.below: list[list[int]] = [[] for _ in boxes]
        self.chains: dict[int, list[int]] = {}
        self.label: dict[int, int] = {}
        self.reference: dict[int, int] = {}
        for index, link in enumerate(links):
            self._add(index, link, reference)

    def _add(self, index: int, link: Link, reference: Callable[[int], Box]) -> None:
        chain = [link.source]
        row = self.row[link.source]
        if index in self.routes.named:
            self.reference[index] = self._waypoint(reference(index), row + 1)
            chain.append(self.reference[index])
        else:
            if link.label is not None:
                self.label[index] = self._waypoint(link.label, row + 1)
                chain.append(self.label[index])
            if index not in self.routes.lanes:
                first = row + len(chain)
                chain += [self._waypoint(Box(1, 1, 0), each) for each in range(first, self.row[link.target])]
                chain.append(link.target)
        for upper, lower in pairwise(chain):
            self.below[upper].append(lower)
        self.chains[index] = chain

    def _waypoint(self, box: Box, row: int) -> int:
        self.boxes.append(box)
        self.row.append(row)
        self.weights.append(4.0 if box.height == 0 else 1.5)
        self.below.append([])
        return len(self.boxes) - 1

    def arranged(self) -> Arranged:
        in_rows = self._in_rows()
        in_order = ordered(in_rows, self.below)
        self.axis = placed(in_order, self.boxes, self.below, self.weights, GAP_X)
        straighten(in_order, self.boxes, self.below, GAP_X, self.axis)
        self._stack(in_order)
        left = min(axis - box.left for axis, box in zip(self.axis, self.boxes, strict=True))
        right = max(axis + box.right for axis, box in zip(self.axis, self.boxes, strict=True))
        paths = {index: self._path(index, in_order) for index in range(len(self.links))}
        xs = [float(x) for path in paths.values() for piece in path for x in piece[1::2]]
        count = len(self.routes.row)
        return Arranged(
            self.axis[:count],
            [self.tops[self.row[box]] for box in range(count)],
            paths,
            {index: (self.axis[box], self.tops[self.row[box]]) for index, box in self.label.items()},
            min([left, *xs]),
            max([right, *xs]),
            self.height,
            {index: (self.axis[box], self.tops[self.row[box]]) for index, box in self.reference.items()},
        )

    def _in_rows(self) -> list[list[int]]:
        """As a walk from the first box finds them: what a step leads to stands in the order it is written."""
        found: list[list[int]] = [[] for _ in range(max(self.row) + 1)]
        seen = [False] * len(self.boxes)
        for root in range(len(self.boxes)):
            waiting = [root]
            while waiting:
                box = waiting.pop()
                if not seen[box]:
                    seen[box] = True
                    found[self.row[box]].append(box)
                    waiting += reversed(self.below[box])
        return found

    def _stack(self, in_order: list[list[int]]) -> None:
        """Rows below each other; where lines go far to the side, the gap is higher."""
        turning = self._turning()
        self.tops, self.bottoms = [], []
        at = 14.0 if -1 in turning else 0.0
        for index, row in enumerate(in_order):
            self.tops.append(at)
            at += max((self.boxes[box].height for box in row), default=0.0)
            self.bottoms.append(at)
            reach = [abs(self.axis[box] - self.axis[each]) for box in row for each in self.below[box]]
            at += GAP_Y + min(40.0, 0.05 * max(reach, default=0.0)) + (16.0 if index in turning else 0.0)
        self.height = self.bottoms[-1]

    def _turning(self) -> set[int]:
        """The gaps (by the row above) in which lines turn around into a lane or out of it."""
        found = set()
        for index in self.routes.lanes:
            found |= {self.row[self.chains[index][-1]], self.row[self.links[index].target] - 1}
        return found

    def _path(self, index: int, in_order: list[list[int]]) -> Path:
        chain = self.chains[index]
        x = self.axis[chain[0]]
        path: list[Piece] = [("M", x, self.tops[self.row[chain[0]]] + self.boxes[chain[0]].height)]
        for upper, lower in pairwise(chain):
            bottom, top = self.bottoms[self.row[upper]], self.tops[self.row[lower]]
            path += [("L", self.axis[upper], bottom), down(self.axis[upper], bottom, self.axis[lower], top)]
        if index in self.routes.lanes:
            lane = self._lane(index, chain[-1], in_order)
            path = lane if lane[0][0] == "M" else path + lane
        return tuple(path)

    def _lane(self, index: int, box: int, in_order: list[list[int]]) -> list[Piece]:
        is_back, lane = self.routes.lanes[index]
        target = self.links[index].target
        if is_back and target == 0 and box == len(self.routes.row) - 1:
            return self._around(in_order, lane)
        start, end = self.row[box], self.row[target]
        x = self._beside(in_order, min(start, end), max(start, end), lane, left=is_back)
        bottom, top = self.bottoms[start], self.tops[end]
        depth = 26.0
        if is_back:
            return [
                ("L", self.axis[box], bottom),
                turn(self.axis[box], x, bottom, depth),
                ("L", x, top),
                turn(x, self.axis[target], top, -depth),
            ]
        return [
            ("L", self.axis[box], bottom),
            down(self.axis[box], bottom, x, self.tops[start + 1]),
            ("L", x, self.bottoms[end - 1]),
            down(x, self.bottoms[end - 1], self.axis[target], top),
        ]

    def _around(self, in_order: list[list[int]], lane: int) -> list[Piece]:
        """From the last box back to the first, from side to side."""
        last = len(self.routes.row) - 1
        x = self._beside(in_order, 0, self.row[last], lane, left=True)
        low = self.tops[self.row[last]] + self.boxes[last].height / 2
        high = self.tops[0] + self.boxes[0].height / 2
        return [
            ("M", self.axis[last] - self.boxes[last].left, low),
            ("L", x + 8, low),
            ("C", x + 3, low, x, low - 3, x, low - 8),
            ("L", x, high + 8),
            ("C", x, high + 3, x + 3, high, x + 8, high),
            ("L", self.axis[0] - self.boxes[0].left, high),
        ]

    def _beside(self, in_order: list[list[int]], first: int, last: int, lane: int, *, left: bool) -> float:
        boxes = [box for row in in_order[first : last + 1] for box in row]
        if left:
            return min(self.axis[box] - self.boxes[box].left for box in boxes) - LANE * (lane + 1)
        return max(self.axis[box] + self.boxes[box].right for box in boxes) + LANE * (lane + 1)
