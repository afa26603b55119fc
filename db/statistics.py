"""`organization_stats`: members, clients, documents and stored bytes of every organization, counted ahead.

A materialized view knows no row security. So it lies in a schema that only app_system may look into, which owns it;
everybody else asks `app.organization_stats()`, which answers for the entered organization alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.usage import Metric

#: How old the numbers may become.
REFRESH_EVERY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class OrganizationStats:
    """Active members, all clients, current versions of documents and their bytes, as of `refreshed_at`."""

    user_count: int
    client_count: int
    document_count: int
    total_storage_bytes: int
    refreshed_at: datetime


class Statistics:
    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def of_organization(self) -> OrganizationStats | None:
        """The entered organization's; None when it was founded after the last count."""
        row = (
            (await self._tx.execute(text("SELECT * FROM app.organization_stats()"))).mappings().one_or_none()
        )
        return None if row is None else OrganizationStats(**row)

    async def refresh(self, now: datetime) -> int:
        """Count anew when the numbers are old; for app_system. 1 when it was done, 0 when there was no need.

        Readers go on reading meanwhile, and two processes never count at once.
        """
        if not await self._tx.scalar(
            text("SELECT pg_try_advisory_xact_lock(hashtext('perdure statistics'))")
        ):
            return 0
        if await self._tx.scalar(_IS_FRESH, {"since": now - REFRESH_EVERY}):
            return 0
        # A database restored from a dump may have lost the right to temporary tables; then readers wait a moment.
        way = "CONCURRENTLY" if await self._tx.scalar(_MAY_COMPARE) else ""
        await self._tx.execute(text(f"REFRESH MATERIALIZED VIEW {way} stats.organization_stats"))
        await self._tx.execute(_MARK, {"now": now})
        await self._tx.execute(_HEIGHTS, {"now": now})
        return 1


_MAY_COMPARE = text("SELECT has_database_privilege(current_database(), 'TEMPORARY')")
_IS_FRESH = text(
    "SELECT EXISTS (SELECT FROM stats.marks WHERE name = 'organization_stats' AND marked_at > :since)"
)
_MARK = text(
    "INSERT INTO stats.marks VALUES ('organization_stats', :now) "
    "ON CONFLICT (name) DO UPDATE SET marked_at = EXCLUDED.marked_at"
)
#: The highest of a day is what counts as used.
_HEIGHTS = text(
    f"""
    INSERT INTO usage_counters (organization_id, since, metric, amount)
    SELECT s.organization_id, date_trunc('day', CAST(:now AS timestamptz), 'UTC'), height.metric, height.amount
    FROM stats.organization_stats AS s
    JOIN organizations AS o ON o.id = s.organization_id
    CROSS JOIN LATERAL (VALUES ('{Metric.MEMBERS}', s.user_count), ('{Metric.STORAGE_BYTES}', s.total_storage_bytes))
      AS height (metric, amount)
    ON CONFLICT (organization_id, since, metric) DO UPDATE SET amount = EXCLUDED.amount
    WHERE EXCLUDED.amount > usage_counters.amount
    """  # noqa: S608 - constants only
)
