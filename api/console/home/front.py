"""What the home page shows: what waits for its reader, how executions stand, and what comes next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import RowMapping

from api.console.executions.rows import row_of
from api.console.frame.shell import Visit
from db.inbox import Inbox
from db.overview import FAILED, Counts, counts, upcoming
from db.runs import RunFilters, Runs
from domain.permissions import Permission

NEWEST: Final = 8
MOST_TASKS: Final = 6
MOST_FAILURES: Final = 5
MOST_SCHEDULES: Final = 6
LATELY: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Front:
    """None stands for what the visitor may not see."""

    tasks: Sequence[RowMapping] | None = None
    counts: Counts | None = None
    executions: Sequence[Mapping[str, Any]] | None = None
    failures: Sequence[RowMapping] = ()
    schedules: Sequence[RowMapping] | None = None


async def front_of(visitor: Visit, now: datetime) -> Front:
    """Everything is asked of the organization the visitor acts in; without one there is nothing to show."""
    if visitor.organization is None:
        return Front()
    found: dict[str, Any] = {}
    async with visitor.transaction() as tx:
        if visitor.may(Permission.TASKS_READ):
            found["tasks"] = await Inbox(tx).waiting_for(visitor.decider, MOST_TASKS + 1)
        if visitor.may(Permission.EXECUTIONS_READ):
            runs, since = Runs(tx), now - LATELY
            newest = await runs.page(RunFilters(), limit=NEWEST)
            found["executions"] = [row_of(each, visitor, now) for each in newest]
            found["counts"] = await counts(tx, since)
            failed = RunFilters(statuses=FAILED, created_from=since)
            found["failures"] = await runs.page(failed, limit=MOST_FAILURES)
        if visitor.may(Permission.TRIGGERS_READ):
            found["schedules"] = await upcoming(tx, MOST_SCHEDULES)
    return Front(**found)
