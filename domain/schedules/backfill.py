"""Starting afterwards what did not start: which nominal fires of a span of time are still to be started."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from domain.errors import Conflict, Invalid, Problem
from domain.schedules.occurrences import KEPT, LARGEST_BACKFILL, OccurrenceStatus
from domain.schedules.plan import Plan

_INSTANT: Final = timedelta(microseconds=1)
#: What has been started, or will be, is not started a second time.
_SETTLED: Final = frozenset({OccurrenceStatus.RAN, OccurrenceStatus.BACKFILLED, OccurrenceStatus.BUFFERED})


class NoBackfill(Conflict):
    """This schedule has no nominal moments in the past: each depends on when an execution ended."""

    code = "no_backfill"


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """`starts` are nominal moments in their order; `settled` of the span have been started before."""

    starts: tuple[datetime, ...]
    settled: int


def nominal_between(
    plan: Plan, anchor: datetime, first: datetime, last: datetime, now: datetime
) -> list[datetime]:
    """Every nominal moment from `first` to `last`, both included.

    Raises Invalid for a span that is empty, reaches beyond `now` or further back than the ledger, or holds more
    than 1000; NoBackfill for `after`.
    """
    if plan.after is not None:
        raise NoBackfill
    if first > last:
        raise _refused("from", "The span ends before it begins.", "Give `from` the earlier of both moments.")
    if last > now:
        raise _refused(
            "to", "A backfill cannot reach into the future.", "The schedule itself fires from now on."
        )
    if first < now - KEPT:
        message = f"The ledger goes back {KEPT.days} days, and so does a backfill."
        raise _refused("from", message, f"Begin at {(now - KEPT).isoformat(timespec='seconds')} or later.")
    found: list[datetime] = []
    for nominal in plan.upcoming(first - _INSTANT, anchor):
        if nominal > last:
            break
        if len(found) == LARGEST_BACKFILL:
            message = f"There are more than {LARGEST_BACKFILL} fires in this span, up to {nominal.isoformat()} alone."
            raise _refused("to", message, "Backfill a shorter span, one after the other.")
        found.append(nominal)
    return found


def planned(nominal: list[datetime], ledger: Mapping[datetime, str]) -> BackfillPlan:
    """`ledger` holds the status of those that have a line."""
    starts = tuple(each for each in nominal if ledger.get(each) not in _SETTLED)
    return BackfillPlan(starts, len(nominal) - len(starts))


def _refused(where: str, message: str, mend: str) -> Invalid:
    return Invalid(message, problems=[Problem(f"#/{where}", message, mend, "bad_range")])
