"""A Temporal server that takes connections and never answers delays nobody for long, and loses nothing."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx2
import pytest
from sqlalchemy import text
from temporalio.client import Client

import workers.relay
from api.app import create_app
from tests.workflows.engine import Engine
from tests.workflows.test_delivery import SYSTEM, _lease_ends, _undelivered
from tests.workflows.test_executions import TEMPLATES
from workers.node import _temporal_probe


@pytest.fixture
async def silence(idle_engine: Engine) -> AsyncIterator[Engine]:
    """The engine with its connection leading to a listener that only listens."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        converter = idle_engine.client.data_converter
        silent = await Client.connect(f"127.0.0.1:{port}", lazy=True, data_converter=converter)
        connection = idle_engine.parts.connection
        answering, connection._client = connection._client, silent
        yield idle_engine
        connection._client = answering


async def test_a_request_answers_and_the_relay_carries_what_was_not_taken(silence: Engine) -> None:
    workflow_id = await silence.publish(TEMPLATES)
    began = time.monotonic()
    async with asyncio.timeout(10):
        started = await silence.start(workflow_id)
    assert time.monotonic() - began < 5
    assert (await silence.row(started["id"]))["status"] == "queued"
    assert await _undelivered(silence) == 1
    await _lease_ends(silence)
    silence.parts.connection._client = silence.client  # Temporal is back
    assert await silence.parts.relay.sweep() == 1
    assert await _undelivered(silence) == 0


async def test_only_the_first_requests_wait_for_a_silent_temporal(silence: Engine) -> None:
    """One organization's turns are few: each waiting two seconds would let two requests pass per second."""
    workflow_id = await silence.publish(TEMPLATES)
    await silence.start(workflow_id)
    began = time.monotonic()
    async with asyncio.timeout(10):
        await asyncio.gather(*(silence.start(workflow_id) for _ in range(20)))
    assert time.monotonic() - began < 1.5
    assert await _undelivered(silence) == 21


async def test_a_sweep_ends_although_no_delivery_does(
    silence: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers.relay, "DELIVERY_SECONDS", 0.5)
    workflow_id = await silence.publish(TEMPLATES)
    silent, silence.parts.connection._client = silence.parts.connection._client, None
    for _ in range(workers.relay.AT_ONCE + 2):  # refused at once, so that accepting them is quick
        await silence.start(workflow_id)
    silence.parts.connection._client = silent
    await _lease_ends(silence)
    async with asyncio.timeout(5):
        assert await silence.parts.relay.sweep() == workers.relay.AT_ONCE + 2
    async with silence.parts.database.transaction(SYSTEM) as tx:
        reasons = set((await tx.execute(text("SELECT last_error FROM outbox"))).scalars())
    assert reasons == {"Temporal did not answer within 0.5 s"}


async def test_readiness_says_in_time_that_temporal_is_silent(silence: Engine) -> None:
    app = create_app(silence.parts.api, {"temporal": _temporal_probe(silence.parts)})
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://perdure.test"
    ) as http:
        began = time.monotonic()
        async with asyncio.timeout(10):
            answer = await http.get("/readyz")
    assert time.monotonic() - began < 4
    assert answer.status_code == 503
    assert answer.json()["parts"] == {"database": "ok", "temporal": "unavailable (TimeoutError)"}
