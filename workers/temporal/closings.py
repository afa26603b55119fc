"""Tells who waits in this process that an execution has closed, without asking anybody."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from typing import Any

from workers.counters import FINISHED

#: The execution's row as it was committed.
Row = Mapping[str, Any]


class Closings:
    """Remembers the latest closings too, since an execution may end before anybody has begun to wait."""

    def __init__(self, remember: int = 10_000) -> None:
        self._remember = remember
        self._is_home = False
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._waiting: defaultdict[str, set[asyncio.Future[Row | None]]] = defaultdict(set)
        self._resting: dict[str, asyncio.Event] = {}

    @property
    def is_home(self) -> bool:
        """A worker of this process has closed executions: its own starts go there. A hint, not a promise."""
        return self._is_home

    def announce(self, workflow_id: str, row: Row | None = None) -> None:
        """A worker of this process closed it. Rows are handed to who waits already, and not kept."""
        self._is_home = True
        self.learn(workflow_id, row)

    def learn(self, workflow_id: str, row: Row | None = None) -> None:
        """It was ended from outside, and this process wrote that down: which says nothing of who runs the others."""
        FINISHED.labels((row or {}).get("status", "unknown")).inc()
        self._recent[workflow_id] = None
        while len(self._recent) > self._remember:
            self._recent.popitem(last=False)
        self.rest(workflow_id)
        for waiting in self._waiting.pop(workflow_id, ()):
            if not waiting.done():
                waiting.set_result(row)

    def rest(self, workflow_id: str) -> None:
        """The execution waits for somebody, or for a call of its own: it does not keep this process busy."""
        resting = self._resting.pop(workflow_id, None)
        if resting is not None:
            resting.set()

    async def settled(self, workflow_id: str, seconds: float) -> None:
        """Returns when the execution closed or came to rest, and after so many seconds in any case."""
        if workflow_id in self._recent:
            return
        resting = self._resting.setdefault(workflow_id, asyncio.Event())
        try:
            async with asyncio.timeout(seconds):
                await resting.wait()
        except TimeoutError:
            return
        finally:
            self._resting.pop(workflow_id, None)

    async def wait(self, workflow_id: str) -> Row | None:
        """Returns when the execution closes in this process, with its row if it was announced; elsewhere, never."""
        if workflow_id in self._recent:
            return None
        closing: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        self._waiting[workflow_id].add(closing)
        try:
            return await closing
        finally:
            waiting = self._waiting.get(workflow_id)
            if waiting is not None:
                waiting.discard(closing)
                if not waiting:
                    del self._waiting[workflow_id]
