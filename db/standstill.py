"""Executions of a deleted organization stand still, and go on where they stood when it is restored.

What a deletion holds is marked in the row (`execution_context.held`), so that a restoration lets go of that alone:
what people had paused before stays paused.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.control import Control, ExecutionClosed
from db.outbox import OutboxEntry
from domain.processes.organizations import STANDSTILL

#: What one segment looks at.
BATCH = 25


@dataclass(frozen=True, slots=True)
class Settled:
    """How many were asked in this batch, whether there may be more, and what is to be dispatched."""

    asked: int
    is_done: bool
    entries: list[OutboxEntry]


class Standstill:
    """Bound to a transaction of a worker in the organization."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def settle(self, organization_id: UUID) -> Settled:
        """One batch of what does not yet stand, or go, as the organization does at this moment.

        Where that changes meanwhile, the process of the change looks once more half a minute later.
        """
        active = text("SELECT is_active FROM organizations WHERE id = :id")
        if (await self._tx.execute(active, {"id": organization_id})).scalar_one():
            return await self._each(_HELD, _LET_GO, paused=False)
        return await self._each(_GOING, _MARK, paused=True)

    async def _each(self, which: str, marked: str, *, paused: bool) -> Settled:
        control, entries = Control(self._tx), []
        found = await self._tx.execute(text(which), {"kind": STANDSTILL.kind, "limit": BATCH})
        ids = [row.id for row in found]
        for id in ids:
            try:
                asked = await (control.pause(id) if paused else control.resume(id))
            except ExecutionClosed:
                asked = None
            if asked is not None and asked.entry is not None:
                entries.append(asked.entry)
            await self._tx.execute(text(marked), {"id": id})
        return Settled(len(ids), len(ids) < BATCH, entries)


_GOING = """
    SELECT id FROM workflow_executions
    WHERE status IN ('queued', 'running', 'waiting', 'paused') AND kind <> :kind
      AND NOT execution_context @> jsonb_build_object('wish', jsonb_build_object('paused', true))
    ORDER BY created_at, id LIMIT :limit
"""
_HELD = """
    SELECT id FROM workflow_executions WHERE execution_context @> jsonb_build_object('held', true) AND kind <> :kind
    ORDER BY created_at, id LIMIT :limit
"""
_MARK = (
    "UPDATE workflow_executions SET execution_context = execution_context || jsonb_build_object('held', true) "
    "WHERE id = :id"
)
_LET_GO = "UPDATE workflow_executions SET execution_context = execution_context - 'held' WHERE id = :id"
