"""One timer for the deadlines of all steps: it wakes the interpreter, which alone knows what is over."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow

from workflows.lineage import now


class Alarm:
    """Most deadlines are never met, so a timer is set for the earliest one known and left to ring in vain.

    Setting it anew for every step would cost two events each.
    """

    def __init__(self, rings: Callable[[], None]) -> None:
        self._rings = rings
        self._at: int | None = None
        self._timer: asyncio.Task[None] | None = None

    def arm(self, deadline: int) -> None:
        """See to it that it rings at `deadline` (epoch ms) at the latest."""
        if self._at is not None and self._at <= deadline:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._at = deadline
        self._timer = asyncio.create_task(self._ring(deadline))

    async def _ring(self, at: int) -> None:
        await workflow.sleep(timedelta(milliseconds=max(at - now(), 1)), summary="Deadline")
        self._at = self._timer = None
        self._rings()
