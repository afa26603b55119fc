"""Tells who waits in this process that an execution has closed, without asking anybody."""

import asyncio
from collections import OrderedDict, defaultdict


class Closings:
    """Remembers the latest closings too, since an execution may end before anybody has begun to wait."""

    def __init__(self, remember: int = 10_000) -> None:
        self._remember = remember
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def announce(self, workflow_id: str) -> None:
        self._recent[workflow_id] = None
        while len(self._recent) > self._remember:
            self._recent.popitem(last=False)
        for event in self._waiting.pop(workflow_id, ()):
            event.set()

    async def wait(self, workflow_id: str) -> None:
        """Returns when the execution closes in this process; elsewhere, never."""
        if workflow_id in self._recent:
            return
        event = asyncio.Event()
        self._waiting[workflow_id].add(event)
        try:
            await event.wait()
        finally:
            waiting = self._waiting.get(workflow_id)
            if waiting is not None:
                waiting.discard(event)
                if not waiting:
                    del self._waiting[workflow_id]
