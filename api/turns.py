"""Taking turns: no organization may occupy a process while others wait at its door."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

#: As many executions of one organization are being started by one process at a time. Two keep it busy.
AT_ONCE = 3


@dataclass(slots=True)
class Turn:
    """One organization's place while it lasts: until the block ends, or longer if `until` says so."""

    _until: Coroutine[Any, Any, None] | None = None

    def until(self, settled: Coroutine[Any, Any, None]) -> None:
        """Keep the place after the block, in the background, for as long as this takes."""
        self._until = settled


class Turns:
    """Beyond `at_once`, an organization's own requests wait for each other, in the order in which they came."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._taken: dict[UUID, tuple[asyncio.Semaphore, int]] = {}
        self._keeping: set[asyncio.Task[None]] = set()

    @property
    def known(self) -> int:
        """Organizations that have a request here now."""
        return len(self._taken)

    @asynccontextmanager
    async def of(self, organization_id: UUID) -> AsyncIterator[Turn]:
        semaphore, users = self._taken.get(organization_id, (asyncio.Semaphore(self._at_once), 0))
        self._taken[organization_id] = (semaphore, users + 1)
        try:
            await semaphore.acquire()
        except BaseException:
            self._leave(organization_id)
            raise
        turn = Turn()
        try:
            yield turn
        finally:
            if turn._until is None:
                self._give_up(organization_id)
            else:
                keeping = asyncio.create_task(turn._until)
                self._keeping.add(keeping)
                keeping.add_done_callback(self._keeping.discard)
                keeping.add_done_callback(lambda _: self._give_up(organization_id))

    def _give_up(self, organization_id: UUID) -> None:
        self._taken[organization_id][0].release()
        self._leave(organization_id)

    def _leave(self, organization_id: UUID) -> None:
        semaphore, users = self._taken[organization_id]
        if users == 1:
            del self._taken[organization_id]
        else:
            self._taken[organization_id] = (semaphore, users - 1)
