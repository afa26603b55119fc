"""The loops of the relay, broken off between what they did and its commit: it happens once, and later.

This is also what shows that the traps of `blows.TURNS` spring where they say.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from db.session import Access, Role
from tests.faults.blows import TURNS
from tests.faults.definitions import TOLD, triggers
from tests.faults.proxy import FaultProxy, Moment, Trap
from tests.workflows.conftest import engine_settings, idle_engine  # noqa: F401  fixtures
from tests.workflows.engine import Engine, working
from tests.workflows.test_routing import leases_end
from workers.wiring import Parts, wire

NOTE: list[dict[str, Any]] = [{"note": {"set": "${ $workflow.trigger }"}}]
DUE: dict[str, Any] = {"title": "Well?", "due": {"milliseconds": 100}, "on_overdue": "fail"}


@pytest.fixture
async def engine(idle_engine: Engine) -> Engine:  # noqa: F811  the fixture
    return idle_engine


@pytest.fixture
async def proxy(engine: Engine) -> AsyncIterator[FaultProxy]:
    port = urlsplit(engine.parts.settings.database_url).port
    assert port is not None
    async with FaultProxy("postgres", port) as proxy:
        yield proxy


@pytest.fixture
async def relay(engine: Engine, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parts]:
    """A second process's parts, beyond the proxy; what breaks may be tried again at once."""
    for place in ("workers.firing.AGAIN", "db.taskduties.AGAIN"):
        monkeypatch.setattr(place, timedelta(0))
    settings = engine.parts.settings
    url = settings.database_url.replace(f":{proxy.target}/", f":{proxy.port}/")
    assert url != settings.database_url
    parts = wire(settings.model_copy(update={"database_url": url}), pool_size=4)
    await parts.connection.connect()
    yield parts
    await parts.close()


async def published(engine: Engine, kind: str) -> dict[str, Any]:
    """The trigger of a workflow that begins as executions of this kind do."""
    body = {"name": kind, "definition": {"do": NOTE}, "triggers": triggers(kind, "canary")}
    created = await engine.post("/v1/workflows", body)
    await engine.post(f"/v1/workflows/{created['id']}/publish", {})
    trigger: dict[str, Any] = (await engine.get(f"/v1/workflows/{created['id']}/triggers"))["items"][0]
    return trigger


async def counted(engine: Engine, statement: str) -> int:
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        return int((await tx.execute(text(statement))).scalar_one())


async def broken_off(proxy: FaultProxy, what: str, sweep: Callable[[], Awaitable[object]]) -> None:
    """One turn that is cut where a kill of `amid turn` falls."""
    trap = proxy.arm(Trap(TURNS[what], Moment.ANSWER))
    for _ in range(40):
        await sweep()
        if trap.sprung.is_set():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"no {what} turn went past the trap")


EXECUTIONS = "SELECT count(*) FROM workflow_executions"


async def test_a_schedules_turn(engine: Engine, relay: Parts, proxy: FaultProxy) -> None:
    trigger = await published(engine, "scheduled")
    await relay.firing.sweep()
    end = trigger["configuration"]["end_at"]
    span = {"from": end, "to": end, "expected": 1, "side_by_side": True}
    await engine.post(f"/v1/schedules/{trigger['id']}/backfill", span)
    await broken_off(proxy, "schedule", relay.firing.sweep)
    assert await counted(engine, EXECUTIONS) == 0
    for _ in range(3):
        await relay.firing.sweep()
    [line] = (await engine.get(f"/v1/schedules/{trigger['id']}/occurrences"))["items"]
    assert (line["status"], await counted(engine, EXECUTIONS)) == ("backfilled", 1)


async def test_an_events_turn(engine: Engine, relay: Parts, proxy: FaultProxy) -> None:
    await published(engine, "evented")
    event = {"specversion": "1.0", "id": "one", "source": "https://faults.example", "type": TOLD}
    [sent] = (await engine.post("/v1/events", event))["items"]
    await broken_off(proxy, "event", relay.routing.sweep)
    assert await counted(engine, EXECUTIONS) == 0
    await leases_end(engine)
    for _ in range(3):
        await relay.routing.sweep()
    [routing] = (await engine.get(f"/v1/events/{sent['event_id']}"))["routings"]
    assert (routing["verdict"], await counted(engine, EXECUTIONS)) == ("started", 1)


async def test_a_deadlines_turn(engine: Engine, relay: Parts, proxy: FaultProxy) -> None:
    async with working(engine.parts, engine.client):
        id = (await engine.start(await engine.publish([{"ask": {"call": "approve", "with": DUE}}])))["id"]
        await engine.waiting(id)
        await broken_off(proxy, "deadline", relay.deadlines.sweep)
        [task] = (await engine.get(f"/v1/tasks?execution_id={id}"))["items"]
        assert task["status"] == "open"
        while (await engine.row(id))["completed_at"] is None:
            await relay.deadlines.sweep()
            await asyncio.sleep(0.2)
    assert (await engine.row(id))["error"]["status"] == 408
    [task] = (await engine.get(f"/v1/tasks?execution_id={id}"))["items"]
    assert task["status"] == "expired"
