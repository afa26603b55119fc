"""What a schedule's trigger says, read: when it is due, and how it takes lateness and overlap."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.definitions import durations
from domain.errors import Invalid
from domain.schedules.cron import Cron
from domain.schedules.walls import following, zone

WAYS: Final = ("cron", "every", "after")
#: As fine as cron is; nothing starts by itself more often than that.
SHORTEST: Final = timedelta(minutes=1)
LONGEST_CATCH_UP: Final = timedelta(days=30)
LONGEST_JITTER: Final = timedelta(hours=1)
DEFAULT_CATCH_UP: Final = timedelta(hours=1)
#: `start_at` and `end_at` lie between.
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


class Overlap(StrEnum):
    """What happens to a fire whose predecessor still runs."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    ALLOW = "allow"
    CANCEL_OTHER = "cancel_other"


class BadPlan(Invalid):
    """This schedule cannot be understood."""

    code = "bad_schedule"


def moment(value: Any) -> datetime:
    """A point in time with its offset, as RFC 3339 writes it; raises BadPlan."""
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) and len(value) <= 40 else None
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise BadPlan("A point in time has a date, a time and an offset: 2026-11-23T09:00:00+01:00.")
    try:
        read = read.astimezone(UTC)
    except OverflowError:
        read = datetime.min.replace(tzinfo=UTC)
    if not EARLIEST <= read <= LATEST:
        raise BadPlan("A schedule begins and ends between the years 2000 and 2200.")
    return read


@dataclass(frozen=True, slots=True)
class Plan:
    """Exactly one of `cron`, `every` and `after` is set. Moments are in UTC."""

    cron: Cron | None
    every: timedelta | None
    after: timedelta | None
    zone: ZoneInfo
    overlap: Overlap
    catch_up: timedelta
    jitter: timedelta
    start_at: datetime | None
    end_at: datetime | None
    input: Any

    @classmethod
    def parse(cls, configuration: Mapping[str, Any], zone_name: str) -> "Plan":
        """Of a trigger's configuration; `zone_name` counts where it names no zone. Raises Invalid's children."""
        try:
            return cls._read(configuration, zone_name)
        except (TypeError, ValueError, AttributeError) as error:
            if isinstance(error, Invalid):
                raise
            # Validation lets none of these through; a row may come from elsewhere.
            raise BadPlan("This schedule says something that no release understands.") from None

    @classmethod
    def _read(cls, given: Mapping[str, Any], zone_name: str) -> "Plan":
        if sum(way in given for way in WAYS) != 1:
            raise BadPlan("A schedule says one of `cron`, `every` and `after`.")
        return cls(
            cron=Cron.parse(given["cron"]) if "cron" in given else None,
            every=_rhythm(given["every"]) if "every" in given else None,
            after=_rhythm(given["after"]) if "after" in given else None,
            zone=zone(given.get("time_zone", zone_name)),
            overlap=Overlap(given.get("overlap", Overlap.SKIP)),
            catch_up=durations.parse(given["catch_up"]) if "catch_up" in given else DEFAULT_CATCH_UP,
            jitter=durations.parse(given["jitter"]) if "jitter" in given else timedelta(0),
            start_at=moment(given["start_at"]) if "start_at" in given else None,
            end_at=moment(given["end_at"]) if "end_at" in given else None,
            input=given.get("input", {}),
        )

    def next(self, after: datetime, anchor: datetime) -> datetime | None:
        """The first nominal moment after `after`; None when there is none any more.

        `anchor` is when the schedule began to count: `every` counts from `start_at`, or else from there. For `after`
        it is when the execution before ended, or, before the first one, the same; it is due once.
        """
        begins = self.start_at
        since = after if begins is None else max(after, begins - _INSTANT)
        if self.cron is not None:
            found = following(self.cron, self.zone, since)
        elif self.every is not None:
            found = _next_beat(self.every, anchor if begins is None else begins, since)
        else:
            assert self.after is not None
            due = anchor + self.after
            found = max(due, begins or due)
            found = found if found > after else None
        return None if found is None or (self.end_at is not None and found > self.end_at) else found

    def upcoming(self, after: datetime, anchor: datetime) -> Iterator[datetime]:
        """Every nominal moment after `after`, one by one; of `after` only the next is known."""
        at = self.next(after, anchor)
        while at is not None:
            yield at
            at = None if self.after is not None else self.next(at, anchor)

    def delay(self, schedule_id: UUID, nominal: datetime, anchor: datetime) -> timedelta:
        """How much later than its nominal moment it fires: always the same for the same fire, never past the next."""
        if not self.jitter:
            return timedelta(0)
        following = None if self.after is not None else self.next(nominal, anchor)
        room = self.jitter if following is None else min(self.jitter, following - nominal - _SECOND)
        drawn = hashlib.sha256(f"{schedule_id}/{nominal.timestamp()}".encode()).digest()[:4]
        return room * (int.from_bytes(drawn, "big") / 2**32)


_INSTANT: Final = timedelta(microseconds=1)
_SECOND: Final = timedelta(seconds=1)


def _rhythm(written: Any) -> timedelta:
    span = durations.parse(written)
    if span < SHORTEST:
        raise BadPlan("Nothing starts by itself more often than once a minute.")
    return span


def _next_beat(every: timedelta, anchor: datetime, after: datetime) -> datetime:
    """The first `anchor + n * every` after `after`, for any whole n: a backfill may reach back before the anchor."""
    return anchor + ((after - anchor) // every + 1) * every
