"""Builds a JSON value from parse events without recursion, remembering where each part was written."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from domain.definitions.pointers import join
from domain.definitions.values import Json
from domain.errors import Invalid, Problem

MAX_DEPTH: Final = 64
_LARGEST: Final = 2**63


class Position(NamedTuple):
    """A place in a text; both count from 1."""

    line: int
    column: int


class Event(NamedTuple):
    """One piece of a text: where a container begins or ends, an object's key, or a scalar."""

    kind: Literal["object", "array", "key", "scalar", "end"]
    at: Position
    value: bool | int | float | str | None = None


class Unreadable(Invalid):
    """A text that is not the document it should be; `position` says where, `reason` is the code."""

    def __init__(
        self,
        message: str,
        position: Position,
        *,
        code: str = "syntax",
        pointer: str = "",
    ) -> None:
        located = f"Line {position.line}, column {position.column}: {message}"
        super().__init__(located, problems=[Problem(pointer, located, code=code)])
        self.position = position
        self.reason = code


@dataclass(frozen=True, slots=True)
class Document:
    """A value and the place of each of its parts, by JSON pointer."""

    value: Json
    positions: Mapping[str, Position]

    def locate(self, pointer: str) -> Position:
        """Return where a pointer's value was written, or the nearest part around it that exists."""
        while pointer not in self.positions and pointer:
            pointer = pointer.rpartition("/")[0]
        return self.positions.get(pointer, Position(1, 1))


@dataclass(slots=True)
class _Open:
    container: dict[str, Json] | list[Json]
    pointer: str
    key: str | None = None


def build(events: Iterable[Event]) -> Document:
    """Raises `Unreadable` for duplicate keys, too deep nesting and values that are no JSON."""
    positions: dict[str, Position] = {}
    stack: list[_Open] = []
    root: Json = None
    for event in events:
        if event.kind == "end":
            stack.pop()
            continue
        if event.kind == "key":
            _take_key(stack[-1], event, positions)
            continue
        value: Json
        if event.kind == "scalar":
            value = _checked(event)
        else:
            value = {} if event.kind == "object" else []
            if len(stack) >= MAX_DEPTH:
                raise Unreadable(
                    f"The document is nested deeper than {MAX_DEPTH} levels.",
                    event.at,
                    code="too_deep",
                )
        pointer = _place(stack[-1], value) if stack else ""
        if not stack:
            root = value
        # A member is where its key stands: that is the line people look for.
        positions.setdefault(pointer, event.at)
        if isinstance(value, dict | list):
            stack.append(_Open(value, pointer))
    if not positions:
        raise Unreadable("The document is empty.", Position(1, 1))
    return Document(root, positions)


def _take_key(parent: _Open, event: Event, positions: dict[str, Position]) -> None:
    key = event.value
    assert isinstance(key, str)
    assert isinstance(parent.container, dict)
    _checked(event)
    pointer = join(parent.pointer, key)
    if key in parent.container:
        first = positions[pointer].line
        raise Unreadable(
            f"The key `{key[:60]}` was already given on line {first}; remove or rename one of them.",
            event.at,
            code="duplicate_key",
            pointer=pointer,
        )
    parent.key = key
    positions[pointer] = event.at


def _place(parent: _Open, value: Json) -> str:
    if isinstance(parent.container, list):
        parent.container.append(value)
        return join(parent.pointer, len(parent.container) - 1)
    assert parent.key is not None
    parent.container[parent.key] = value
    return join(parent.pointer, parent.key)


def _checked(event: Event) -> bool | int | float | str | None:
    value = event.value
    if isinstance(value, float) and not math.isfinite(value):
        raise Unreadable(
            "This number is NaN, infinite or too large for JSON.",
            event.at,
            code="bad_value",
        )
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise Unreadable(
            "This integer does not fit into 64 bits; write it as text.",
            event.at,
            code="bad_value",
        )
    if isinstance(value, str) and any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in value):
        raise Unreadable(
            "This text contains NUL or half of a surrogate pair, which cannot be stored.",
            event.at,
            code="bad_value",
        )
    return value
