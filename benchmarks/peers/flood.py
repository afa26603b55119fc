"""One tenant floods the platform while another goes on as before: what does the other one notice?"""

import asyncio
import time
from typing import Any

import asyncpg
import httpx2

from benchmarks.load import by_tasks
from benchmarks.peers.tenants import Tenant

FLOODING_USERS = 25
LOOK_EVERY = 0.25


async def flooded(
    quiet: Tenant, loud: Tenant, database: asyncpg.Connection, flood: int, count: int
) -> dict[str, Any]:
    """Latencies in ms of the quiet tenant's lone user, idle and until the last execution of the flood has ended."""
    await quiet.measure("5", 1, 5)
    idle = await quiet.measure("5", 1, count)
    began = time.perf_counter()
    flooding = asyncio.create_task(_flood(loud, flood))
    over = asyncio.create_task(_over(loud, database, flooding))
    (line,) = await quiet.lines(1)
    request, during = quiet.starting("5"), []
    while not over.done():
        asked = time.perf_counter()
        await quiet.run(line, request)
        during.append((time.perf_counter() - asked) * 1e3)
    line.close()
    accepted = await flooding
    await over
    return {
        "flood": flood,
        "idle_ms": idle.latencies_ms,
        "during_ms": during,
        "accepted_seconds": accepted,
        "drained_seconds": time.perf_counter() - began,
    }


async def _flood(tenant: Tenant, count: int) -> float:
    """Start without waiting for results; return the seconds until all were accepted."""
    lines = await tenant.lines(FLOODING_USERS)
    request = tenant.starting("5", prefer="")

    async def run(number: int) -> None:
        status, body = await lines[number].ask(request)
        if status != httpx2.codes.ACCEPTED:
            raise RuntimeError(f"the flood was answered with {status}: {body[:300]!r}")

    sample = await by_tasks(run, FLOODING_USERS, count)
    for line in lines:
        line.close()
    return sample.seconds


async def _over(tenant: Tenant, database: asyncpg.Connection, flooding: asyncio.Task[float]) -> None:
    await flooding
    while await database.fetchval(  # noqa: ASYNC110  # only the rows know
        "SELECT EXISTS (SELECT 1 FROM workflow_executions WHERE organization_id = $1 AND completed_at IS NULL)",
        tenant.organization_id,
    ):
        await asyncio.sleep(LOOK_EVERY)
