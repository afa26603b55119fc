"""Durations as people write them: `3 days`, ISO 8601 `P3D`, or an object of units.

Months and years are refused: their length depends on a calendar, and a wait must mean the same on every day.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from domain.errors import Invalid

#: Nothing waits longer than an execution may live; a leap year is still one year.
MAXIMUM_WAIT: Final = timedelta(days=366)

_UNITS: Final = {
    "days": timedelta(days=1),
    "hours": timedelta(hours=1),
    "minutes": timedelta(minutes=1),
    "seconds": timedelta(seconds=1),
    "milliseconds": timedelta(milliseconds=1),
}
_WORDS: Final = {
    "w": timedelta(weeks=1),
    "week": timedelta(weeks=1),
    "d": timedelta(days=1),
    "day": timedelta(days=1),
    "h": timedelta(hours=1),
    "hr": timedelta(hours=1),
    "hour": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "minute": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "sec": timedelta(seconds=1),
    "second": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "millisecond": timedelta(milliseconds=1),
}
_CALENDAR: Final = frozenset({"month", "year", "y", "yr", "mo"})
_NUMBER = r"\d{1,15}(?:[.,]\d{1,9})?"
_ISO = re.compile(
    rf"P(?:(?P<years>{_NUMBER})Y)?(?:(?P<months>{_NUMBER})M)?(?:(?P<weeks>{_NUMBER})W)?(?:(?P<days>{_NUMBER})D)?"
    rf"(?P<time>T(?:(?P<hours>{_NUMBER})H)?(?:(?P<minutes>{_NUMBER})M)?(?:(?P<seconds>{_NUMBER})S)?)?",
    re.ASCII,
)
_LIGHT = re.compile(rf"\s*({_NUMBER})\s*([A-Za-z]{{1,12}})\s*(?:,|and\b)?", re.ASCII)
_TEXT_LIMIT = 100
_HOW = "write for example `3 days`, `PT1H30M` or {hours: 1, minutes: 30}"


class InvalidDuration(Invalid, ValueError):
    """This is not a duration."""


def parse(value: object, *, allow_zero: bool = True) -> timedelta:
    """Return the duration that an object, an ISO 8601 text or a light text means.

    Raises `InvalidDuration` with one sentence for anything else, for negative values, for more than 366 days
    and, unless `allow_zero`, for zero.
    """
    if isinstance(value, Mapping):
        duration = _from_object(value)
    elif isinstance(value, str):
        duration = _from_text(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        raise InvalidDuration("A number alone has no unit; " + _HOW + ".")
    else:
        raise InvalidDuration("A duration is a text or an object; " + _HOW + ".")
    if not duration and not allow_zero:
        raise InvalidDuration("This duration must be longer than zero.")
    return duration


def iso(duration: timedelta) -> str:
    """Return the ISO 8601 form, exact to the microsecond; `parse` reads it back unchanged."""
    if duration < timedelta(0):
        raise InvalidDuration("A duration cannot be negative.")
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{duration.microseconds:06d}".rstrip("0") if duration.microseconds else ""
    time = "".join(
        (
            f"{hours}H" if hours else "",
            f"{minutes}M" if minutes else "",
            f"{seconds}{fraction}S" if seconds or fraction else "",
        )
    )
    days = f"{duration.days}D" if duration.days else ""
    if not days and not time:
        return "PT0S"
    return f"P{days}T{time}" if time else f"P{days}"


def _from_object(value: Mapping[Any, Any]) -> timedelta:
    if not value:
        raise InvalidDuration("The duration is empty; " + _HOW + ".")
    total = Decimal(0)
    for unit, amount in value.items():
        if unit not in _UNITS:
            named = f"`{unit[:40]}`" if isinstance(unit, str) else "a key that is no text"
            reason = " (their length depends on the calendar)" if unit in ("months", "years") else ""
            raise InvalidDuration(f"A duration has no {named}{reason}; its units are {', '.join(_UNITS)}.")
        if isinstance(amount, bool) or not isinstance(amount, int | float) or amount % 1 != 0:
            raise InvalidDuration(f"`{unit}` must be a whole number.")
        if amount < 0:
            raise InvalidDuration(f"`{unit}` cannot be negative.")
        if amount > 10**15:
            raise _too_long()
        total += _microseconds(Decimal(int(amount)), _UNITS[unit])
    return _bounded(total)


def _from_text(text: str) -> timedelta:
    text = text.strip()
    if not text:
        raise InvalidDuration("The duration is empty; " + _HOW + ".")
    if len(text) > _TEXT_LIMIT:
        raise InvalidDuration(f"A duration has at most {_TEXT_LIMIT} characters; " + _HOW + ".")
    if text.startswith("-"):
        raise InvalidDuration("A duration cannot be negative.")
    return _from_iso(text) if text[0] == "P" else _from_light(text)


def _from_iso(text: str) -> timedelta:
    match = _ISO.fullmatch(text)
    if match is None or text.endswith(("P", "T")):
        raise InvalidDuration(f"`{text}` is not an ISO 8601 duration; " + _HOW + ".")
    parts = match.groupdict()
    if parts["years"] or parts["months"]:
        raise InvalidDuration(
            f"`{text}` counts years or months, whose length depends on the calendar; say weeks or days."
        )
    total = Decimal(0)
    for name, unit in (("weeks", timedelta(weeks=1)), *_UNITS.items()):
        if amount := parts.get(name):
            total += _microseconds(_decimal(amount), unit)
    return _bounded(total)


def _from_light(text: str) -> timedelta:
    total, at = Decimal(0), 0
    while at < len(text):
        match = _LIGHT.match(text, at)
        if match is None:
            raise InvalidDuration(f"`{text}` is not a duration; " + _HOW + ".")
        amount, word = match.groups()
        singular = word.lower().removesuffix("s") if len(word) > 2 else word.lower()
        if singular in _CALENDAR:
            raise InvalidDuration(
                f"`{text}` counts years or months, whose length depends on the calendar; say weeks or days."
            )
        if singular not in _WORDS:
            raise InvalidDuration(
                f"`{word}` is not a unit of time; use weeks, days, hours, minutes, seconds or milliseconds."
            )
        total += _microseconds(_decimal(amount), _WORDS[singular])
        at = match.end()
    return _bounded(total)


def _decimal(text: str) -> Decimal:
    return Decimal(text.replace(",", "."))


def _microseconds(amount: Decimal, unit: timedelta) -> Decimal:
    return amount * (unit // timedelta(microseconds=1))


def _bounded(microseconds: Decimal) -> timedelta:
    if microseconds > MAXIMUM_WAIT // timedelta(microseconds=1):
        raise _too_long()
    return timedelta(microseconds=int(microseconds))


def _too_long() -> InvalidDuration:
    return InvalidDuration(
        f"The longest duration is {MAXIMUM_WAIT.days} days, because no execution lives longer."
    )
