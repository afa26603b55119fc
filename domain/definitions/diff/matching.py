"""Which step of one version is which of the other: by its place and name, then by its name, then by what it does."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.definitions.outline import Step

from .fields import same


@dataclass(frozen=True, slots=True)
class Placed:
    """A step with the list it stands in, told by the names around it, and its place there."""

    step: Step
    around: tuple[str, ...]
    index: int


@dataclass(frozen=True, slots=True)
class Matched:
    pairs: tuple[tuple[Placed, Placed], ...]
    removed: tuple[Placed, ...]
    added: tuple[Placed, ...]
    #: Pointers (after) of the steps whose place among their neighbours has changed.
    moved: frozenset[str]


def flattened(steps: Sequence[Step], around: tuple[str, ...] = ()) -> Iterator[Placed]:
    for index, step in enumerate(steps):
        yield Placed(step, around, index)
        for place, inner in step.lists.items():
            yield from flattened(inner, (*around, step.name, place))


def own(step: Step) -> dict[str, Any]:
    """The body without the steps inside it."""
    body: dict[str, Any] = dict(step.body)
    for place in step.lists:
        match place:
            case "do" | "try":
                body.pop(place, None)
            case "catch" | "foreach" if isinstance(body.get(place), Mapping):
                body[place] = {name: value for name, value in body[place].items() if name != "do"}
            case "branches" if isinstance(body.get("fork"), Mapping):
                body["fork"] = {name: value for name, value in body["fork"].items() if name != "branches"}
    return body


def match(before: Sequence[Step], after: Sequence[Step]) -> Matched:
    old, new = list(flattened(before)), list(flattened(after))
    pairs = _paired(old, new, lambda each: (each.around, each.step.name))
    pairs += _paired(_left(old, pairs, 0), _left(new, pairs, 1), lambda each: each.step.name)
    pairs += _renamed(_left(old, pairs, 0), _left(new, pairs, 1))
    order = {id(each): index for index, each in enumerate(new)}
    pairs.sort(key=lambda pair: order[id(pair[1])])
    return Matched(
        tuple(pairs), tuple(_left(old, pairs, 0)), tuple(_left(new, pairs, 1)), frozenset(_moved(pairs))
    )


def _left(every: list[Placed], pairs: list[tuple[Placed, Placed]], side: int) -> list[Placed]:
    taken = {id(pair[side]) for pair in pairs}
    return [each for each in every if id(each) not in taken]


def _paired(old: list[Placed], new: list[Placed], key: Any) -> list[tuple[Placed, Placed]]:
    """Those whose key occurs once on each side."""
    sides: list[dict[Any, list[Placed]]] = [{}, {}]
    for side, every in zip(sides, (old, new), strict=True):
        for each in every:
            side.setdefault(key(each), []).append(each)
    return [
        (sides[0][name][0], sides[1][name][0])
        for name in sides[0]
        if len(sides[0][name]) == len(sides[1].get(name, ())) == 1
    ]


def _renamed(old: list[Placed], new: list[Placed]) -> list[tuple[Placed, Placed]]:
    """What does exactly the same in the same list, under another name."""
    pairs = []
    taken: set[int] = set()
    for each in old:
        for other in new:
            if id(other) in taken or each.around != other.around or not each.step.body:
                continue
            if same(each.step.body, other.step.body):
                pairs.append((each, other))
                taken.add(id(other))
                break
    return pairs


def _moved(pairs: list[tuple[Placed, Placed]]) -> Iterator[str]:
    """Into another list (of whatever name); or within one, if it is not among the most that have kept their order."""
    lists: dict[tuple[str, ...], list[tuple[Placed, Placed]]] = {}
    names = {(*a.around, a.step.name): (*b.around, b.step.name) for a, b in pairs}
    for old, new in pairs:
        if names.get(old.around[:-1], ()) != new.around[:-1] or old.around[-1:] != new.around[-1:]:
            yield new.step.pointer
        else:
            lists.setdefault(new.around, []).append((old, new))
    for siblings in lists.values():
        siblings.sort(key=lambda pair: pair[1].index)
        kept = _longest_rise([old.index for old, _ in siblings])
        yield from (new.step.pointer for at, (_, new) in enumerate(siblings) if at not in kept)


def _longest_rise(values: list[int]) -> set[int]:
    """The positions of a longest increasing subsequence."""
    ends: list[int] = []
    last: list[int] = []
    before: list[int | None] = []
    for at, value in enumerate(values):
        place = bisect_left(ends, value)
        before.append(last[place - 1] if place else None)
        ends[place : place + 1] = [value]
        last[place : place + 1] = [at]
    kept: set[int] = set()
    at_end = last[-1] if last else None
    while at_end is not None:
        kept.add(at_end)
        at_end = before[at_end]
    return kept
