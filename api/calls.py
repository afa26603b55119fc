"""How many calls each organization makes: added up in this process, written down every few seconds.

A process that is killed loses what it had not written, a few seconds' calls. No request waits for it, and no row is
fought over: each process adds what it has to the counter of the hour.
"""

import asyncio
import logging
from collections import Counter
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from api.caller import NOBODY
from api.collaborators import Collaborators
from db.usage import Calls, add_calls
from domain.usage import hour_of

log = logging.getLogger(__name__)

WRITE_SECONDS = 5.0


class CallCounting:
    """One per application; `count` costs an addition."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts
        self._calls: Counter[UUID] = Counter()
        self._due: asyncio.TimerHandle | None = None
        self._writing: set[asyncio.Task[None]] = set()

    def count(self, organization_id: UUID) -> None:
        self._calls[organization_id] += 1
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(WRITE_SECONDS, self._begin)

    async def close(self) -> None:
        """Write what is left."""
        if self._due is not None:
            self._due.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)
        await self.write()

    async def write(self) -> None:
        """What was counted so far; after a failure it is kept for the next time."""
        calls, self._calls = self._calls, Counter()
        if not calls:
            return
        hour = hour_of(self._parts.clock())
        try:
            async with self._parts.database.transaction(NOBODY) as tx:
                await add_calls(tx, [Calls(id, hour, amount) for id, amount in calls.items()])
        except (SQLAlchemyError, OSError) as error:
            self._calls.update(calls)
            log.warning("API calls are not written down yet: %s", type(error).__name__)

    def _begin(self) -> None:
        self._due = None
        task = asyncio.get_running_loop().create_task(self.write())
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
