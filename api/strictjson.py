"""JSON as strangers send it: what the usual reader lets through and a database chokes on is refused."""

import json
import math
import re
from collections import Counter
from typing import Any

from domain.errors import Invalid, Problem

DEEPEST = 64
#: After so many unusable values the rest is not even looked at.
_PATIENCE = 1_000
_BIGGEST = 2**63
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPES = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class _Refused:
    """Stands in the parsed value where something unusable stood, so that its place can be told."""

    __slots__ = ("message", "suggestion")

    def __init__(self, message: str, suggestion: str) -> None:
        self.message = message
        self.suggestion = suggestion


def read(body: bytes) -> Any:
    """The value of a JSON document; raises `Invalid` naming each place and its mend.

    Refused beyond the grammar: NaN and infinities, integers beyond 64 bits, numbers beyond a double, repeated
    keys, NUL characters, lone surrogates, more than 64 levels.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid(
            "", f"Byte {error.start} of the body is not UTF-8.", "Encode the body as UTF-8."
        ) from None
    if body.count(b"[") + body.count(b"{") > DEEPEST and _too_deep(body):
        raise _invalid(
            "", f"The body nests deeper than {DEEPEST} levels.", "Flatten it, or refer to parts by id."
        )
    found = 0

    def refuse(message: str, suggestion: str) -> _Refused:
        nonlocal found
        found += 1
        if found > _PATIENCE:
            raise _invalid("", f"{message} This happens more than {_PATIENCE} times.", suggestion)
        return _Refused(message, suggestion)

    def integer(digits: str) -> int | _Refused:
        if len(digits) > 20 or not -_BIGGEST <= (number := int(digits)) < _BIGGEST:
            return refuse("The integer does not fit into 64 bits.", "Send it as a string.")
        return number

    def real(digits: str) -> float | _Refused:
        number = float(digits)
        return number if math.isfinite(number) else refuse("The number is too large.", "Send it as a string.")

    def constant(word: str) -> _Refused:
        return refuse(f"{word} is not a JSON value.", "Send null or a string.")

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(members)
        if len(value) != len(members):
            twice = next(name for name, times in Counter(name for name, _ in members).items() if times > 1)
            value[twice] = refuse("The key appears twice in one object.", "Keep one of the two.")
        return value

    try:
        value = json.loads(
            text, parse_int=integer, parse_float=real, parse_constant=constant, object_pairs_hook=pairs
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno} (character {error.pos})"
        raise _invalid(
            "", f"The body is not JSON: {error.msg} at {place}.", "Correct the JSON there."
        ) from None
    if found or _ESCAPES.search(body) or "\x00" in text:
        problems = _search(value)
        if problems:
            raise Invalid(problems=problems)
    return value


def _too_deep(body: bytes) -> bool:
    level = 0
    for byte in _STRING.sub(b"", body):
        if byte in b"[{":
            level += 1
            if level > DEEPEST:
                return True
        elif byte in b"]}":
            level -= 1
    return False


def _search(root: Any) -> list[Problem]:
    """Walks a value that is known to hold something unusable; reports at most twenty places."""
    problems: list[Problem] = []
    stack: list[tuple[str, Any]] = [("#", root)]
    while stack and len(problems) < 20:
        pointer, value = stack.pop()
        if isinstance(value, _Refused):
            problems.append(Problem(pointer, value.message, value.suggestion))
        elif isinstance(value, str):
            problems += _unusable(pointer, value)
        elif isinstance(value, list):
            stack += ((f"{pointer}/{index}", item) for index, item in enumerate(value))
        elif isinstance(value, dict):
            for key, item in value.items():
                bad = _unusable(pointer, key)
                problems += bad
                if not bad:
                    stack.append((f"{pointer}/{escape(key)}", item))
    return sorted(problems, key=lambda problem: problem.pointer)


def _unusable(pointer: str, text: str) -> list[Problem]:
    if "\x00" in text:
        return [Problem(pointer, "The text contains a NUL character.", "Remove \\u0000.")]
    if any("\ud800" <= character <= "\udfff" for character in text):
        return [Problem(pointer, "The text contains half of a surrogate pair.", "Send whole characters.")]
    return []


def escape(key: str) -> str:
    """A key as one token of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _invalid(pointer: str, message: str, suggestion: str) -> Invalid:
    return Invalid(problems=[Problem(pointer or "#", message, suggestion, "malformed")])
