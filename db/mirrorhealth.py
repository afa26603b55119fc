"""How well the mirror of one organization is: what is open, what is late, what supervision found."""

from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

#: Reports this recent say something about the lag of now.
RECENT = timedelta(minutes=15)
DAY = timedelta(days=1)


class MirrorHealth:
    """Of the transaction's organization."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def open(self) -> dict[str, int]:
        """Open executions by status."""
        return {row.status: row.number for row in await self._connection.execute(_OPEN)}

    async def numbers(self) -> RowMapping:
        """`stalled`, `undelivered` and `undelivered_since`, `lag_p50`, `lag_p99` and `reports` of recent ones."""
        return (await self._connection.execute(_NUMBERS, {"recent": RECENT})).mappings().one()

    async def oldest_unreported(self) -> RowMapping | None:
        """The open execution that should be doing something, and has told nothing for longest."""
        return (await self._connection.execute(_OLDEST)).mappings().one_or_none()

    async def findings(self) -> list[dict[str, Any]]:
        """What supervision found within a day, by kind: how much of it, and how much was mended."""
        rows = await self._connection.execute(_FINDINGS, {"day": DAY})
        return [dict(row) for row in rows.mappings()]


_IS_OPEN = "status IN ('queued', 'running', 'waiting', 'paused')"

_OPEN = text(f"SELECT status, count(*) AS number FROM workflow_executions WHERE {_IS_OPEN} GROUP BY status")  # noqa: S608

_NUMBERS = text(
    f"""
    SELECT
        (SELECT count(*) FROM workflow_executions WHERE stalled_since IS NOT NULL AND {_IS_OPEN}) AS stalled,
        o.undelivered, o.undelivered_since, l.reports, l.lag_p50, l.lag_p99
    FROM (SELECT count(*) AS undelivered, min(created_at) AS undelivered_since
          FROM outbox WHERE dispatched_at IS NULL) AS o,
         (SELECT count(lag_ms) AS reports,
                 percentile_cont(0.5) WITHIN GROUP (ORDER BY lag_ms) AS lag_p50,
                 percentile_cont(0.99) WITHIN GROUP (ORDER BY lag_ms) AS lag_p99
          FROM (SELECT lag_ms FROM workflow_executions
                WHERE created_at > now() - CAST(:recent AS interval) AND lag_ms IS NOT NULL
                ORDER BY created_at DESC LIMIT 10000) AS recent) AS l
    """  # noqa: S608 - assembled from constants only
)

#: Whoever waits or is paused is rightly quiet.
_OLDEST = text(
    """
    SELECT id, status, updated_at FROM workflow_executions
    WHERE status IN ('queued', 'running')
    ORDER BY updated_at
    LIMIT 1
    """
)

_FINDINGS = text(
    """
    SELECT found, count(*) AS number, count(mended_at) AS mended FROM reconciliations
    WHERE found_at > now() - CAST(:day AS interval)
    GROUP BY found ORDER BY found
    """
)
