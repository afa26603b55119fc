"""Starting exactly once: what was accepted starts, once, whoever carries it and however often."""

import asyncio
import io
import json
import logging
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from db.outbox import Outbox, OutboxEntry
from db.session import Access, Role
from tests.workflows.engine import Engine, working
from tests.workflows.test_executions import TEMPLATES
from workers import logs
from workers.temporal.dispatcher import NotThere
from workers.wiring import wire

SYSTEM = Access(Role.SYSTEM)


async def _lease_ends(engine: Engine) -> None:
    async with engine.parts.database.transaction(SYSTEM) as tx:
        await tx.execute(text("UPDATE outbox SET leased_until = now() - interval '1 second'"))


async def _undelivered(engine: Engine) -> int:
    async with engine.parts.database.transaction(SYSTEM) as tx:
        count = await tx.scalar(text("SELECT count(*) FROM outbox WHERE dispatched_at IS NULL"))
    return int(count or 0)


async def test_the_relay_leaves_a_leased_row_alone_and_starts_it_afterwards(idle_engine: Engine) -> None:
    engine = idle_engine
    workflow_id = await engine.publish(TEMPLATES)
    await _accept_without_starting(engine, workflow_id)
    assert await engine.parts.relay.sweep() == 0
    await _lease_ends(engine)
    assert await engine.parts.relay.sweep() == 1
    assert await _undelivered(engine) == 0


async def test_delivering_the_same_start_many_times_starts_one_execution(idle_engine: Engine) -> None:
    engine = idle_engine
    workflow_id = await engine.publish(TEMPLATES)
    id = await _accept_without_starting(engine, workflow_id)
    entry = await _entry(engine)
    await asyncio.gather(*(engine.parts.dispatcher.deliver(entry) for _ in range(10)))
    async with working(engine.parts, engine.client):
        row = await engine.ended(str(id))
    assert row["status"] == "completed"
    await engine.described(str(id))
    await engine.parts.dispatcher.deliver(entry)  # also long after it closed
    runs = [
        run async for run in engine.client.list_workflows(f"WorkflowId = '{row['temporal_workflow_id']}'")
    ]
    assert len(runs) <= 1


async def test_a_run_has_one_beginning_however_late_its_first_task_comes(idle_engine: Engine) -> None:
    """Reports are ordered by it: a repeated first task must not look like a later run."""
    engine = idle_engine
    started = await engine.start(await engine.publish(TEMPLATES))
    await asyncio.sleep(0.2)
    async with working(engine.parts, engine.client):
        row = await engine.ended(started["id"])
    description = await engine.described(started["id"])
    assert row["mirror_version"][0] == int(description.start_time.timestamp() * 1000)


async def test_cancelling_before_the_start_closes_row_and_outbox_together(idle_engine: Engine) -> None:
    engine = idle_engine
    workflow_id = await engine.publish(TEMPLATES)
    id = await _accept_without_starting(engine, workflow_id)
    await _lease_ends(engine)
    await engine.post(f"/v1/executions/{id}/cancel", {})
    assert (await engine.row(str(id)))["status"] == "cancelled"
    assert await _undelivered(engine) == 0
    assert await engine.parts.relay.sweep() == 0


async def test_cancelling_while_the_start_is_under_way_follows_it(idle_engine: Engine) -> None:
    engine = idle_engine
    workflow_id = await engine.publish([{"ask": {"call": "approve", "with": {"title": "Go on?"}}}])
    id = await _accept_without_starting(engine, workflow_id)
    await engine.post(f"/v1/executions/{id}/cancel", {})
    assert (await engine.row(str(id)))["status"] == "queued"
    await _lease_ends(engine)
    async with working(engine.parts, engine.client):
        while await engine.parts.relay.sweep():
            await _lease_ends(engine)
        row = await engine.ended(str(id))
    assert row["status"] == "cancelled"


async def test_a_row_that_was_closed_stops_a_start_that_arrives_after_all(
    idle_engine: Engine,
) -> None:
    engine = idle_engine
    workflow_id = await engine.publish(
        [{"make it": {"call": "client.create", "with": {"name": "Should not exist"}}}]
    )
    id = await _accept_without_starting(engine, workflow_id)
    entry = await _entry(engine)
    await _lease_ends(engine)
    await engine.post(f"/v1/executions/{id}/cancel", {})
    await engine.parts.dispatcher.deliver(entry)
    async with working(engine.parts, engine.client):
        description = await engine.described(str(id))
    assert description.status is not None
    assert description.status.name == "CANCELED"
    assert (await engine.row(str(id)))["status"] == "cancelled"
    assert (await engine.get("/v1/clients"))["items"] == []


async def test_what_the_api_accepted_while_it_could_not_start_is_started_by_the_relay(engine: Engine) -> None:
    workflow_id = await engine.publish(TEMPLATES)
    id = await _accept_without_starting(engine, workflow_id)
    await _lease_ends(engine)
    assert (await engine.ended(str(id)))["status"] == "completed"


async def _accept_without_starting(engine: Engine, workflow_id: str) -> UUID:
    """As if the API had been killed between its commit and the start."""
    deliver = engine.parts.dispatcher.deliver

    async def lost(_: object) -> None:
        raise TimeoutError("killed")

    engine.parts.dispatcher.deliver = lost  # type: ignore[method-assign]
    try:
        started = await engine.start(workflow_id)
    finally:
        engine.parts.dispatcher.deliver = deliver  # type: ignore[method-assign]
    return UUID(started["id"])


async def _entry(engine: Engine) -> OutboxEntry:
    await _lease_ends(engine)
    async with engine.parts.database.transaction(SYSTEM) as tx:
        [entry] = await Outbox(tx).claim(limit=10, lease=timedelta(seconds=0))
    return entry


async def test_all_roles_of_a_process_share_one_client_so_that_starts_are_eager(engine: Engine) -> None:
    """Two clients in one process cost every execution the way through the task queue: 25 of 50 ms."""
    connection = wire(engine.parts.settings).connection
    first, *others = await asyncio.gather(*(connection.connect() for _ in range(3)))
    assert all(other is first for other in others)
    row = await engine.ended((await engine.start(await engine.publish([{"take": {"set": {"n": 1}}}])))["id"])
    history = await engine.client.get_workflow_handle(row["temporal_workflow_id"]).fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    assert started.eager_execution_accepted


async def test_a_cancellation_that_took_effect_is_delivered_and_one_that_came_too_late_is_not(
    engine: Engine,
) -> None:
    dispatcher = engine.parts.dispatcher
    asking = await engine.publish([{"ask": {"call": "approve", "with": {"title": "Go on?"}}}])
    ends = {}
    for workflow_id in (asking, await engine.publish(TEMPLATES)):
        id = (await engine.start(workflow_id))["id"]
        if workflow_id == asking:
            await engine.waiting(id)
            await engine.post(f"/v1/executions/{id}/cancel", {})
        row = await engine.ended(id)
        await engine.described(id)
        ends[row["status"]] = row["temporal_workflow_id"]
    await dispatcher.cancel(ends["cancelled"])  # by the relay, say, which had not heard of the first delivery
    with pytest.raises(NotThere):
        await dispatcher.cancel(ends["completed"])


async def test_lines_about_a_delivery_say_whose_it_is(
    idle_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = idle_engine
    id = await _accept_without_starting(engine, await engine.publish(TEMPLATES))
    entry = await _entry(engine)
    await _lease_ends(engine)

    async def silent(_: OutboxEntry) -> None:
        raise TimeoutError

    monkeypatch.setattr(engine.parts.dispatcher, "deliver", silent)
    monkeypatch.setattr(engine.parts.dispatcher, "_away_until", 0.0)
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = list(root.handlers), root.level
    logs.configure("info", "json", stream)
    try:
        await engine.parts.dispatcher.dispatch(entry)
        await engine.parts.relay.sweep()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    about = {"organization": str(engine.organization_id), "execution": str(id)}
    for logger in ("workers.temporal.dispatcher", "workers.relay"):
        [line] = [line for line in lines if line["logger"] == logger]
        assert about.items() <= line.items()
        assert "no answer within" in line["event"] or "did not answer within" in line["event"]
    assert logs.reason(TimeoutError()) == "TimeoutError"
