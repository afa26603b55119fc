"""Cron expressions: five fields, names, ranges, steps, words such as `@daily`; wall clocks know no zone here."""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime, time, timedelta
from typing import Final

from domain.errors import Invalid

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
MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_PART: Final = re.compile(r"(\*|\w{1,3})(?:-(\w{1,3}))?(?:/(\d{1,3}))?", re.ASCII)
_LONGEST: Final = 200
#: No year with a 29 February on a given weekday is further away than this, the turn of a century included.
_YEARS: Final = 41
_MINUTE: Final = timedelta(minutes=1)


class BadCron(Invalid):
    """This is no cron expression."""

    code = "bad_cron"


@dataclass(frozen=True, slots=True)
class Cron:
    """The moments of wall clocks that an expression names, to the minute.

    `either_day`: both day fields are restricted, so a day counts when one of them names it. `is_elapsing`: the
    minute or the hour begins with `*`, which means a rhythm rather than a time of day.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: frozenset[int]
    either_day: bool
    is_elapsing: bool

    @classmethod
    def parse(cls, text: str) -> "Cron":
        """Raises BadCron with a sentence about the first field that is wrong, or when no day is ever named."""
        fields = _fields(text)
        minutes, hours, days, months, weekdays = (
            _numbers(written, *field) for written, field in zip(fields, _FIELDS, strict=True)
        )
        cron = cls(
            minutes=minutes,
            hours=hours,
            days=days,
            months=months,
            weekdays=frozenset(day % 7 for day in weekdays),
            either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
            is_elapsing=fields[0].startswith("*") or fields[1].startswith("*"),
        )
        if not cron.either_day and not any(
            day <= calendar.monthrange(2024, month)[1] for day in cron.days for month in cron.months
        ):
            raise BadCron(f"This never comes true: {_impossible(cron)}.")
        return cron

    def first(self, since: datetime) -> datetime | None:
        """The first moment not before `since`, both as a wall clock shows them; None after the year 9999."""
        if since.second or since.microsecond:
            since = since.replace(second=0, microsecond=0) + _MINUTE
        for day in self._dates(since.date()):
            at = self._time(since.time() if day == since.date() else time.min)
            if at is not None:
                return datetime.combine(day, at)
        return None

    def _time(self, since: time) -> time | None:
        for hour in self.hours:
            if hour < since.hour:
                continue
            for minute in self.minutes:
                if hour > since.hour or minute >= since.minute:
                    return time(hour, minute)
        return None

    def _dates(self, since: date) -> Iterator[date]:
        for year in range(since.year, min(since.year + _YEARS, MAXYEAR + 1)):
            for month in self.months:
                if (year, month) < (since.year, since.month):
                    continue
                first_weekday, length = calendar.monthrange(year, month)
                for day in range(1, length + 1):
                    if (year, month, day) < (since.year, since.month, since.day):
                        continue
                    # calendar counts from Monday, cron from Sunday
                    if self._names(day, (first_weekday + day) % 7):
                        yield date(year, month, day)

    def _names(self, day: int, weekday: int) -> bool:
        if self.either_day:
            return day in self.days or weekday in self.weekdays
        return day in self.days and weekday in self.weekdays


def _fields(text: str) -> list[str]:
    if len(text) > _LONGEST:
        raise BadCron(f"A cron expression has at most {_LONGEST} characters.")
    fields = text.split()
    if len(fields) == 1 and fields[0].startswith("@"):
        word = fields[0].lower()
        if word not in MACROS:
            raise BadCron(f"`{word[:20]}` is none of {', '.join(MACROS)}.")
        return MACROS[word].split()
    if len(fields) != len(_FIELDS):
        raise BadCron(f"A cron expression has {len(_FIELDS)} fields, not {len(fields)}.")
    return fields


def _numbers(written: str, name: str, least: int, most: int, words: tuple[str, ...]) -> tuple[int, ...]:
    found: set[int] = set()
    for part in written.split(","):
        numbers = _part(part, least, most, words)
        if numbers is None:
            raise BadCron(f"`{part[:40]}` is no {name}: those are {least} to {most}.")
        found.update(numbers)
    return tuple(sorted(found))


def _part(part: str, least: int, most: int, words: tuple[str, ...]) -> range | None:
    match = _PART.fullmatch(part)
    if match is None:
        return None
    start, end, every = match.groups()
    step = 1 if every is None else int(every)
    if not 1 <= step <= most:
        return None
    if start == "*":
        # `*` among weekdays is seven days, not eight: 7 is Sunday again.
        return None if end is not None else range(least, (6 if words is _DAYS else most) + 1, step)
    low = _number(start, least, words)
    # `5/15` goes on to the end, `5` does not.
    high = low if every is None else (6 if words is _DAYS else most)
    if end is not None:
        high = _number(end, least, words)
        if words is _DAYS and end.lower() == "sun":
            high = 7
    if low is None or high is None or not least <= low <= high <= most:
        return None
    return range(low, high + 1, step)


def _number(word: str, least: int, words: tuple[str, ...]) -> int | None:
    if word.lower() in words:
        return least + words.index(word.lower())
    return int(word) if word.isdecimal() else None


def _impossible(cron: Cron) -> str:
    shown = ", ".join(str(day) for day in cron.days)
    months = ", ".join(calendar.month_name[month] for month in cron.months)
    return f"there is no {shown} {months}"
