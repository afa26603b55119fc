"""Numbers about this process and what waits for its loops; `Metrics` shows them with all others.

They have a port of their own, too.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI
from prometheus_client import Gauge, generate_latest
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import Response

from api import operations
from api.errors import is_unavailable
from api.metrics import CONTENT_TYPE
from api.operations import Probe
from db.session import Access, Database, Role

log = logging.getLogger(__name__)

OUTBOX_DEPTH: Final = Gauge("perdure_outbox_pending", "Entries of the outbox that Temporal does not have.")
OUTBOX_AGE: Final = Gauge(
    "perdure_outbox_oldest_seconds", "How long the oldest of them has been waiting for its delivery."
)
ROUTINGS_DEPTH: Final = Gauge(
    "perdure_event_routings_pending", "Events at triggers that the router has not looked at."
)
ROUTINGS_AGE: Final = Gauge(
    "perdure_event_routings_oldest_seconds", "How long the oldest of them has been waiting for the router."
)
SCHEDULES_LATE: Final = Gauge(
    "perdure_schedules_late_seconds",
    "How long the schedule that is due longest has been waiting for its turn; above a few seconds nothing fires.",
)
TASKS_LATE: Final = Gauge(
    "perdure_tasks_late_seconds",
    "How long what is due longest about a task has been waiting: a mail, a reminder, an escalation, its end.",
)
POOL: Final = Gauge("perdure_database_connections", "Connections of the pool.", ["state"])

_SYSTEM = Access(Role.SYSTEM)
#: What waits for the loops of the role `relay`: none of it grows while one of them runs anywhere.
_WAITING = text(
    """
    SELECT o.depth, o.age, r.depth AS routings, r.age AS routings_age,
        (SELECT coalesce(extract(epoch FROM now() - min(due_at)), 0) FROM schedules WHERE due_at <= now())
            AS schedules_late,
        (SELECT coalesce(extract(epoch FROM now() - min(t.next_due)), 0)
         FROM tasks t JOIN organizations g ON g.id = t.organization_id AND g.is_active
         WHERE t.status = 'open' AND t.next_due <= now()) AS tasks_late
    FROM (SELECT count(*) AS depth, coalesce(extract(epoch FROM now() - min(created_at)), 0) AS age
          FROM outbox WHERE dispatched_at IS NULL) AS o,
        (SELECT count(*) AS depth,
            coalesce(extract(epoch FROM now() - min(leased_until) FILTER (WHERE leased_until <= now())), 0) AS age
         FROM event_routings WHERE verdict = 'pending') AS r
    """
)
_GAUGES: Final = {
    "depth": OUTBOX_DEPTH,
    "age": OUTBOX_AGE,
    "routings": ROUTINGS_DEPTH,
    "routings_age": ROUTINGS_AGE,
    "schedules_late": SCHEDULES_LATE,
    "tasks_late": TASKS_LATE,
}
#: A scrape is answered without these rather than late.
ASK_SECONDS: Final = 2.0


class Metrics:
    """The default registry, with the gauges that are asked for when somebody looks."""

    def __init__(self, database: Database, token: str | None) -> None:
        self._database = database
        self.token = token

    async def text(self) -> bytes:
        POOL.labels("in_use").set(self._database.connections_in_use)
        POOL.labels("size").set(self._database.pool_size)
        try:
            async with asyncio.timeout(ASK_SECONDS), self._database.transaction(_SYSTEM) as tx:
                waiting = (await tx.execute(_WAITING)).mappings().one_or_none()
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning("what waits could not be measured: %s", type(error).__name__)
            waiting = None
        for name, gauge in _GAUGES.items():  # what is not known is not shown as 0
            gauge.set(float("nan") if waiting is None else float(waiting[name]))
        return generate_latest()


def create_operations_app(metrics: Metrics, probes: Mapping[str, Probe]) -> FastAPI:
    """`/metrics`, `/healthz` and `/readyz` alone, for a port that is not public: no token is asked for."""
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.probes = dict(probes)
    app.include_router(operations.router)

    async def show(_: Request) -> Response:
        return Response(await metrics.text(), media_type=CONTENT_TYPE)

    app.add_route("/metrics", show, methods=["GET"])
    return app


class OperationsServer(uvicorn.Server):
    """uvicorn without its own signal handling, for the port of the operators."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
                lifespan="off",  # there is nothing to begin or end, and waiting for it would be cut off loudly
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
