"""Fires schedules: looks every second what is due, anywhere, and gives each schedule its turn."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError

from db.outbox import OutboxEntry
from db.schedules import AGAIN, DueSchedule, Schedules, due
from db.session import Access, Database, Role
from domain.errors import DomainError
from workers.logs import reason
from workers.schedule_turn import Turn

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0
BATCH: Final = 100
AT_ONCE: Final = 5
FIRES: Final = Counter(
    "perdure_schedule_fires_total", "Nominal fires of schedules that this process has decided.", ["status"]
)
_SYSTEM: Final = Access(Role.SYSTEM)


class Dispatcher(Protocol):
    async def dispatch(self, entry: OutboxEntry) -> None: ...


class Firing:
    """Any number of processes may run one: the row's lock and the ledger's key keep a fire single."""

    def __init__(self, database: Database, dispatcher: Dispatcher, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._clock = clock
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Look until cancelled; a database that is away is asked again."""
        while True:
            try:
                taken = await self.sweep()
            except (SQLAlchemyError, OSError) as error:
                log.warning("Nobody could see which schedules are due: %s", reason(error))
                taken = 0
            if taken < BATCH:
                await asyncio.sleep(POLL_SECONDS)

    async def sweep(self) -> int:
        """One turn for each schedule that has something to decide; how many took theirs."""
        async with self._database.transaction(_SYSTEM) as tx:
            found = await due(tx, self._clock(), BATCH)
        return sum(await asyncio.gather(*(self._turn(each) for each in found)))

    async def _turn(self, schedule: DueSchedule) -> int:
        """One that fails is tried again with the next sweep; the others do not notice."""
        async with self._slots:
            try:
                entries = await self._take(schedule)
            except (SQLAlchemyError, OSError, DomainError) as error:
                log.warning("Schedule %s could not take its turn: %s", schedule.id, reason(error))
                await self._postpone(schedule)
                return 0
            except Exception:
                log.exception("Schedule %s could not take its turn", schedule.id)
                await self._postpone(schedule)
                return 0
            for entry in entries or ():
                await self._dispatcher.dispatch(entry)
        return entries is not None

    async def _postpone(self, schedule: DueSchedule) -> None:
        """So that those that always fail never stand before all others."""
        later = self._clock() + AGAIN
        try:
            async with self._database.transaction(Access(Role.WORKER, schedule.organization_id)) as tx:
                await Schedules(tx).change(schedule.id, {"due_at": later})
        except (SQLAlchemyError, OSError) as error:
            log.warning("Schedule %s could not be put off: %s", schedule.id, reason(error))

    async def _take(self, schedule: DueSchedule) -> list[OutboxEntry] | None:
        async with self._database.transaction(Access(Role.WORKER, schedule.organization_id)) as tx:
            row = await Schedules(tx).take(schedule.id)
            if row is None:
                return None
            turn = Turn(tx, row, self._clock())
            await turn.take()
        for status in turn.outcomes:
            FIRES.labels(status.value).inc()
        return turn.entries
