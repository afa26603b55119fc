"""Around every activity: the mirror's header is read, and long work is kept alive and cancellable."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

from structlog.contextvars import bind_contextvars
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from domain.mirror import Snapshot

HEADER = "mirror"
#: A third of the heartbeat timeout: two beats may get lost.
BEAT = timedelta(seconds=3)

_snapshot: ContextVar[Snapshot | None] = ContextVar("snapshot", default=None)


def reported_snapshot() -> Snapshot | None:
    """What the workflow said of its state when it scheduled this activity; None while it is not mirrored."""
    return _snapshot.get()


class ActivityInterceptor(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(next)


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        organization, _, rest = str(info.workflow_id).partition("/")
        # The activity has a task, and so a context, of its own: nothing has to be unbound.
        bind_contextvars(organization=organization, execution=rest.rpartition("/")[2], step=info.activity_id)
        payload = input.headers.get(HEADER)
        if payload is not None:
            _snapshot.set(Snapshot.from_json(activity.payload_converter().from_payload(payload)))
        if info.is_local:
            return await super().execute_activity(input)
        async with _heartbeat():
            return await super().execute_activity(input)


@asynccontextmanager
async def _heartbeat() -> AsyncIterator[None]:
    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(BEAT.total_seconds())

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
