"""What an organization keeps no longer than it decided to, and exports that have expired. Runs as app_system.

Executions take their steps, effects, tasks and words to the engine along. One that still has a body in the blob store
waits until that is deleted: nothing else would know of it. Executions that started each other go when all have ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.sweeps import BATCH, StoredBody
from db.tenants import PLATFORM

#: Mails and erasures of the platform: their inputs hold addresses.
PLATFORM_DAYS: Final = 7
#: An export that is being written for longer has lost its execution.
STUCK_HOURS: Final = 48


@dataclass(frozen=True, slots=True)
class ExpiredExport:
    organization_id: UUID
    id: UUID


class Retention:
    """One batch of each kind per call."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def old_executions(self, now: datetime) -> int:
        values = {"now": now, "limit": BATCH, "platform": PLATFORM, "platform_days": PLATFORM_DAYS}
        return int((await self._tx.execute(_OLD_EXECUTIONS, values)).rowcount)

    async def due_bodies(self, now: datetime) -> list[StoredBody]:
        """Bodies in the blob store, of deliveries whose time is up."""
        rows = await self._tx.execute(_DUE_BODIES, {"now": now, "limit": BATCH})
        return [StoredBody(row.id, row.body_key) for row in rows]

    async def old_deliveries(self, now: datetime) -> int:
        """Whole lines, once no body of theirs is stored any more."""
        return int((await self._tx.execute(_OLD_DELIVERIES, {"now": now, "limit": BATCH})).rowcount)

    async def expired_exports(self, now: datetime) -> list[ExpiredExport]:
        """Those whose pieces are to be deleted."""
        rows = await self._tx.execute(_EXPIRED_EXPORTS, {"now": now, "limit": BATCH})
        return [ExpiredExport(row.organization_id, row.id) for row in rows]

    async def exports_deleted(self, ids: Sequence[UUID]) -> None:
        await self._tx.execute(_EXPORTS_DELETED, {"ids": list(ids)})


def _days(name: str) -> str:
    """Settings no release understands (an imported row's) keep everything."""
    at = f"o.settings #> '{{retention,{name}}}'"
    return f"CASE WHEN jsonb_typeof({at}) = 'number' THEN CAST(least(CAST({at} AS numeric), 36500) AS integer) END"


_OLD_EXECUTIONS = text(
    f"""
    DELETE FROM workflow_executions WHERE (organization_id, id) IN (
        SELECT old.organization_id, old.id FROM (
            SELECT o.id, CASE o.id WHEN :platform THEN :platform_days ELSE {_days("executions_days")} END AS days
            FROM organizations AS o) AS kept
        CROSS JOIN LATERAL (
            SELECT e.organization_id, e.id FROM workflow_executions AS e
            WHERE e.organization_id = kept.id AND e.completed_at < CAST(:now AS timestamptz)
                    - make_interval(days => kept.days)
                AND e.created_at < CAST(:now AS timestamptz) - make_interval(days => kept.days)
                AND NOT EXISTS (SELECT FROM workflow_executions AS r
                    WHERE r.organization_id = e.organization_id AND r.completed_at IS NULL
                        AND (r.id = e.root_id OR r.root_id = coalesce(e.root_id, e.id)))
                AND NOT EXISTS (SELECT FROM deliveries AS d
                    WHERE d.organization_id = e.organization_id AND d.execution_id = e.id AND d.body_key IS NOT NULL)
            ORDER BY e.created_at LIMIT :limit) AS old
        WHERE kept.days IS NOT NULL LIMIT :limit)
    AND completed_at IS NOT NULL
    """  # noqa: S608 - constants only, here and below
)
_OLD = f"""
    FROM organizations AS o JOIN deliveries AS d ON d.organization_id = o.id
    WHERE d.received_at < CAST(:now AS timestamptz) - make_interval(days => {_days("deliveries_days")})
"""
_DUE_BODIES = text(f"SELECT d.id, d.body_key {_OLD} AND d.body_key IS NOT NULL LIMIT :limit")
_OLD_DELIVERIES = text(
    f"DELETE FROM deliveries WHERE id IN (SELECT d.id {_OLD} AND d.body_key IS NULL LIMIT :limit)"  # noqa: S608
)
_EXPIRED_EXPORTS = text(
    f"""
    SELECT organization_id, id FROM exports
    WHERE status IN ('ready', 'failed') AND expires_at <= :now
        OR status = 'running' AND created_at < CAST(:now AS timestamptz) - interval '{STUCK_HOURS} hours'
    LIMIT :limit
    """  # noqa: S608
)
_EXPORTS_DELETED = text("UPDATE exports SET status = 'expired' WHERE id IN :ids").bindparams(
    bindparam("ids", expanding=True)
)
