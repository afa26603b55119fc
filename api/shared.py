"""One lookup for everybody who asked before it began: many concurrent requests of one key cost one query."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class SharedLookups(Generic[Value]):
    """A lookup that has begun is never joined and nothing is kept: no answer is older than its question."""

    def __init__(self) -> None:
        self._next: dict[Hashable, asyncio.Task[Value]] = {}
        self._running: dict[Hashable, asyncio.Task[Value]] = {}

    async def get(self, key: Hashable, look: Callable[[], Awaitable[Value]]) -> Value:
        task = self._next.get(key)
        if task is None:
            task = asyncio.create_task(self._run(key, self._running.get(key), look))
            task.add_done_callback(_seen)
            self._next[key] = task
        return await asyncio.shield(task)  # one impatient caller must not end it for the others

    async def _run(
        self, key: Hashable, before: asyncio.Task[Value] | None, look: Callable[[], Awaitable[Value]]
    ) -> Value:
        if before is not None:
            await asyncio.wait({before})
        this = self._running[key] = self._next.pop(key)
        try:
            return await look()
        finally:
            if self._running.get(key) is this:
                del self._running[key]


def _seen(task: asyncio.Task[Value]) -> None:
    """When every caller has left, nobody is told of the failure; that is no fault worth a warning."""
    if not task.cancelled():
        task.exception()
