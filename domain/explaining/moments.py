"""Moments and spans as people say them, in the time zone of their organization."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from domain.definitions.phrases import counted

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_WEEK: Final = 7


def when(moment: datetime, now: datetime, zone: ZoneInfo) -> str:
    """`today at 17:00`, `Friday at 17:00` within a week ahead, else with the date, and the year if it is another."""
    there, here = moment.astimezone(zone), now.astimezone(zone)
    clock = f"{there.hour:02}:{there.minute:02}"
    days = (there.date() - here.date()).days
    match days:
        case 0:
            return f"today at {clock}"
        case 1:
            return f"tomorrow at {clock}"
        case -1:
            return f"yesterday at {clock}"
    day = _DAYS[there.weekday()]
    if 0 < days < _WEEK:
        return f"{day} at {clock}"
    year = "" if there.year == here.year else f" {there.year}"
    return f"{day} {there.day} {_MONTHS[there.month - 1]}{year} at {clock}"


def span(length: timedelta) -> str:
    """The largest unit that fits, and the next one where it says something: `2 days and 3 hours`."""
    seconds = max(0, int(length.total_seconds()))
    units = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
    for place, (name, size) in enumerate(units):
        number, rest = divmod(seconds, size)
        if not number:
            continue
        told = counted(number, name)
        if place + 1 < len(units) and number < 10:
            smaller, unit = units[place + 1]
            more = rest // unit
            if more:
                told += f" and {counted(more, smaller)}"
        return told
    return "less than a second"
