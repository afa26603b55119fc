"""Taking turns: no organization may occupy a process while others wait at its door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

#: As many starts of one organization are carried to the engine at a time, by one process. Two keep it busy.
AT_ONCE = 4


class Turns:
    """Beyond `at_once`, an organization's own requests wait for each other, in the order in which they came."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._taken: dict[UUID, tuple[asyncio.Semaphore, int]] = {}

    @property
    def known(self) -> int:
        """Organizations that have a request here now."""
        return len(self._taken)

    @asynccontextmanager
    async def of(self, organization_id: UUID) -> AsyncIterator[None]:
        semaphore, users = self._taken.get(organization_id, (asyncio.Semaphore(self._at_once), 0))
        self._taken[organization_id] = (semaphore, users + 1)
        try:
            async with semaphore:
                yield
        finally:
            _, users = self._taken[organization_id]
            if users == 1:
                del self._taken[organization_id]
            else:
                self._taken[organization_id] = (semaphore, users - 1)
