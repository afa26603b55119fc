"""When a schedule is due, in words for people: `at 09:00 from Monday to Friday`."""

import calendar
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from domain.definitions import durations
from domain.errors import Invalid
from domain.schedules.cron import MACROS, Cron

_WEEKDAYS: Final = ("Sunday", *calendar.day_name[:-1])
_TIMES: Final = 4


def in_words(configuration: Mapping[str, Any]) -> str:
    """A phrase that follows a subject; a cron expression that no phrase fits is quoted."""
    try:
        if "every" in configuration:
            told = span(durations.parse(configuration["every"]))
            return f"every {told.removeprefix('1 ') if told.count(' ') == 1 else told}"
        if "after" in configuration:
            return f"{span(durations.parse(configuration['after']))} after the execution before has ended"
        return cron_in_words(configuration["cron"])
    except (Invalid, KeyError, TypeError, AttributeError):
        return "never: it cannot be understood"


def span(duration: timedelta) -> str:
    """`1 day 2 hours`."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [
        (days, "day"),
        (hours, "hour"),
        (minutes, "minute"),
        (seconds, "second"),
    ]
    told = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count]
    return " ".join(told) or "0 seconds"


def cron_in_words(text: str) -> str:
    """Raises BadCron."""
    cron = Cron.parse(text)
    expression = text.strip().lower()
    written = MACROS.get(expression, expression).split()
    when = _time(cron, written)
    if when is None or cron.either_day:
        return f"as `{' '.join(written)}` says"
    day = _day(cron, written)
    return " ".join(part for part in (when, day) if part)


def _time(cron: Cron, written: Sequence[str]) -> str | None:
    minute, hour = written[0], written[1]
    if minute == "*" and hour == "*":
        return "every minute"
    if hour == "*" and _is_even(minute, 60):
        return f"every {minute[2:]} minutes"
    if len(cron.minutes) == 1 and (hour == "*" or _is_even(hour, 24)):
        rhythm = "every hour" if hour in ("*", "*/1") else f"every {hour[2:]} hours"
        return rhythm if cron.minutes == (0,) else f"{rhythm} at minute {cron.minutes[0]}"
    times = [f"{hour:02}:{minute:02}" for hour in cron.hours for minute in cron.minutes]
    return f"at {_listed(times)}" if len(times) <= _TIMES else None


def _is_even(field: str, whole: int) -> bool:
    """`*/n` that divides the whole, so the rhythm does not limp."""
    return field.startswith("*/") and field[2:].isdecimal() and whole % int(field[2:]) == 0


def _day(cron: Cron, written: Sequence[str]) -> str:
    day, month, weekday = written[2:]
    told = []
    if weekday != "*":
        told.append(_weekdays(cron))
    if day != "*":
        told.append(f"on day {_listed([str(each) for each in cron.days])} of the month")
    if month != "*":
        told.append(f"in {_listed([calendar.month_name[each] for each in cron.months])}")
    every_day = not told and not (written[0].startswith("*") or written[1].startswith("*"))
    return "every day" if every_day else " ".join(told)


def _weekdays(cron: Cron) -> str:
    # The week as people say it: from Monday.
    days = sorted(cron.weekdays, key=lambda day: (day - 1) % 7)
    first, last = (days[0] - 1) % 7, (days[-1] - 1) % 7
    if len(days) > 2 and last - first == len(days) - 1:
        return f"from {_WEEKDAYS[days[0]]} to {_WEEKDAYS[days[-1]]}"
    return "on " + _listed([_WEEKDAYS[day] for day in days])


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
