"""Library: arrays."""

from collections.abc import Iterable, Iterator
from typing import Any

from . import access
from .arithmetic import add, is_number
from .errors import Fault
from .library import fold, stream, value
from .meter import MAX_VALUE_DEPTH, Env, Run
from .nodes import Node
from .order import compare, sort_pairs, too_nested
from .text import describe, encode


def array(given: Any, what: str) -> list[Any]:
    """Return an array; raises Fault for anything else."""
    if not isinstance(given, list):
        raise Fault(f"{describe(given)} cannot be {what}, as it is not an array")
    return given


@fold("map", 1)
def map_items(given: Any, env: Env, change: Node) -> list[Any]:
    """Return all results for all items."""
    run = env.run
    items = access.children(run, given)
    out = []
    if change.one is not None:
        one = change.one
        for item in items:
            run.spend()
            out.append(one(item, env))
        return out
    for item in items:
        run.spend()
        for found in change.many(item, env):
            run.spend()
            out.append(found)
    return out


def _keyed(given: list[Any], env: Env, key: Node) -> list[tuple[Any, Any]]:
    pairs: list[tuple[Any, Any]] = []
    for item in given:
        env.run.spend()
        if key.one is not None:
            pairs.append((key.one(item, env), item))
        else:
            keys = []
            for found in key.many(item, env):
                env.run.spend()
                keys.append(found)
            pairs.append((keys, item))
    return sort_pairs(env.run, pairs)


def _pairs(given: list[Any]) -> list[tuple[Any, Any]]:
    return [(item, item) for item in given]


def _groups(run: Run, pairs: list[tuple[Any, Any]]) -> list[list[Any]]:
    groups: list[list[Any]] = []
    last: Any = None
    for key, item in pairs:
        run.spend()
        if groups and compare(run, last, key) == 0:
            groups[-1].append(item)
        else:
            groups.append([item])
        last = key
    return groups


@value("sort")
def sort(run: Run, given: Any) -> list[Any]:
    """Return the items in order."""
    return [item for _, item in sort_pairs(run, _pairs(array(given, "sorted")))]


@fold("sort_by", 1)
def sort_by(given: Any, env: Env, key: Node) -> list[Any]:
    """Return the items ordered by a key."""
    return [item for _, item in _keyed(array(given, "sorted"), env, key)]


@fold("group_by", 1)
def group_by(given: Any, env: Env, key: Node) -> list[Any]:
    """Return the items in groups of one key."""
    return list(_groups(env.run, _keyed(array(given, "grouped"), env, key)))


@value("unique")
def unique(run: Run, given: Any) -> list[Any]:
    """Return the different items in order."""
    return [group[0] for group in _groups(run, sort_pairs(run, _pairs(array(given, "sorted"))))]


@fold("unique_by", 1)
def unique_by(given: Any, env: Env, key: Node) -> list[Any]:
    """Return the first item of every key."""
    return [group[0] for group in _groups(env.run, _keyed(array(given, "grouped"), env, key))]


def _extreme(run: Run, pairs: list[tuple[Any, Any]], wanted: int) -> Any:
    """Return the first least or the last greatest item, or null."""
    if not pairs:
        return None
    best = pairs[0]
    for pair in pairs[1:]:
        run.spend()
        order = compare(run, pair[0], best[0])
        if order == wanted or (order == 0 and wanted == 1):
            best = pair
    return best[1]


def _unsorted(given: Any, env: Env, key: Node) -> list[tuple[Any, Any]]:
    pairs: list[tuple[Any, Any]] = []
    for item in array(given, "iterated over"):
        env.run.spend()
        keys = []
        for found in key.many(item, env):
            env.run.spend()
            keys.append(found)
        pairs.append((keys, item))
    return pairs


@value("min")
def least(run: Run, given: Any) -> Any:
    """Return the least item."""
    return _extreme(run, _pairs(array(given, "iterated over")), -1)


@value("max")
def greatest(run: Run, given: Any) -> Any:
    """Return the greatest item."""
    return _extreme(run, _pairs(array(given, "iterated over")), 1)


@fold("min_by", 1)
def min_by(given: Any, env: Env, key: Node) -> Any:
    """Return the item with the least key."""
    return _extreme(env.run, _unsorted(given, env, key), -1)


@fold("max_by", 1)
def max_by(given: Any, env: Env, key: Node) -> Any:
    """Return the item with the greatest key."""
    return _extreme(env.run, _unsorted(given, env, key), 1)


@value("reverse")
def reverse(run: Run, given: Any) -> Any:
    """Return an array back to front; what has no length is an empty one."""
    if given is None or (is_number(given) and given == 0) or (isinstance(given, str | dict) and not given):
        return []
    items = array(given, "reversed")
    run.items(len(items))
    return items[::-1]


@value("flatten")
def flatten(run: Run, given: Any) -> list[Any]:
    """Return the items of all arrays inside."""
    return _flat(run, access.children(run, given), MAX_VALUE_DEPTH + 1, 0)


@value("flatten", 1)
def flatten_to(run: Run, given: Any, depth: Any) -> list[Any]:
    """Return the items of arrays inside, down to a depth."""
    if not is_number(depth) or depth < 0:
        raise Fault("flatten depth must not be negative")
    return _flat(run, access.children(run, given), min(depth, MAX_VALUE_DEPTH + 1), 0)


def _flat(run: Run, given: Iterable[Any], depth: int | float, level: int) -> list[Any]:
    if level > MAX_VALUE_DEPTH:
        raise too_nested()
    out: list[Any] = []
    for item in given:
        run.spend()
        if isinstance(item, list) and depth > 0:
            inner = _flat(run, item, depth - 1, level + 1)
            run.items(len(inner) + len(out))
            out.extend(inner)
        else:
            out.append(item)
    return out


@value("transpose")
def transpose(run: Run, given: Any) -> list[Any]:
    """Return rows as columns, missing cells as null."""
    rows = [array(row, "transposed") for row in array(given, "transposed")]
    width = max(map(len, rows), default=0)
    run.spend(1 + (width * len(rows) >> 1))
    run.items(width * len(rows))
    return [[row[place] if place < len(row) else None for row in rows] for place in range(width)]


@stream("combinations")
def combinations(given: Any, env: Env) -> Iterator[Any]:
    """Yield every way of taking one item of each array."""
    run = env.run
    rows = [array(row, "combined") for row in array(given, "combined")]
    places = [0] * len(rows)
    run.items(len(rows))
    if not all(rows):
        return
    while True:
        run.spend(1 + (len(rows) >> 2))
        yield [row[place] for row, place in zip(rows, places, strict=True)]
        column = len(rows) - 1
        while column >= 0 and places[column] + 1 == len(rows[column]):
            places[column] = 0
            column -= 1
        if column < 0:
            return
        places[column] += 1


@value("bsearch", 1)
def bsearch(run: Run, given: Any, wanted: Any) -> int:
    """Return the position of a value in a sorted array, or -1 minus where it would be."""
    items = array(given, "searched from")
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        order = compare(run, items[middle], wanted)
        if order == 0:
            return middle
        low, high = (middle + 1, high) if order < 0 else (low, middle)
    return -1 - low


@value("join", 1)
def join(run: Run, given: Any, separator: Any) -> str:
    """Return texts, numbers and booleans with a separator in between."""
    parts: list[str] = []
    size = 0
    for item in access.children(run, given):
        run.spend()
        between = add(run, parts[-1], separator) if parts else ""
        if isinstance(item, list | dict):
            raise Fault(f"{describe(between)} and {describe(item)} cannot be added")
        text = "" if item is None else item if isinstance(item, str) else encode(run, item)
        size += len(text) + (len(separator) if isinstance(separator, str) else 0)
        run.text(size)
        parts.append(text)
    return (separator if isinstance(separator, str) else "").join(parts)
