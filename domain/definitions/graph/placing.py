"""How far to the right each box stands: near its neighbours, never nearer to the next box than their widths allow."""

from collections.abc import Sequence

from .shapes import Box

_SWEEPS = 10


def placed(
    rows: Sequence[Sequence[int]],
    boxes: Sequence[Box],
    below: Sequence[Sequence[int]],
    weights: Sequence[float],
    gap: float,
) -> list[float]:
    """The axis of each box."""
    above: list[list[int]] = [[] for _ in boxes]
    for box, targets in enumerate(below):
        for target in targets:
            above[target].append(box)
    axis = [0.0] * len(boxes)
    for row in rows:
        at = 0.0
        for box in row:
            axis[box] = at + boxes[box].left
            at += boxes[box].width + gap
        for box in row:
            axis[box] -= at / 2
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        for row in rows if downwards else reversed(rows):
            near = [above[box] if downwards else below[box] for box in row]
            wanted = [
                sum(axis[each] for each in others) / len(others) if others else axis[box]
                for box, others in zip(row, near, strict=True)
            ]
            _settle(row, wanted, boxes, weights, gap, axis)
    for row in rows:  # at last between both neighbours, which evens out what the sweeps have left
        both = [[*above[box], *below[box]] for box in row]
        wanted = [
            sum(axis[each] for each in others) / len(others) if others else axis[box]
            for box, others in zip(row, both, strict=True)
        ]
        if len(row) > 1:
            _settle(row, wanted, boxes, weights, gap, axis)
    return axis


def _settle(
    row: Sequence[int],
    wanted: Sequence[float],
    boxes: Sequence[Box],
    weights: Sequence[float],
    gap: float,
    axis: list[float],
) -> None:
    """As close to where each wants to be as their order and distances allow (least squares, by pooling violators)."""
    offset, offsets = 0.0, []
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for index, box in enumerate(row):
        if index:
            offset += boxes[row[index - 1]].right + gap + boxes[box].left
        offsets.append(offset)
        mean, weight, many = wanted[index] - offset, weights[box], 1
        while pools and pools[-1][0] > mean:
            other, heavy, before = pools.pop()
            mean = (mean * weight + other * heavy) / (weight + heavy)
            weight, many = weight + heavy, many + before
        pools.append((mean, weight, many))
    places = [mean for mean, _, many in pools for _ in range(many)]
    for box, place, offset in zip(row, places, offsets, strict=True):
        axis[box] = place + offset
