"""Sees to tasks when something is due: mails, reminders, escalations, and the end of those nobody decided in time."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.processes import Processes
from db.session import Access, Database, Role
from db.taskduties import DueTask, Duties, due_tasks
from domain.definitions.faults import Fault
from domain.errors import DomainError
from workers.firing import Dispatcher
from workers.logs import reason

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
BATCH = 100


class Deadlines:
    def __init__(
        self,
        database: Database,
        processes: Processes,
        dispatcher: Dispatcher,
        token_secret: bytes,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._processes = processes
        self._dispatcher = dispatcher
        self._token_secret = token_secret
        self._clock = clock

    async def run(self) -> None:
        """Poll until cancelled; a database that is away is asked again."""
        while True:
            try:
                seen_to = await self.sweep()
            except (SQLAlchemyError, OSError) as error:
                log.warning("Deadlines of tasks could not be read: %s", reason(error))
                seen_to = 0
            if seen_to < BATCH:
                await asyncio.sleep(POLL_SECONDS)

    async def sweep(self) -> int:
        """One batch of tasks, each in a transaction of its own; returns how many were due."""
        async with self._database.transaction(Access(Role.SYSTEM)) as tx:
            tasks = await due_tasks(tx, self._clock(), BATCH)
        for task in tasks:
            await self._see_to(task)
        return len(tasks)

    async def _see_to(self, task: DueTask) -> None:
        """A task about which something cannot be done is put off: it holds up nobody else's."""
        try:
            async with self._database.transaction(Access(Role.WORKER, task.organization_id)) as tx:
                told = await self._duties(tx).see_to(task.id)
        except (SQLAlchemyError, OSError, DomainError, Fault, ValueError) as error:
            log.warning("What was due about task %s could not be done: %s", task.id, reason(error))
            await self._put_off(task)
            return
        except Exception:
            log.exception("What was due about task %s could not be done", task.id)
            await self._put_off(task)
            return
        for entry in told:  # committed: whatever happens to this attempt, the relay carries it
            await self._dispatcher.dispatch(entry)

    async def _put_off(self, task: DueTask) -> None:
        async with self._database.transaction(Access(Role.WORKER, task.organization_id)) as tx:
            await self._duties(tx).put_off(task.id)

    def _duties(self, tx: AsyncConnection) -> Duties:
        return Duties(tx, self._processes, self._token_secret, self._clock())
