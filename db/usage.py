"""What organizations use, counted by the hour and never in the path of a request.

Executions and steps are counted from their own rows, again and again for the last hours, so that a count that was
interrupted or came too early mends itself; API calls are added up in each process and written every few seconds;
members and storage are the highest that the statistics of a day saw. Once rows are forgotten their counts stay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, bindparam, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Tenant, one_of
from domain.usage import HEIGHTS, Metric, combined, month_after, month_of

#: Hours are kept this long; then their days are enough.
DAYS_OF_HOURS = 35


class UsageCounter(Tenant, Base):
    """How much of a metric fell into the hour that begins at `since`; into the day, once that is long ago."""

    __tablename__ = "usage_counters"
    __table_args__ = (one_of("metric", Metric), CheckConstraint("amount >= 0", name="amount"))

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True, sort_order=-3
    )
    since: Mapped[datetime] = mapped_column(primary_key=True, sort_order=-2)
    metric: Mapped[str] = mapped_column(primary_key=True, sort_order=-1)
    amount: Mapped[int] = mapped_column(BigInteger())


@dataclass(frozen=True, slots=True)
class MonthOfUse:
    """`amounts` has every metric."""

    month: datetime
    amounts: Mapping[Metric, int]


@dataclass(frozen=True, slots=True)
class Calls:
    """API calls of one organization in the hour that begins at `since`."""

    organization_id: UUID
    since: datetime
    amount: int


class Usage:
    """The entered organization's."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def months(self, first: datetime, last: datetime) -> list[MonthOfUse]:
        """Every month from that of `first` to that of `last`, oldest first, also those without any use."""
        statement = select(UsageCounter.since, UsageCounter.metric, UsageCounter.amount).where(
            UsageCounter.since >= month_of(first), UsageCounter.since < month_after(month_of(last))
        )
        found: dict[tuple[datetime, str], list[int]] = {}
        for since, metric, amount in await self._tx.execute(statement):
            found.setdefault((month_of(since), metric), []).append(amount)
        months = []
        month = month_of(first)
        while month <= last:
            amounts = {metric: combined(metric, found.get((month, metric), ())) for metric in Metric}
            months.append(MonthOfUse(month, amounts))
            month = month_after(month)
        return months

    async def counted_at(self) -> datetime | None:
        """When executions and steps were counted last."""
        moment: datetime | None = await self._tx.scalar(text("SELECT app.counted_at('usage')"))
        return moment


async def add_calls(tx: AsyncConnection, calls: Sequence[Calls]) -> None:
    """For whoever serves the API, before any organization is entered."""
    values: list[dict[str, Any]] = [
        {"organization_id": str(each.organization_id), "since": each.since.isoformat(), "amount": each.amount}
        for each in calls
    ]
    await tx.execute(_ADD_CALLS, {"calls": values})


class Counting:
    """Counts for all organizations, as app_system."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def count(self, now: datetime) -> int:
        """Executions and steps since an hour before the last time; how many counters were written.

        0 while another process counts.
        """
        if not await self._tx.scalar(text("SELECT pg_try_advisory_xact_lock(hashtext('perdure usage'))")):
            return 0
        written = 0
        for statement in (_EXECUTIONS, _STEPS):
            written += (await self._tx.execute(statement)).rowcount
        await self._tx.execute(_MARK, {"name": "usage", "now": now})
        return written

    async def fold(self, now: datetime, limit: int) -> int:
        """Hours of long ago become days; how many rows went."""
        return int(await self._tx.scalar(_FOLD, {"now": now, "limit": limit}) or 0)


_MARK = text(
    "INSERT INTO stats.marks VALUES (:name, :now) ON CONFLICT (name) DO UPDATE SET marked_at = EXCLUDED.marked_at"
)
_ADD_CALLS = text("SELECT app.add_api_calls(:calls)").bindparams(bindparam("calls", type_=JSONB))
#: The whole hours that began since then; for a first count, all there is.
_SINCE = (
    "coalesce((SELECT date_trunc('hour', marked_at - interval '1 hour', 'UTC') "
    "FROM stats.marks WHERE name = 'usage'), '-infinity')"
)
#: A hour's count only grows, until its rows begin to be forgotten: the highest count is the right one.
_WRITE = """
    INSERT INTO usage_counters (organization_id, since, metric, amount)
    SELECT * FROM counted
    ON CONFLICT (organization_id, since, metric) DO UPDATE SET amount = EXCLUDED.amount
    WHERE EXCLUDED.amount > usage_counters.amount
"""
# The product's own processes are nobody's use.
_EXECUTIONS = text(
    f"""
    WITH counted AS (
      SELECT organization_id, date_trunc('hour', created_at, 'UTC'), '{Metric.EXECUTIONS_STARTED}', count(*)
      FROM workflow_executions WHERE created_at >= {_SINCE} AND kind = 'workflow' GROUP BY 1, 2)
    {_WRITE}
    """  # noqa: S608 - constants only, here and below
)
_STEPS = text(
    f"""
    WITH counted AS (
      SELECT s.organization_id, date_trunc('hour', s.started_at, 'UTC'), '{Metric.STEPS_RUN}', count(*)
      FROM execution_steps AS s
      JOIN workflow_executions AS e ON e.organization_id = s.organization_id AND e.id = s.execution_id
      WHERE s.started_at >= {_SINCE} AND e.kind = 'workflow' AND NOT s.is_taken_over GROUP BY 1, 2)
    {_WRITE}
    """  # noqa: S608
)
_FOLD = text(
    f"""
    WITH gone AS (
      DELETE FROM usage_counters WHERE (organization_id, since, metric) IN (
        SELECT organization_id, since, metric FROM usage_counters
        WHERE since < date_trunc('day', CAST(:now AS timestamptz), 'UTC') - interval '{DAYS_OF_HOURS} days'
          AND since <> date_trunc('day', since, 'UTC')
        LIMIT :limit FOR UPDATE SKIP LOCKED)
      RETURNING *),
    days AS (
      INSERT INTO usage_counters (organization_id, since, metric, amount)
      SELECT organization_id, date_trunc('day', since, 'UTC'), metric,
        CASE WHEN metric IN ({", ".join(f"'{metric}'" for metric in sorted(HEIGHTS))})
          THEN max(amount) ELSE sum(amount) END
      FROM gone GROUP BY 1, 2, 3
      ON CONFLICT (organization_id, since, metric) DO UPDATE SET amount = CASE
        WHEN usage_counters.metric IN ({", ".join(f"'{metric}'" for metric in sorted(HEIGHTS))})
          THEN greatest(usage_counters.amount, EXCLUDED.amount)
        ELSE usage_counters.amount + EXCLUDED.amount END)
    SELECT count(*) FROM gone
    """  # noqa: S608
)
