"""Nothing falls between a listen that registers and an event that is recorded at the same time.

Whoever records holds the organization's lock of events together with everybody else who records; whoever registers
holds it alone. So a registration sees either the event, or the event sees the registration. Numbers are given under
that lock: a registration divides them exactly into those before it and those after.
"""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


async def lock_events(tx: AsyncConnection, organization_id: UUID, *, alone: bool) -> None:
    """Until the transaction ends. A statement of its own: the next one sees what others committed meanwhile."""
    await tx.execute(_ALONE if alone else _TOGETHER, {"organization_id": organization_id})


_KEY = "hashtextextended('events ' || CAST(:organization_id AS uuid), 0)"
_TOGETHER = text(f"SELECT pg_advisory_xact_lock_shared({_KEY})")
_ALONE = text(f"SELECT pg_advisory_xact_lock({_KEY})")
