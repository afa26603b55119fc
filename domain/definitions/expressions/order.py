"""Equality and order of JSON values, metered.

There is no shortcut for one object compared with itself: whether two equal values are one object depends on
how they were decoded, and the fuel spent must not.
"""

import math
from functools import cmp_to_key
from typing import Any

from .errors import TooBig
from .meter import MAX_VALUE_DEPTH, Run


def rank(value: Any) -> int:
    """Return the place of a value's type in jq's order of types."""
    if value is None:
        return 0
    if value is False:
        return 1
    if value is True:
        return 2
    if isinstance(value, int | float):
        return 3
    if isinstance(value, str):
        return 4
    return 5 if isinstance(value, list) else 6


def too_nested() -> TooBig:
    """Return the error for a value nested beyond what operations descend into."""
    return TooBig(f"a value is nested deeper than {MAX_VALUE_DEPTH} levels")


def compare(run: Run, left: Any, right: Any, depth: int = 0) -> int:
    """Return -1, 0 or 1 by jq's order: null, false, true, numbers, texts, arrays, objects."""
    run.spend()
    kind = rank(left)
    other = rank(right)
    if kind != other:
        return -1 if kind < other else 1
    if kind <= 2:
        return 0
    if kind == 3:
        if math.isnan(left):
            return -1
        return 1 if math.isnan(right) or left > right else -1 if left < right else 0
    if kind == 4:
        run.spend(min(len(left), len(right)) >> 10)
        return 1 if left > right else -1 if left < right else 0
    run.spend(2)
    if depth > MAX_VALUE_DEPTH:
        raise too_nested()
    if kind == 5:
        for one, two in zip(left, right, strict=False):
            order = compare(run, one, two, depth + 1)
            if order:
                return order
        return (len(left) > len(right)) - (len(left) < len(right))
    return _compare_objects(run, left, right, depth)


def _compare_objects(run: Run, left: dict[str, Any], right: dict[str, Any], depth: int) -> int:
    names = sorted_texts(run, list(left))
    order = compare(run, names, sorted_texts(run, list(right)), depth + 1)
    if order:
        return order
    for name in names:
        order = compare(run, left[name], right[name], depth + 1)
        if order:
            return order
    return 0


def equal(run: Run, left: Any, right: Any, depth: int = 0) -> bool:
    """Return whether two values are equal, the way jq's == is."""
    run.spend()
    kind = rank(left)
    if kind != rank(right):
        return False
    if kind == 3:
        return bool(left == right)
    if kind <= 2:
        return True
    if len(left) != len(right):
        return False
    if kind == 4:
        run.spend(len(left) >> 10)
        return bool(left == right)
    run.spend(2)
    if depth > MAX_VALUE_DEPTH:
        raise too_nested()
    if kind == 5:
        return all_equal(run, left, right, depth)
    for name, value in left.items():  # as in all_equal
        if name not in right or not equal(run, value, right[name], depth + 1):
            return False
    return True


def all_equal(run: Run, left: list[Any], right: list[Any], depth: int) -> bool:
    """Return whether two lists of one length are equal item by item."""
    # A loop: a generator expression would need a second frame for every level.
    for one, two in zip(left, right, strict=True):
        if not equal(run, one, two, depth + 1):
            return False
    return True


def sorted_texts(run: Run, texts: list[str]) -> list[str]:
    """Return texts in order of their code points."""
    charge_sort(run, len(texts), sum(map(len, texts)))
    return sorted(texts)


def charge_sort(run: Run, count: int, characters: int) -> None:
    """Charge for a native sort: comparisons times what one comparison may have to read."""
    rounds = count.bit_length()
    run.spend(1 + (count * rounds >> 3) + (characters * rounds >> 12))


def sort_pairs(run: Run, pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return (key, value) pairs ordered by key, stable."""
    keys = [key for key, _ in pairs]
    if all(type(key) is str for key in keys):
        charge_sort(run, len(keys), sum(map(len, keys)))
        return sorted(pairs, key=_first)
    if all(type(key) is int or (type(key) is float and not math.isnan(key)) for key in keys):
        charge_sort(run, len(keys), 0)
        return sorted(pairs, key=_first)
    by_order = cmp_to_key(lambda one, two: compare(run, one, two))
    return sorted(pairs, key=lambda pair: by_order(pair[0]))


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]
