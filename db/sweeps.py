"""What time takes away: bodies of deliveries after a month, and rows that guard nothing any more.

All run as app_system, in batches that other processes may work on at the same time.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.auditexports import OLD_EXPORTS
from db.bulk import OLD_OPERATIONS
from db.transfers import OLD_PARTS
from domain.schedules.occurrences import KEPT

BATCH = 500
BATCH_OF_ACTIVITIES = 5_000
#: Of what was refused at one trigger, this much is kept; the rest of a flood is only worth counting.
REFUSED_PER_TRIGGER = 1_000
_DAYS_OF_BODIES = 30
_DAYS_OF_EVENTS = 30
#: Longer than any provider repeats an event by itself.
_DAYS_OF_INBOX = 90


@dataclass(frozen=True, slots=True)
class StoredBody:
    delivery_id: UUID
    key: str


class Sweeps:
    """One batch of each kind per call; each answers how many rows went, or which blobs must go first."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def forget(self, kind: str, now: datetime) -> int:
        """A batch of one of KINDS."""
        return int((await self._tx.execute(KINDS[kind], {"now": now, "limit": BATCH})).rowcount)

    async def old_blobs(self, now: datetime) -> list[StoredBody]:
        """Bodies in the blob store that are due: too old, or left behind by a process that died while receiving."""
        rows = await self._tx.execute(_OLD_BLOBS, {"now": now, "limit": BATCH})
        return [StoredBody(row.id, row.body_key) for row in rows]

    async def blobs_deleted(self, ids: Collection[UUID]) -> None:
        await self._tx.execute(_BLOBS_DELETED, {"ids": list(ids)})

    async def too_many_refusals(self) -> int:
        """At every trigger, all but the newest of them."""
        result = await self._tx.execute(_TOO_MANY_REFUSALS, {"kept": REFUSED_PER_TRIGGER, "limit": BATCH})
        return int(result.rowcount)

    async def partitions(self) -> int:
        """Months of the activity log, made ahead; how many were new."""
        return int(await self._tx.scalar(text("SELECT app.make_partitions(3)")) or 0)

    async def stray_activities(self) -> int:
        """Lines of the activity log that lie in no month: somebody should know why there are any."""
        return int(await self._tx.scalar(text("SELECT app.stray_activities()")) or 0)

    async def old_activities(self) -> int:
        """Lines that their organization no longer keeps, and months that nobody keeps."""
        found = await self._tx.scalar(
            text("SELECT app.retire_activities(:limit)"), {"limit": BATCH_OF_ACTIVITIES}
        )
        return int(found or 0)


_OLD_BODIES = text(
    f"""
    UPDATE deliveries SET body = NULL WHERE id IN (
        SELECT id FROM deliveries
        WHERE body IS NOT NULL AND received_at < CAST(:now AS timestamptz) - interval '{_DAYS_OF_BODIES} days'
        LIMIT :limit FOR UPDATE SKIP LOCKED)
    """  # noqa: S608 - constants only, here and below
)
_OLD_BLOBS = text(
    f"""
    SELECT id, body_key FROM deliveries
    WHERE body_key IS NOT NULL AND (
        received_at < CAST(:now AS timestamptz) - interval '{_DAYS_OF_BODIES} days'
        OR verdict = 'receiving' AND received_at < CAST(:now AS timestamptz) - interval '1 hour')
    LIMIT :limit
    """  # noqa: S608
)
_BLOBS_DELETED = text(
    """
    UPDATE deliveries SET body_key = NULL,
        verdict = CASE verdict WHEN 'receiving' THEN 'rejected' ELSE verdict END,
        reason = CASE verdict WHEN 'receiving' THEN 'We stopped while it was being received.' ELSE reason END
    WHERE id IN :ids
    """
).bindparams(bindparam("ids", expanding=True))
_OLD_REFUSALS = text(
    f"""
    DELETE FROM deliveries WHERE id IN (
        SELECT id FROM deliveries
        WHERE verdict NOT IN ('accepted', 'tested') AND body_key IS NULL
            AND received_at < CAST(:now AS timestamptz) - interval '{_DAYS_OF_BODIES} days'
        LIMIT :limit FOR UPDATE SKIP LOCKED)
    """  # noqa: S608
)
_TOO_MANY_REFUSALS = text(
    """
    DELETE FROM deliveries WHERE id IN (
        SELECT d.id FROM (
            SELECT trigger_id, verdict FROM deliveries
            WHERE verdict NOT IN ('accepted', 'tested')
            GROUP BY trigger_id, verdict HAVING count(*) > :kept) AS flooded
        CROSS JOIN LATERAL (
            SELECT id FROM deliveries
            WHERE trigger_id = flooded.trigger_id AND verdict = flooded.verdict
                AND verdict NOT IN ('accepted', 'tested') AND body_key IS NULL
            ORDER BY received_at DESC OFFSET :kept LIMIT :limit) AS d
        LIMIT :limit)
    """
)
# The moment is asked twice: a row that was taken over while this waited for it is not old any more.
_OLD_INBOX = text(
    f"""
    DELETE FROM webhook_inbox WHERE (organization_id, trigger_id, key) IN (
        SELECT organization_id, trigger_id, key FROM webhook_inbox
        WHERE received_at < CAST(:now AS timestamptz) - interval '{_DAYS_OF_INBOX} days' LIMIT :limit)
        AND received_at < CAST(:now AS timestamptz) - interval '{_DAYS_OF_INBOX} days'
    """  # noqa: S608
)
_OLD_EVENTS = text(
    f"""
    DELETE FROM events WHERE id IN (
        SELECT id FROM events
        WHERE created_at < CAST(:now AS timestamptz) - interval '{_DAYS_OF_EVENTS} days' LIMIT :limit)
    """  # noqa: S608
)
_OLD_SUBSCRIPTIONS = text(
    f"""
    DELETE FROM event_subscriptions WHERE id IN (
        SELECT id FROM event_subscriptions
        WHERE closed_at < CAST(:now AS timestamptz) - interval '{_DAYS_OF_EVENTS + 1} days' LIMIT :limit)
        AND closed_at IS NOT NULL
    """  # noqa: S608
)
_EXPIRED_SECRETS = text(
    """
    DELETE FROM trigger_secrets WHERE id IN (
        SELECT id FROM trigger_secrets WHERE expires_at < CAST(:now AS timestamptz) LIMIT :limit)
    """
)
_EXPIRED_ANSWERS = text(
    """
    DELETE FROM idempotency_keys WHERE (organization_id, scope, key) IN (
        SELECT organization_id, scope, key FROM idempotency_keys
        WHERE expires_at < CAST(:now AS timestamptz) LIMIT :limit)
        AND expires_at < CAST(:now AS timestamptz)
    """
)
#: A month longer than they live, so that a stolen refresh token is still recognised as one that was used.
_EXPIRED_SESSIONS = text(
    """
    DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE expires_at < CAST(:now AS timestamptz) - interval '30 days' LIMIT :limit)
    """
)


def _past(table: str, key: str, moment: str, spared: str = "0 days", further: str = "true") -> TextClause:
    """Rows of which this moment is over for longer than they are spared."""
    return text(
        f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} "  # noqa: S608 - constants only
        f"WHERE {moment} < CAST(:now AS timestamptz) - interval '{spared}' AND {further} LIMIT :limit) "
        f"AND {moment} < CAST(:now AS timestamptz) - interval '{spared}'"
    )


#: What is forgotten, by its name in the log: batches that are told the moment and how many rows at most.
KINDS: Final[Mapping[str, TextClause]] = {
    "bodies": _OLD_BODIES,
    "refusals": _OLD_REFUSALS,
    "inbox": _OLD_INBOX,
    "events": _OLD_EVENTS,
    "subscriptions": _OLD_SUBSCRIPTIONS,
    "trigger secrets": _EXPIRED_SECRETS,
    "kept answers": _EXPIRED_ANSWERS,
    "sessions": _EXPIRED_SESSIONS,
    # A day longer, so that a link that came too late is told from one that never was.
    "tokens": _past("auth_tokens", "id", "expires_at", "1 day"),
    "registrations": _past("registrations", "id", "expires_at"),
    "login attempts": _past("login_attempts", "key", "expires_at"),
    "trusted devices": _past("trusted_devices", "id", "expires_at"),
    # Addresses of people who never came.
    "invitations": _past("invitations", "id", "expires_at", "30 days", "accepted_at IS NULL"),
    "occurrences of schedules": _past(
        "schedule_occurrences", "id", "decided_at", f"{KEPT.days} days", "status <> 'buffered'"
    ),
    "parts of transfers": OLD_PARTS,
    "exports of the log": OLD_EXPORTS,
    "bulk operations": OLD_OPERATIONS,
}
