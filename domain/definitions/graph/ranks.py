"""Which boxes stand in which row: every edge leads down, but for those that lead back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .shapes import Box


@dataclass(frozen=True, slots=True)
class Link:
    """Between two boxes, by index; a label takes room of its own."""

    source: int
    target: int
    label: Box | None = None


def back_links(count: int, links: Sequence[Link]) -> set[int]:
    """The links that close a cycle when one walks from the first box, in the order written."""
    outgoing = _outgoing(count, links)
    back = {index for index, link in enumerate(links) if link.target == 0}
    state = [0] * count
    for root in range(count):
        if state[root]:
            continue
        state[root] = 1
        open_boxes: list[tuple[int, Iterator[int]]] = [(root, iter(outgoing[root]))]
        while open_boxes:
            box, following = open_boxes[-1]
            link = next(following, None)
            if link is None:
                state[box] = 2
                open_boxes.pop()
                continue
            target = links[link].target
            if link in back:
                continue
            if state[target] == 1:
                back.add(link)
            elif state[target] == 0:
                state[target] = 1
                open_boxes.append((target, iter(outgoing[target])))
    return back


def rows(count: int, links: Sequence[Link], back: set[int]) -> list[int]:
    """The row of each box: as high as what leads there allows; the last box stands alone below all others."""
    forward = [link for index, link in enumerate(links) if index not in back]
    outgoing: list[list[Link]] = [[] for _ in range(count)]
    missing = [0] * count
    for link in forward:
        outgoing[link.source].append(link)
        missing[link.target] += 1
    row = [0] * count
    ready = [box for box in range(count) if not missing[box]]
    for box in ready:
        for link in outgoing[box]:
            row[link.target] = max(row[link.target], row[box] + (1 if link.label is None else 2))
            missing[link.target] -= 1
            if not missing[link.target]:
                ready.append(link.target)
    labels = [row[link.source] + 1 for index, link in enumerate(links) if index in back and link.label]
    row[-1] = max([*(each + 1 for each in row[:-1]), *(each + 1 for each in labels), row[-1]], default=0)
    return row


def with_strays(count: int, links: Sequence[Link]) -> list[Link]:
    """Nothing leads to an unreachable step; it stands below the one before it."""
    led_to = {link.target for link in links if link.source != link.target}
    return [*links, *(Link(box - 1, box) for box in range(1, count - 1) if box not in led_to)]


def _outgoing(count: int, links: Sequence[Link]) -> list[list[int]]:
    outgoing: list[list[int]] = [[] for _ in range(count)]
    for index, link in enumerate(links):
        outgoing[link.source].append(index)
    return outgoing
