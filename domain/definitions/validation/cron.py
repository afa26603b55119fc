"""Cron expressions of five fields: whether one could ever be right, and if not, which field is wrong."""

import re
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: Name, least and greatest number, and words for numbers from the least on.
_FIELDS: Final[tuple[tuple[str, int, int, tuple[str, ...]], ...]] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_MACROS: Final = frozenset({"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"})
_PART: Final = re.compile(r"(\*|\w{1,3})(?:-(\w{1,3}))?(?:/(\d{1,3}))?", re.ASCII)
_LONGEST: Final = 200


def cron_problem(text: str) -> str | None:
    """A sentence about the first field that is wrong, None for a good expression."""
    if text.strip().lower() in _MACROS:
        return None
    fields = text.split()
    if len(text) > _LONGEST or len(fields) != len(_FIELDS):
        return f"A cron expression has {len(_FIELDS)} fields, not {len(fields)}."
    for written, (name, least, most, words) in zip(fields, _FIELDS, strict=True):
        for part in written.split(","):
            if not _is_sound(part, least, most, words):
                return f"`{part[:40]}` is no {name}: those are {least} to {most}."
    return None


def _is_sound(part: str, least: int, most: int, words: tuple[str, ...]) -> bool:
    match = _PART.fullmatch(part)
    if match is None:
        return False
    start, end, every = match.groups()
    if every is not None and not 1 <= int(every) <= most:
        return False
    if start == "*":
        return end is None
    numbers = [_number(word, least, words) for word in (start, end) if word is not None]
    known = [number for number in numbers if number is not None and least <= number <= most]
    return len(known) == len(numbers) and known == sorted(known)


def _number(word: str, least: int, words: tuple[str, ...]) -> int | None:
    if word.lower() in words:
        return least + words.index(word.lower())
    return int(word) if word.isdecimal() else None
