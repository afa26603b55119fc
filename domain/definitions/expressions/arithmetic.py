"""The operators + - * / % on JSON values.

Integers stay exact within 64 bit and become doubles beyond, so no program can grow a number.
"""

import math
from collections.abc import Callable
from typing import Any

from ..values import LARGEST_INTEGER, SMALLEST_INTEGER, normal_number
from .errors import Fault
from .meter import MAX_TEXT, MAX_VALUE_DEPTH, Run
from .order import equal, too_nested
from .text import describe

Operator = Callable[[Run, Any, Any], Any]


def is_number(value: Any) -> bool:
    """Return whether a value is a JSON number."""
    return type(value) is int or type(value) is float


def add(run: Run, left: Any, right: Any) -> Any:
    """Return the sum: numbers add, texts and arrays concatenate, objects merge, null is neutral."""
    if left is None:
        return right
    if right is None:
        return left
    if is_number(left) and is_number(right):
        return normal_number(left + right)
    if isinstance(left, str) and isinstance(right, str):
        run.text(len(left) + len(right))
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        run.items(len(left) + len(right))
        return left + right
    if isinstance(left, dict) and isinstance(right, dict):
        run.members(len(left) + len(right))
        return {**left, **right}
    raise Fault(f"{describe(left)} and {describe(right)} cannot be added")


def subtract(run: Run, left: Any, right: Any) -> Any:
    """Return the difference of numbers, or the items of one array that the other has not."""
    if is_number(left) and is_number(right):
        return normal_number(left - right)
    if isinstance(left, list) and isinstance(right, list):
        return [item for item in left if not _among(run, item, right)]
    raise Fault(f"{describe(left)} and {describe(right)} cannot be subtracted")


def _among(run: Run, item: Any, others: list[Any]) -> bool:
    run.spend()
    return any(equal(run, item, other) for other in others)


def multiply(run: Run, left: Any, right: Any) -> Any:
    """Return the product of numbers, a text repeated, or two objects merged in depth."""
    if is_number(left) and is_number(right):
        return normal_number(left * right)
    if isinstance(left, str) and is_number(right):
        return _repeat(run, left, right)
    if isinstance(right, str) and is_number(left):
        return _repeat(run, right, left)
    if isinstance(left, dict) and isinstance(right, dict):
        return _merge(run, left, right, 0)
    raise Fault(f"{describe(left)} and {describe(right)} cannot be multiplied")


def _repeat(run: Run, text: str, times: int | float) -> str | None:
    if math.isnan(times) or times < 0:
        return None
    if text and times * len(text) > MAX_TEXT:
        raise Fault("Repeat string result too long")
    if not text:
        return ""
    count = int(times)
    run.text(count * len(text))
    return text * count


def _merge(run: Run, left: dict[str, Any], right: dict[str, Any], depth: int) -> dict[str, Any]:
    if depth > MAX_VALUE_DEPTH:
        raise too_nested()
    run.members(len(left) + len(right))
    out = dict(left)
    for name, value in right.items():
        run.spend()
        mine = out.get(name)
        if isinstance(mine, dict) and isinstance(value, dict):
            out[name] = _merge(run, mine, value, depth + 1)
        else:
            out[name] = value
    return out


def divide(run: Run, left: Any, right: Any) -> Any:
    """Return the quotient of numbers, or a text split at another."""
    if is_number(left) and is_number(right):
        if right == 0:
            raise Fault(
                f"{describe(left)} and {describe(right)} cannot be divided because the divisor is zero"
            )
        if isinstance(left, int) and isinstance(right, int) and left % right == 0:
            return normal_number(left // right)
        return left / right
    if isinstance(left, str) and isinstance(right, str):
        return split(run, left, right)
    raise Fault(f"{describe(left)} and {describe(right)} cannot be divided")


def split(run: Run, text: str, separator: str) -> list[str]:
    """Return the parts of a text between separators; an empty separator yields characters."""
    run.text(len(text))
    if not text:
        return []
    count = text.count(separator) if separator else len(text)
    run.spend(count >> 3)
    run.items(count)
    return text.split(separator) if separator else list(text)


def remainder(run: Run, left: Any, right: Any) -> Any:
    """Return the remainder of two numbers cut to integers, with the sign of the first."""
    if not is_number(left) or not is_number(right):
        raise Fault(f"{describe(left)} and {describe(right)} cannot be divided")
    if math.isnan(left) or math.isnan(right):
        return math.nan
    one, two = _cut(left), _cut(right)
    if two == 0:
        both = f"{describe(left)} and {describe(right)}"
        raise Fault(f"{both} cannot be divided (remainder) because the divisor is zero")
    rest = abs(one) % abs(two)
    return -rest if one < 0 else rest


def _cut(number: int | float) -> int:
    if isinstance(number, float):
        if number >= LARGEST_INTEGER:
            return LARGEST_INTEGER
        if number <= SMALLEST_INTEGER:
            return SMALLEST_INTEGER
    return int(number)


def negate(run: Run, value: Any) -> Any:
    """Return a number with the other sign."""
    if not is_number(value):
        raise Fault(f"{describe(value)} cannot be negated")
    return normal_number(-value)


OPERATORS: dict[str, Operator] = {"+": add, "-": subtract, "*": multiply, "/": divide, "%": remainder}
