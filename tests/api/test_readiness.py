"""Whoever asks for readiness has a deadline: a part that is silent counts as away before that."""

import asyncio
import time
from dataclasses import replace

from api.app import create_app
from db.session import Database
from tests.api.conftest import World, _client


async def test_a_database_that_takes_connections_and_says_nothing(world: World) -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    async def silent() -> None:
        await asyncio.Event().wait()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        hanging = Database(f"postgresql://nobody:x@127.0.0.1:{port}/none?sslmode=disable")
        app = create_app(replace(world.app.state.collaborators, database=hanging), {"other": silent})
        async with _client(app) as http:
            began = time.monotonic()
            async with asyncio.timeout(10):
                answer = await http.get("/readyz")
        took = time.monotonic() - began
        await hanging.close()
    assert answer.status_code == 503
    away = "unavailable (TimeoutError)"
    assert answer.json()["parts"] == {"database": away, "other": away}
    assert took < 3.5  # together, not one after the other
