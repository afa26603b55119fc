"""Library: dates in UTC, computed here so that neither the locale nor the C library has a say."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from .arithmetic import is_number
from .errors import Fault
from .library import value
from .meter import Run
from .text import describe

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


@value("gmtime")
def gmtime(run: Run, given: Any) -> list[Any]:
    """Return seconds since 1970 as year, month from 0, day, hour, minute, second, weekday and day of year."""
    run.spend(8)
    if not is_number(given):
        raise Fault("gmtime() requires a number")
    moment = _moment(given)
    second: int | float = moment.second
    if isinstance(given, float) and not given.is_integer():
        second += given - int(given // 1)
    return _broken(moment, second)


def _moment(seconds: int | float) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=int(seconds // 1))
    except (OverflowError, ValueError):
        raise Fault(f"{describe(seconds)} is not a moment between the years 1 and 9999") from None


def _broken(moment: datetime, second: int | float) -> list[Any]:
    day_of_year = moment.timetuple().tm_yday - 1
    return [
        *(moment.year, moment.month - 1, moment.day, moment.hour, moment.minute, second),
        *(moment.isoweekday() % 7, day_of_year),
    ]


def _joined(given: Any, name: str) -> datetime:
    if is_number(given):
        return _moment(given)
    if not isinstance(given, list) or len(given) < 6:
        raise Fault(f"{name} requires array of 6 numbers")
    if not all(is_number(part) and -1e12 < part < 1e12 for part in given[:6]):
        raise Fault(f"{name} requires parsed datetime inputs")
    year, month, day, hour, minute, second = (int(part // 1) for part in given[:6])
    try:
        first = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        return first + timedelta(days=day - 1, hours=hour, minutes=minute, seconds=second)
    except (OverflowError, ValueError):
        raise Fault(f"{describe(given)} is not a moment between the years 1 and 9999") from None


@value("mktime")
def mktime(run: Run, given: Any) -> int:
    """Return a broken-down time as seconds since 1970."""
    run.spend(8)
    if is_number(given):
        raise Fault("mktime requires array of 6 numbers")
    return (_joined(given, "mktime") - _EPOCH) // timedelta(seconds=1)


_WRITE: dict[str, Callable[[datetime], str]] = {
    "Y": lambda moment: str(moment.year),
    "C": lambda moment: f"{moment.year // 100:02}",
    "y": lambda moment: f"{moment.year % 100:02}",
    "m": lambda moment: f"{moment.month:02}",
    "d": lambda moment: f"{moment.day:02}",
    "e": lambda moment: f"{moment.day:2}",
    "H": lambda moment: f"{moment.hour:02}",
    "k": lambda moment: f"{moment.hour:2}",
    "I": lambda moment: f"{(moment.hour + 11) % 12 + 1:02}",
    "l": lambda moment: f"{(moment.hour + 11) % 12 + 1:2}",
    "M": lambda moment: f"{moment.minute:02}",
    "S": lambda moment: f"{moment.second:02}",
    "j": lambda moment: f"{moment.timetuple().tm_yday:03}",
    "A": lambda moment: _DAYS[moment.weekday()],
    "a": lambda moment: _DAYS[moment.weekday()][:3],
    "B": lambda moment: _MONTHS[moment.month - 1],
    "b": lambda moment: _MONTHS[moment.month - 1][:3],
    "h": lambda moment: _MONTHS[moment.month - 1][:3],
    "p": lambda moment: "AM" if moment.hour < 12 else "PM",
    "u": lambda moment: str(moment.isoweekday()),
    "w": lambda moment: str(moment.isoweekday() % 7),
    "G": lambda moment: str(moment.isocalendar().year),
    "g": lambda moment: f"{moment.isocalendar().year % 100:02}",
    "V": lambda moment: f"{moment.isocalendar().week:02}",
    "U": lambda moment: f"{(moment.timetuple().tm_yday + 6 - moment.isoweekday() % 7) // 7:02}",
    "W": lambda moment: f"{(moment.timetuple().tm_yday + 6 - moment.weekday()) // 7:02}",
    "s": lambda moment: str((moment - _EPOCH) // timedelta(seconds=1)),
    "Z": lambda moment: "UTC",
    "z": lambda moment: "+0000",
    "n": lambda moment: "\n",
    "t": lambda moment: "\t",
    "%": lambda moment: "%",
}
_SHORT = {
    "T": "%H:%M:%S",
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "c": "%a %b %e %H:%M:%S %Y",
    "x": "%m/%d/%y",
    "X": "%H:%M:%S",
}
_DIRECTIVE = re.compile("%(.)", re.DOTALL)


def _format(run: Run, layout: Any, name: str) -> str:
    if not isinstance(layout, str):
        raise Fault(f"{name} requires a string format")
    if len(layout) > 1000:
        raise Fault(f"{name} format is longer than 1000 characters")
    run.spend(10 + 2 * len(layout))
    return _DIRECTIVE.sub(lambda found: _SHORT.get(found[1], found[0]), layout)


@value("strftime", 1)
def strftime(run: Run, given: Any, layout: Any) -> str:
    """Write a time in a format."""
    if not is_number(given) and not isinstance(given, list):
        raise Fault("strftime/1 requires parsed datetime inputs")
    pattern = _format(run, layout, "strftime/1")
    moment = _joined(given, "strftime/1")

    def write(found: re.Match[str]) -> str:
        if found[1] not in _WRITE:
            raise Fault(f"%{found[1]} is not a date directive of strftime")
        return _WRITE[found[1]](moment)

    return _DIRECTIVE.sub(write, pattern)


_NUMBERS = {
    "Y": ("year", 4),
    "y": ("short", 2),
    "m": ("month", 2),
    "d": ("day", 2),
    "e": ("day", 2),
    "H": ("hour", 2),
    "k": ("hour", 2),
    "I": ("hour", 2),
    "l": ("hour", 2),
    "M": ("minute", 2),
    "S": ("second", 2),
    "j": ("yearday", 3),
    "s": ("stamp", 12),
    "u": ("ignored", 1),
    "w": ("ignored", 1),
}
_ZONE = re.compile(r"Z|[+-][0-9]{2}:?[0-9]{2}")
_ZONE_NAME = re.compile(r"[A-Za-z]{1,6}")
_SPACE = re.compile(r"\s*")


@value("strptime", 1)
def strptime(run: Run, given: Any, layout: Any) -> list[Any]:
    """Read a time written in a format."""
    if not isinstance(given, str):
        raise Fault(f"strptime/1 requires string inputs and arguments, not {describe(given)}")
    pattern = _format(run, layout, "strptime/1")
    run.spend(len(given) >> 4)
    read: dict[str, int] = {}
    place = at = 0
    while at < len(pattern) and place >= 0:
        if pattern[at] == "%" and at + 1 < len(pattern):
            place = _read(pattern[at + 1], given, place, read)
            at += 2
            continue
        if pattern[at].isspace():
            place = _after(_SPACE, given, place)
        else:
            place = place + 1 if given[place : place + 1] == pattern[at] else -1
        at += 1
    if place != len(given):
        raise Fault(f"date {describe(given)} does not match format {describe(layout)}")
    moment = _read_moment(read, given)
    return _broken(moment, moment.second)


def _after(expected: re.Pattern[str], given: str, place: int) -> int:
    found = expected.match(given, place)
    return found.end() if found else -1


def _read(directive: str, given: str, place: int, read: dict[str, int]) -> int:
    """Read one directive; return the place after it, or -1."""
    if directive in _NUMBERS:
        name, width = _NUMBERS[directive]
        start = place = _after(_SPACE, given, place) if directive in "ekl" else place
        while place < len(given) and place < start + width and given[place] in "0123456789":
            place += 1
        if place == start:
            return -1
        read[name] = int(given[start:place])
        return place
    if directive in "AaBbh":
        names = _DAYS if directive in "Aa" else _MONTHS
        for number, name in enumerate(names):
            for spelling in (name, name[:3]):
                if given[place : place + len(spelling)].lower() == spelling.lower():
                    read["ignored" if names is _DAYS else "month"] = number + 1
                    return place + len(spelling)
        return -1
    if directive == "p" and given[place : place + 2].upper() in ("AM", "PM"):
        read["afternoon"] = int(given[place : place + 2].upper() == "PM")
        return place + 2
    if directive in "zZ":
        return _after(_ZONE if directive == "z" else _ZONE_NAME, given, place)
    if directive in "nt":
        return _after(_SPACE, given, place)
    if directive == "%" and given[place : place + 1] == "%":
        return place + 1
    if directive not in "p%":
        raise Fault(f"%{directive} is not a date directive of strptime")
    return -1


def _read_moment(read: dict[str, int], given: str) -> datetime:
    if "stamp" in read:
        return _moment(read["stamp"])
    short = read.get("short", 70)
    year = read.get("year", short + (1900 if short >= 69 else 2000))
    hour = read.get("hour", 0)
    if "afternoon" in read:
        hour = hour % 12 + 12 * read["afternoon"]
    try:
        if "yearday" in read:
            day = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=read["yearday"] - 1)
        else:
            day = datetime(year, read.get("month", 1), read.get("day", 1), tzinfo=UTC)
        moment = day.replace(hour=hour, minute=read.get("minute", 0))
        if read.get("second", 0) > 60:
            raise ValueError
        return moment + timedelta(seconds=read.get("second", 0))
    except (OverflowError, ValueError):
        raise Fault(f"date {describe(given)} is not a real date and time") from None
