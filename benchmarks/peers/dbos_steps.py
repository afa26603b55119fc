"""DBOS from its package, on the same PostgreSQL with the same durability, in a database of its own.

Its configuration is the recommended one of its documentation with every default kept (pool of 20, threads as needed,
LISTEN/NOTIFY). A workflow is called directly in its process: no HTTP, no authentication, no second process, all of
which favours it. Both its shapes exist, plain functions and coroutines; the run uses the faster of the two.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from dbos import DBOS, DBOSConfig

from benchmarks import load
from benchmarks.peers.serving import Handlers, serve
from workers.devstack.stack import Stack

DATABASE = "dbos"


@DBOS.step()
def text_of(number: int) -> str:
    return f"{number}"


@DBOS.workflow()
def plain(steps: int) -> str:
    text = ""
    for number in range(1, steps + 1):
        text = text_of(number)
    return text


@DBOS.step()
async def text_of_async(number: int) -> str:
    return f"{number}"


@DBOS.workflow()
async def coroutine(steps: int) -> str:
    text = ""
    for number in range(1, steps + 1):
        text = await text_of_async(number)
    return text


async def measure(
    steps: int, concurrency: int, count: int, shape: Literal["plain", "coroutine"] = "plain"
) -> Any:
    async def run(_: int) -> None:
        await coroutine(steps)

    if shape == "coroutine":
        sample = await load.by_tasks(run, concurrency, count)
    else:
        sample = await asyncio.to_thread(load.by_threads, lambda: plain(steps) and None, concurrency, count)
    return sample.as_json()


@asynccontextmanager
async def peer(folder: Path) -> AsyncIterator[Handlers]:
    async with Stack(folder, parts=("postgres",), migrate=False) as stack:
        address = urlsplit(stack.admin_url)._replace(path=f"/{DATABASE}").geturl()
        config: DBOSConfig = {"name": "bench", "system_database_url": address, "log_level": "WARNING"}
        DBOS(config=config)
        await asyncio.to_thread(DBOS.launch)
        try:
            yield {"measure": measure}
        finally:
            await asyncio.to_thread(DBOS.destroy)


if __name__ == "__main__":
    serve(peer)
