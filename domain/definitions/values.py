"""JSON values as they enter state: bounded walks that a hostile value cannot stall.

A Python value can be small in memory and endless on paper (sixty lists that each hold the previous one
twice), so every walk here counts what it has written and stops at a cap instead of trusting the value.
"""

import json
from json.encoder import encode_basestring
from math import isfinite
from typing import Any

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

MAX_BYTES = 131_072
MAX_DEPTH = 64
CANONICAL_BYTES = 4 * 1024 * 1024
LARGEST_INTEGER = 2**63 - 1
SMALLEST_INTEGER = -(2**63)
# Above 2**53 a double no longer names one integer, so it stays a double.
EXACT_FLOAT = 2.0**53


class ValueRefused(ValueError):
    """A value that may not enter state: `message` says why, `pointer` (RFC 6901) where."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message, pointer)
        self.message = message
        self.pointer = pointer

    def __str__(self) -> str:
        return f"{self.message} (at {self.pointer or 'the top'})"

    def under(self, key: str | int) -> None:
        """Prefix the pointer with the container's key while the refusal travels outwards."""
        self.pointer = "/" + str(key).replace("~", "~0").replace("/", "~1") + self.pointer


def normal_number(value: int | float) -> int | float:
    """Return integral doubles as integers and integers beyond 64 bit as doubles, as JSON readers do."""
    if isinstance(value, float):
        if -EXACT_FLOAT <= value <= EXACT_FLOAT and value.is_integer():
            return int(value)
        return value
    if SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        return value
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def check_value(value: object, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Json:
    """Copy a value into plain JSON, or refuse it.

    Integral doubles become integers. Refused with `ValueRefused`: NaN and Infinity, integers beyond 64 bit,
    lone surrogates, NUL characters, keys that are no text, foreign types, more than `max_bytes` of JSON and
    more than `max_depth` levels. Work is proportional to `max_bytes`, whatever the value shares.
    """
    return _Check(max_bytes, max_depth).copy(value, 0)


class _Check:
    __slots__ = ("left", "max_bytes", "max_depth")

    def __init__(self, max_bytes: int, max_depth: int) -> None:
        self.left = max_bytes
        self.max_bytes = max_bytes
        self.max_depth = max_depth

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise ValueRefused(
                f"the value is larger than {self.max_bytes} bytes of JSON; keep large data in a document and "
                "pass its id"
            )

    def copy(self, value: object, depth: int) -> Json:
        if value is None or value is True:
            self.take(4)
            return value
        if value is False:
            self.take(5)
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int | float):
            return self.number(value)
        if not isinstance(value, list | dict):
            raise ValueRefused(f"a value of type {type(value).__name__} is not JSON")
        if depth >= self.max_depth:
            raise ValueRefused(f"the value is nested deeper than {self.max_depth} levels")
        self.take(2 + max(0, len(value) - 1))
        return self.items(value, depth) if isinstance(value, list) else self.members(value, depth)

    def items(self, value: list[Any], depth: int) -> Json:
        out: list[Json] = []
        for index, item in enumerate(value):
            try:
                out.append(self.copy(item, depth + 1))
            except ValueRefused as refusal:
                refusal.under(index)
                raise
        return out

    def members(self, value: dict[Any, Any], depth: int) -> Json:
        out: dict[str, Json] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueRefused(f"an object key of type {type(key).__name__} is not text")
            name = self.text(key)
            self.take(1)
            try:
                out[name] = self.copy(item, depth + 1)
            except ValueRefused as refusal:
                refusal.under(key)
                raise
        return out

    def text(self, value: str) -> str:
        if len(value) > self.left:
            self.take(len(value) + 2)
        if "\x00" in value:
            raise ValueRefused("a text contains the NUL character (U+0000), which PostgreSQL cannot store")
        try:
            self.take(len(encode_basestring(value).encode()))
        except UnicodeEncodeError:
            raise ValueRefused("a text contains half of a surrogate pair, which is no character") from None
        return value

    def number(self, value: int | float) -> int | float:
        if isinstance(value, float) and not isfinite(value):
            raise ValueRefused("NaN and Infinity are not JSON numbers")
        number = normal_number(value)
        if isinstance(value, int) and isinstance(number, float):
            raise ValueRefused("an integer does not fit into 64 bits; send it as text")
        self.take(len(repr(number)))
        return number


def measure(value: Json, cap: int) -> int:
    """Return the size of a value in bytes of compact JSON, or `cap + 1` as soon as it is larger."""
    size = 0
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            size += len(item) + 2
            if size <= cap:
                size += len(encode_basestring(item).encode("utf-8", "surrogatepass")) - len(item) - 2
        elif item is None or item is True:
            size += 4
        elif item is False:
            size += 5
        elif isinstance(item, list):
            size += 2 + max(0, len(item) - 1)
            if size + len(item) <= cap:
                stack.extend(item)
            else:
                size += len(item)
        elif isinstance(item, dict):
            size += 2 + max(0, len(item) - 1) + len(item)
            if size + 3 * len(item) > cap:
                size += 3 * len(item)
            else:
                stack.extend(item.keys())
                stack.extend(item.values())
        else:
            size += len(repr(item))
        if size > cap:
            return cap + 1
    return size


def is_deeper(value: Json, levels: int) -> bool:
    """Return whether containers nest deeper than so many levels; measure the value first."""
    containers: list[Any] = [value] if isinstance(value, list | dict) else []
    for _ in range(levels):
        if not containers:
            return False
        inside = [part.values() if isinstance(part, dict) else part for part in containers]
        containers = [item for items in inside for item in items if isinstance(item, list | dict)]
    return bool(containers)


def canonical(value: Json) -> bytes:
    """Return compact UTF-8 JSON with sorted keys, equal for equal values: what digests are taken of.

    Raises `ValueRefused` for values of more than 4 MiB and for anything that is not JSON.
    """
    if measure(value, CANONICAL_BYTES) > CANONICAL_BYTES:
        raise ValueRefused(f"the value is larger than {CANONICAL_BYTES} bytes of JSON")
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except (TypeError, ValueError, RecursionError):
        raise ValueRefused("the value is not JSON or is nested too deeply") from None


def quote(value: object, cap: int = 60) -> str:
    """Return the beginning of a value as JSON for a message, never more than about `cap` characters.

    Foreign types never fail: they are told as text.
    """
    parts: list[str] = []
    length = 0
    stack: list[Any] = [value]
    while stack and length <= cap:
        item = stack.pop()
        if isinstance(item, _Raw):
            piece = item.text
        elif isinstance(item, str):
            piece = encode_basestring(item[: cap + 1])
        elif isinstance(item, list) and item:
            piece = "["
            stack.append(_Raw("]"))
            shown = item[: cap + 1]
            for position in range(len(shown) - 1, -1, -1):
                stack.append(shown[position])
                if position:
                    stack.append(_Raw(","))
        elif isinstance(item, dict) and item:
            piece = "{"
            stack.append(_Raw("}"))
            names = [name for name, _ in zip(item, range(cap), strict=False)]
            for position in range(len(names) - 1, -1, -1):
                stack.extend((item[names[position]], _Raw(":"), names[position]))
                if position:
                    stack.append(_Raw(","))
        else:
            piece = _scalar(item, cap)
        parts.append(piece)
        length += len(piece)
    text = "".join(parts)
    return text if length <= cap else text[: cap - 3] + "..."


def _scalar(item: object, cap: int) -> str:
    """What is no JSON (a Decimal, an error, an integer of thousands of digits) is told as a text."""
    try:
        return json.dumps(item)
    except (TypeError, ValueError):
        pass
    try:
        return encode_basestring(str(item)[: cap + 1])
    except ValueError:
        return encode_basestring(f"a very large {type(item).__name__}")


class _Raw:
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text
