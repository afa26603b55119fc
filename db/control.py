"""What people ask of a running execution, all of it through the outbox: hold still, go on, hear an event."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, cast, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from db.executions import Executions, WorkflowExecution
from db.outbox import Outbox, OutboxEntry, OutboxRow
from domain.errors import Conflict, NotFound
from domain.executions import ExecutionStatus, OutboxKind
from domain.ids import derived_id

#: Events an execution keeps for steps that have not asked for them yet.
MAXIMUM_KEPT = 50


class ExecutionClosed(Conflict):
    """This execution has already ended; there is nothing left to act on."""

    code = "execution_closed"


class SignalIdReused(Conflict):
    """A signal with this id but another content was sent to this execution before; choose a new id."""

    code = "signal_id_reused"


class TooManySignals(Conflict):
    """This execution keeps as many signals as it may that no step has asked for yet; send it again later."""

    code = "too_many_signals"


@dataclass(frozen=True, slots=True)
class Asked:
    """The execution as it stands; `entry` is to be dispatched after the commit (None: nothing new was asked)."""

    row: RowMapping
    entry: OutboxEntry | None


@dataclass(frozen=True, slots=True)
class Sent:
    """The event as it was first sent; `entry` as in `Asked`."""

    event: dict[str, Any]
    entry: OutboxEntry | None


class Control:
    """Requests to executions of the current organization, one after the other for each of them."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def pause(self, execution_id: UUID) -> Asked:
        """Raises NotFound, ExecutionClosed."""
        return await self._wish(execution_id, paused=True)

    async def resume(self, execution_id: UUID) -> Asked:
        """Raises NotFound, ExecutionClosed."""
        return await self._wish(execution_id, paused=False)

    async def signal(self, execution_id: UUID, event: dict[str, Any]) -> Sent:
        """Send a CloudEvent; the same one again changes nothing.

        Raises NotFound, ExecutionClosed, SignalIdReused, TooManySignals.
        """
        row = await self._locked(execution_id)
        id = derived_id(f"{execution_id}/signal/{event['id']}")
        sent = await self._connection.scalar(select(OutboxRow.payload).where(OutboxRow.id == id))
        if sent is not None:
            _require_same(sent["arguments"], event)
            return Sent(sent["arguments"], None)
        _require_open(row)
        if (
            await self._connection.scalar(_KEPT, {"execution_id": execution_id, "type": event["type"]})
            >= MAXIMUM_KEPT
        ):
            raise TooManySignals(
                f"{MAXIMUM_KEPT} signals wait for a step of this execution to ask for them; send it again later."
            )
        return Sent(event, await self._add(row, id, "event", event))

    async def _wish(self, execution_id: UUID, *, paused: bool) -> Asked:
        row = await self._locked(execution_id)
        _require_open(row)
        wish = row["execution_context"].get("wish") or {"number": 0, "paused": False}
        # The row shows the last effect, not the last wish: that may still be on its way, or an operator may have
        # overridden it in Temporal itself. Only where both agree is there nothing to ask.
        if wish["paused"] == paused == (row["status"] == ExecutionStatus.PAUSED):
            return Asked(row, None)
        if wish["paused"] == paused and await self._is_on_its_way(execution_id, wish["number"]):
            return Asked(row, None)
        wish = {"number": wish["number"] + 1, "paused": paused}
        await self._connection.execute(
            update(WorkflowExecution)
            .where(WorkflowExecution.id == execution_id)
            .values(execution_context={**row["execution_context"], "wish": wish})
        )
        # What has not started yet starts with the wish; where the start is leaving just now, the signal follows it.
        await self._connection.execute(
            update(OutboxRow)
            .where(
                OutboxRow.execution_id == execution_id,
                OutboxRow.kind == OutboxKind.START,
                OutboxRow.dispatched_at.is_(None),
            )
            .values(payload=OutboxRow.payload.op("||")(cast({"wish": wish}, JSONB)))
        )
        id = _wish_id(execution_id, wish["number"])
        word = "pause" if paused else "resume"
        entry = await self._add(row, id, word, {"number": wish["number"]})
        return Asked(await Executions(self._connection).get(execution_id), entry)

    async def _is_on_its_way(self, execution_id: UUID, number: int) -> bool:
        """Whether this wish has yet to take effect, so that a client that asks in a loop sends no signal each time."""
        values = {"id": _wish_id(execution_id, number), "execution_id": execution_id}
        return bool(await self._connection.scalar(_ON_ITS_WAY, values))

    async def _locked(self, execution_id: UUID) -> RowMapping:
        locked = select(WorkflowExecution.id).where(WorkflowExecution.id == execution_id).with_for_update()
        if await self._connection.scalar(locked) is None:
            raise NotFound
        return await Executions(self._connection).get(execution_id)

    async def _add(self, row: RowMapping, id: UUID, signal: str, arguments: dict[str, Any]) -> OutboxEntry:
        entry = OutboxEntry(
            id=id,
            organization_id=row["organization_id"],
            execution_id=row["id"],
            kind=OutboxKind.SIGNAL,
            workflow_id=row["temporal_workflow_id"],
            payload={"signal": signal, "arguments": arguments},
        )
        await Outbox(self._connection).add(entry)
        return entry


def _wish_id(execution_id: UUID, number: int) -> UUID:
    return derived_id(f"{execution_id}/wish/{number}")


def _require_open(row: RowMapping) -> None:
    if ExecutionStatus(row["status"]).is_terminal:
        raise ExecutionClosed(f"This execution is {row['status']}; nothing in it can be changed any more.")


def _require_same(sent: dict[str, Any], event: dict[str, Any]) -> None:
    if (sent["type"], sent.get("data")) != (event["type"], event.get("data")):
        raise SignalIdReused


#: Signals that people sent, without what steps that listened say they consumed. Whatever a step listens to now is
#: consumed as it comes, so it is not counted at all.
_KEPT = text(
    """
    SELECT CASE WHEN EXISTS (
        SELECT 1 FROM event_subscriptions
        WHERE execution_id = :execution_id AND closed_at IS NULL
          AND (types IS NULL OR CAST(:type AS text) = ANY (types)))
    THEN 0 ELSE (SELECT count(*) FROM outbox
            WHERE execution_id = :execution_id AND kind = 'signal' AND payload ->> 'signal' = 'event'
              AND NOT payload ? 'event')
         - (SELECT coalesce(sum(coalesce(
                    CAST(input ->> 'consumed' AS integer), CASE status WHEN 'completed' THEN 1 ELSE 0 END)), 0)
            FROM execution_steps
            WHERE execution_id = :execution_id AND kind = 'listen' AND NOT is_taken_over)
    END
    """
)

#: Not delivered yet, or a moment ago while the execution has told nothing since.
_ON_ITS_WAY = text(
    """
    SELECT o.dispatched_at IS NULL
        OR (o.dispatched_at > now() - interval '5 seconds' AND e.updated_at <= o.created_at)
    FROM outbox o JOIN workflow_executions e ON e.id = o.execution_id
    WHERE o.id = :id AND e.id = :execution_id
    """
)
