"""What runs beside the engine for ever: one thing that goes wrong stops nobody, and Temporal's absence stops nothing
that PostgreSQL alone decides."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from db.session import Access, Role
from domain.errors import NotFound
from domain.keys import MasterKeyMissing
from tests.workflows.engine import Engine, settings_for
from tests.workflows.test_schedules import lines, scheduled, stood_still, until
from workers.node import _ROLES, NodeRole
from workers.wiring import Parts, wire


@asynccontextmanager
async def relaying(parts: Parts) -> AsyncIterator[None]:
    """The role `relay` of a node."""
    task = asyncio.create_task(_ROLES[NodeRole.RELAY](parts, asyncio.Event()))
    try:
        yield
        assert not task.done(), task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def waiting(engine: Engine) -> list[str]:
    """Executions that the relay has to bring to Temporal."""
    undelivered = text("SELECT execution_id FROM outbox WHERE dispatched_at IS NULL AND kind = 'start'")
    async with engine.parts.database.transaction(Access(Role.SYSTEM)) as tx:
        return sorted(map(str, await tx.scalars(undelivered)))


async def test_schedules_fire_while_temporal_has_never_answered(
    idle_engine: Engine, database_url: str
) -> None:
    id = await scheduled(idle_engine, overlap="allow")
    await stood_still(idle_engine, 2)
    alone = wire(settings_for(database_url, "127.0.0.1:1"), pool_size=4)
    try:
        async with relaying(alone):
            found = await until(idle_engine, id, lambda lines: len(lines) == 2)
    finally:
        await alone.close()
    assert [line["status"] for line in found] == ["ran", "ran"]
    assert await waiting(idle_engine) == sorted(line["execution_id"] for line in found)


@pytest.mark.parametrize(
    "error",
    [
        MasterKeyMissing(["gone"]),
        NotFound("gone"),
        OperationalError("SELECT 1", {}, ConnectionError("the server is going away")),
        KeyError("nobody expected this"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_committed_is_accepted_whatever_becomes_of_its_delivery(
    idle_engine: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def trips(_: object) -> None:
        raise error

    workflow_id = await idle_engine.publish([{"note": {"set": {"id": str(uuid4())}}}])
    id = await scheduled(idle_engine, overlap="allow")
    await stood_still(idle_engine, 1)
    with monkeypatch.context() as patched:
        patched.setattr(idle_engine.parts.dispatcher, "deliver", trips)
        started = await idle_engine.start(workflow_id)
        assert await idle_engine.parts.firing.sweep() == 1
    [line] = await lines(idle_engine, id)
    assert await waiting(idle_engine) == sorted([started["id"], line["execution_id"]])
