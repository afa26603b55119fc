"""Perdure as it is shipped: the embedded stack with fsync on, one node, a stored definition started over HTTP.

Every request carries an API key and waits for the result (`Prefer: wait`); mirror, row level security, codec and
whatever else a node does are on, because nothing is configured here.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.peers.flood import flooded
from benchmarks.peers.histories import events
from benchmarks.peers.serving import Handlers, serve
from benchmarks.peers.tenants import OPEN, register
from workers.devstack.stack import Stack


@asynccontextmanager
async def peer(folder: Path) -> AsyncIterator[Handlers]:
    async with Stack(folder, settings=OPEN) as stack:
        acme = await register(stack.urls["api"], "acme")
        database = await asyncpg.connect(stack.admin_url)

        async def measure(steps: int, concurrency: int, count: int) -> Any:
            return (await acme.measure(str(steps), concurrency, count)).as_json()

        async def histories() -> Any:
            return await events(acme, database, stack.urls["temporal"])

        async def lag(concurrency: int, count: int) -> Any:
            """How far the rows of a crowd lagged behind their workflows, in milliseconds, as the rows say."""
            before = await database.fetchval("SELECT clock_timestamp()")
            await acme.measure("5", concurrency, count)
            rows = await database.fetch(
                "SELECT lag_ms FROM workflow_executions WHERE created_at >= $1 AND lag_ms IS NOT NULL", before
            )
            return [row["lag_ms"] for row in rows]

        async def fairness(flood: int, count: int) -> Any:
            return await flooded(await register(acme.api, "quiet"), acme, database, flood, count)

        yield {"measure": measure, "histories": histories, "lag": lag, "fairness": fairness}
        await database.close()


if __name__ == "__main__":
    serve(peer)
