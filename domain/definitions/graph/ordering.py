"""The order of the boxes within each row: each moves towards the middle of its neighbours while fewer lines cross."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import pairwise

_SWEEPS = 12


def ordered(rows: list[list[int]], below: Sequence[Sequence[int]]) -> list[list[int]]:
    """`below` are the neighbours of each box in the next row. The best order found, deterministically."""
    above: list[list[int]] = [[] for _ in below]
    for box, targets in enumerate(below):
        for target in targets:
            above[target].append(box)
    best, fewest = rows, crossings(rows, below)
    current = rows
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        current = _swept(current, above) if sweep % 2 == 0 else _swept(current[::-1], below)[::-1]
        found = crossings(current, below)
        if found < fewest:
            best, fewest = current, found
    return best


def crossings(rows: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> int:
    total = 0
    for upper, lower in pairwise(rows):
        place = {box: index for index, box in enumerate(lower)}
        seen: list[int] = []
        for box in upper:
            targets = sorted(place[target] for target in below[box])
            total += sum(len(seen) - bisect_left(seen, target + 1) for target in targets)
            for target in targets:
                insort(seen, target)
    return total


def _swept(rows: list[list[int]], towards: Sequence[Sequence[int]]) -> list[list[int]]:
    """Each row is sorted by the middle of its neighbours in the row before; without any, a box keeps its place."""
    done = [rows[0]]
    for row in rows[1:]:
        place = {box: index for index, box in enumerate(done[-1])}
        middle = {
            box: sum(place[each] for each in towards[box]) / len(towards[box])
            if towards[box]
            else float(index)
            for index, box in enumerate(row)
        }
        done.append(sorted(row, key=lambda box: middle[box]))
    return done
