"""Library: texts."""

from math import isfinite
from typing import Any

from .arithmetic import is_number, split
from .errors import Fault
from .library import value
from .meter import Run
from .text import describe


def text(given: Any, what: str) -> str:
    """Return a text; raises Fault for anything else."""
    if not isinstance(given, str):
        raise Fault(f"{describe(given)} {what}")
    return given


def _two(run: Run, given: Any, other: Any, name: str) -> tuple[str, str]:
    if not isinstance(given, str) or not isinstance(other, str):
        raise Fault(f"{name}() requires string inputs")
    run.text(len(given))
    return given, other


@value("startswith", 1)
def startswith(run: Run, given: Any, prefix: Any) -> bool:
    """Return whether a text begins with another."""
    whole, part = _two(run, given, prefix, "startswith")
    return whole.startswith(part)


@value("endswith", 1)
def endswith(run: Run, given: Any, suffix: Any) -> bool:
    """Return whether a text ends with another."""
    whole, part = _two(run, given, suffix, "endswith")
    return whole.endswith(part)


@value("ltrimstr", 1)
def ltrimstr(run: Run, given: Any, prefix: Any) -> Any:
    """Drop a text from the beginning, if it is there."""
    whole, part = _two(run, given, prefix, "startswith")
    return whole.removeprefix(part)


@value("rtrimstr", 1)
def rtrimstr(run: Run, given: Any, suffix: Any) -> Any:
    """Drop a text from the end, if it is there."""
    whole, part = _two(run, given, suffix, "endswith")
    return whole.removesuffix(part)


@value("trimstr", 1)
def trimstr(run: Run, given: Any, part: Any) -> Any:
    """Drop a text from both ends, if it is there."""
    return rtrimstr(run, ltrimstr(run, given, part), part)


def _trim(run: Run, given: Any) -> str:
    whole = text(given, "cannot be trimmed, as it is not a string") if not isinstance(given, str) else given
    run.text(len(whole))
    return whole


value("trim")(lambda run, given: _trim(run, given).strip())
value("ltrim")(lambda run, given: _trim(run, given).lstrip())
value("rtrim")(lambda run, given: _trim(run, given).rstrip())

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_UPPER = {lower: lower - 32 for lower in range(ord("a"), ord("z") + 1)}


def _translate(run: Run, given: Any, table: dict[int, int], what: str) -> str:
    whole = text(given, what)
    run.spend(len(whole) >> 4)
    run.text(len(whole))
    return whole.translate(table)


value("ascii_downcase")(
    lambda run, given: _translate(run, given, _LOWER, "cannot be lowercased, as it is not a string")
)
value("ascii_upcase")(
    lambda run, given: _translate(run, given, _UPPER, "cannot be uppercased, as it is not a string")
)


@value("split", 1)
def split_at(run: Run, given: Any, separator: Any) -> list[str]:
    """Return the parts of a text between separators."""
    if not isinstance(given, str) or not isinstance(separator, str):
        raise Fault("split input and separator must be strings")
    return split(run, given, separator)


@value("explode")
def explode(run: Run, given: Any) -> list[int]:
    """Return the code points of a text."""
    whole = text(given, "cannot be exploded")
    run.spend(len(whole) >> 3)
    run.items(len(whole))
    return [ord(character) for character in whole]


@value("implode")
def implode(run: Run, given: Any) -> str:
    """Return a text of code points; what is no character becomes the replacement character."""
    if not isinstance(given, list):
        raise Fault("implode input must be an array")
    run.spend(len(given) >> 2)
    run.text(len(given))
    return "".join([_character(point) for point in given])


def _character(point: Any) -> str:
    if not is_number(point) or not isfinite(point):
        raise Fault(f"{describe(point)} can't be imploded, unicode codepoint needs to be numeric")
    code = int(point)
    return chr(code) if 0 <= code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "\ufffd"
