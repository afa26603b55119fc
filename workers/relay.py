"""Delivers what the API could not: the guarantee behind the quick way."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from db.outbox import Outbox, OutboxEntry
from db.session import Access, Database, Role
from domain.errors import NotFound
from domain.executions import OutboxKind
from domain.keys import MasterKeyMissing
from workers.counters import DELIVERIES
from workers.logs import concerning, reason
from workers.mending import Mender
from workers.temporal.connection import TemporalUnavailable
from workers.temporal.dispatcher import NotThere, TemporalDispatcher

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
BATCH = 100
AT_ONCE = 10
LEASE = timedelta(seconds=30)
#: For one delivery and its waiting for a slot: a sweep whose every call hangs still ends within its lease.
DELIVERY_SECONDS = 10.0
RETRY = timedelta(seconds=2)

_SYSTEM = Access(Role.SYSTEM)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """`error` is None when Temporal has the entry."""

    entry: OutboxEntry
    error: str | None
    retry: timedelta = RETRY


class Relay:
    def __init__(self, database: Database, dispatcher: TemporalDispatcher, mender: Mender) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._mender = mender
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Poll until cancelled; a database that is away is asked again."""
        while True:
            try:
                carried = await self.sweep()
            except (SQLAlchemyError, OSError) as error:
                log.warning("The relay could not read the outbox: %s", reason(error))
                carried = 0
            if carried < BATCH:
                await asyncio.sleep(POLL_SECONDS)

    async def sweep(self) -> int:
        """Carry one batch; returns how many entries were claimed."""
        async with self._database.transaction(_SYSTEM) as connection:
            entries = await Outbox(connection).claim(limit=BATCH, lease=LEASE)
        lines: dict[str, list[OutboxEntry]] = {}
        for entry in entries:
            lines.setdefault(entry.workflow_id, []).append(entry)
        outcomes = [each for line in await asyncio.gather(*map(self._line, lines.values())) for each in line]
        if entries:
            async with self._database.transaction(_SYSTEM) as connection:
                outbox = Outbox(connection)
                await outbox.dispatched([each.entry.id for each in outcomes if each.error is None])
                for each in outcomes:
                    if each.error is not None:
                        await outbox.failed(each.entry.id, each.error, each.retry)
        return len(entries)

    async def _line(self, entries: Sequence[OutboxEntry]) -> list["_Outcome"]:
        """What one execution is told reaches it in the order in which it was written.

        What stands behind a failure goes first the next time: one that can never be delivered holds up nobody.
        """
        outcomes: list[_Outcome] = []
        for entry in entries:
            if outcomes and outcomes[-1].error is not None:
                outcomes.append(_Outcome(entry, "what came before it was not delivered", timedelta(0)))
            else:
                outcomes.append(_Outcome(entry, await self._carry(entry)))
        return outcomes

    async def _close(self, entry: OutboxEntry) -> str | None:
        """An execution that an operator ended in Temporal could not close its own row."""
        try:
            await self._mender.look(entry.execution_id)
        except (RPCError, TemporalUnavailable, SQLAlchemyError, OSError) as error:
            return reason(error)  # it is tried again; meanwhile the others' deliveries are written down
        return None

    async def _carry(self, entry: OutboxEntry) -> str | None:
        """None when Temporal has it; otherwise what went wrong."""
        with concerning(entry.workflow_id):
            return await self._deliver(entry)

    async def _deliver(self, entry: OutboxEntry) -> str | None:
        try:
            async with asyncio.timeout(DELIVERY_SECONDS), self._slots:
                await self._dispatcher.deliver(entry)
        except NotThere:
            # The start left before this entry was claimed, so the execution has closed: nothing to tell it.
            log.info("%s came too late for %s", entry.kind, entry.workflow_id)
            if entry.kind is OutboxKind.CANCEL:
                return await self._close(entry)
        except (RPCError, TemporalUnavailable, TimeoutError, NotFound, MasterKeyMissing) as error:
            said = str(error) or f"Temporal did not answer within {DELIVERY_SECONDS:g} s"
            log.warning("%s of %s not delivered yet: %s", entry.kind, entry.workflow_id, said)
            DELIVERIES.labels(entry.kind, "relay", "failed").inc()
            return said
        DELIVERIES.labels(entry.kind, "relay", "delivered").inc()
        return None
