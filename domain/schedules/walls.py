"""Where wall clocks show the times a cron expression names: the one place that knows about summer time.

Twice a year a clock jumps. An expression that names times of day fires at the first moment at which the clock shows
that time or a later one: what lies in a gap fires right after it, what is shown twice fires the first time. One that
names a rhythm (`*` in front of minute or hour) fires whenever the clock shows it, so time goes on evenly.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.errors import Invalid
from domain.schedules.cron import Cron

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_INSTANT: Final = timedelta(microseconds=1)
#: Files beside the zones that mean another clock on every machine, or count leap seconds.
_MACHINES: Final = re.compile(r"localtime|posixrules|(posix|right)/.*", re.ASCII | re.DOTALL)
#: Beyond it nothing is looked for: computing with time zones ends with the year 9999.
_LAST: Final = datetime(9990, 1, 1, tzinfo=UTC)


class UnknownZone(Invalid):
    """There is no such time zone; use a name such as Europe/London."""

    code = "unknown_time_zone"


def zone(name: str) -> ZoneInfo:
    """The time zone of this name in the IANA database; raises UnknownZone."""
    try:
        if _MACHINES.fullmatch(name):
            raise ZoneInfoNotFoundError
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:60])
        raise UnknownZone(
            f"There is no time zone `{shown}`; use a name such as Europe/London or UTC."
        ) from None


def following(cron: Cron, where: tzinfo, after: datetime) -> datetime | None:
    """The first moment after `after`, in UTC, at which the expression fires; None when there is none."""
    after = after.astimezone(UTC)
    # A clock that jumped back yesterday may show today's times again.
    at = after.replace(microsecond=0) - 2 * _DAY
    shown = _wall(at, where)
    while at < _LAST:
        end, jump = _piece(at, where)
        begins, ends = (
            _wall(at, where),
            end.replace(tzinfo=None) + (_wall(at, where) - at.replace(tzinfo=None)),
        )
        found = _within(cron, at, begins, ends, shown, after)
        if found is not None:
            return found
        shown = max(shown, ends)
        if not jump:
            # Nothing fires for days: go to where something might, but not past a jump that shows it again.
            next_wall = cron.first(ends - _DAY)
            if next_wall is None:
                return None
            end = max(end, (next_wall - 3 * _DAY).replace(tzinfo=UTC))
            shown = max(shown, _wall(end, where))
        at = end
    return None


def _within(
    cron: Cron, at: datetime, begins: datetime, ends: datetime, shown: datetime, after: datetime
) -> datetime | None:
    """The first moment in a piece of time with one offset; the clock shows `begins` up to `ends`."""
    offset = begins - at.replace(tzinfo=None)
    least = after.replace(tzinfo=None) + offset + _INSTANT
    if cron.is_elapsing:
        wall = cron.first(max(begins, least))
    else:
        wall = cron.first(min(shown, ends))  # from where clocks had not been yet
        if wall is not None and wall < begins and at > after:
            return at  # named a time that was jumped over
        wall = cron.first(max(begins, shown, least))
    return None if wall is None or wall >= ends else (wall - offset).replace(tzinfo=UTC)


def _piece(at: datetime, where: tzinfo) -> tuple[datetime, bool]:
    """Until when, a day at most, the clock goes on evenly from `at`; whether it jumps then."""
    end = at + _DAY
    offset = _offset(at, where)
    if _offset(end, where) == offset:
        return end, False
    low, high = at, end
    while high - low > _SECOND:
        middle = low + (high - low) // (2 * _SECOND) * _SECOND
        low, high = (middle, high) if _offset(middle, where) == offset else (low, middle)
    return high, True


def _wall(moment: datetime, where: tzinfo) -> datetime:
    return moment.astimezone(where).replace(tzinfo=None)


def _offset(moment: datetime, where: tzinfo) -> timedelta:
    return moment.astimezone(where).utcoffset() or timedelta(0)
