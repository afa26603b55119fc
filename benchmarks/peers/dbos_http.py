"""DBOS as its documentation serves it: a FastAPI route calls the workflow; the request is like one of Perdure's.

No authentication, no stored definition, no row of its own: still less than what is asked of Perdure.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from dbos import DBOS, DBOSConfig
from fastapi import FastAPI

from benchmarks import load
from benchmarks.line import Line, prepare
from benchmarks.peers.dbos_steps import DATABASE, coroutine
from benchmarks.peers.serving import Handlers, serve
from workers.devstack.ports import LOOPBACK, answers, any_free
from workers.devstack.stack import Stack

app = FastAPI()


@app.post("/runs/{steps}")
async def run(steps: int) -> dict[str, str]:
    return {"status": "completed", "output": await coroutine(steps)}


def application(address: str, port: int) -> None:
    """The program of the second process."""
    config: DBOSConfig = {"name": "bench", "system_database_url": address, "log_level": "WARNING"}
    DBOS(config=config)
    DBOS.launch()
    uvicorn.run(app, host=LOOPBACK, port=port, log_config=None, access_log=False, loop="uvloop")


async def _answering(process: BaseProcess, port: int) -> None:
    while not answers(port):
        if process.exitcode is not None:
            raise RuntimeError("the DBOS application ended while starting")
        await asyncio.sleep(0.1)


@asynccontextmanager
async def peer(folder: Path) -> AsyncIterator[Handlers]:
    async with Stack(folder, parts=("postgres",), migrate=False) as stack:
        address = urlsplit(stack.admin_url)._replace(path=f"/{DATABASE}").geturl()
        port = any_free()
        process = get_context("spawn").Process(target=application, args=(address, port), daemon=True)
        process.start()
        await _answering(process, port)

        async def measure(steps: int, concurrency: int, count: int) -> Any:
            request = prepare("POST", f"/runs/{steps}", f"{LOOPBACK}:{port}", "none", {"input": {}})
            lines = [await Line.open(LOOPBACK, port) for _ in range(concurrency)]

            async def run(number: int) -> None:
                status, body = await lines[number].ask(request)
                if status != 200:
                    raise RuntimeError(f"DBOS answered with {status}: {body[:300]!r}")

            try:
                return (await load.by_tasks(run, concurrency, count)).as_json()
            finally:
                for line in lines:
                    line.close()

        try:
            yield {"measure": measure}
        finally:
            process.terminate()
            await asyncio.to_thread(process.join, 10)


if __name__ == "__main__":
    serve(peer)
