"""Lengths of time in the few characters that a table has for them."""

from datetime import timedelta
from typing import Final

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def brief(length: timedelta) -> str:
    """As "12 ms", "3.4 s", "2 min 5 s" or "3 d 4 h": two units at most, nothing smaller than matters."""
    milliseconds = max(round(length.total_seconds() * 1000), 0)
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    if milliseconds < 59_950:
        return f"{milliseconds / 1000:.1f}".removesuffix(".0") + " s"
    left = round(milliseconds / 1000)
    for index, (unit, seconds) in enumerate(_UNITS):
        number, rest = divmod(left, seconds)
        if number:
            smaller = _UNITS[index + 1 : index + 2]
            more = [f"{rest // size} {name}" for name, size in smaller if rest // size]
            return " ".join([f"{number} {unit}", *more])
    raise AssertionError("a minute or longer")  # pragma: no cover
