"""Pausing holds an execution still wherever it stands; resuming goes on exactly there."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import RowMapping
from temporalio.worker import WorkflowRunner

from tests.workflows.engine import Engine, working
from tests.workflows.test_delivery import _accept_without_starting, _lease_ends

ASK: dict[str, Any] = {"ask": {"call": "approve", "with": {"title": "Go on?"}}}
THEN: list[dict[str, Any]] = [
    {"greet": {"call": "data.template", "with": {"text": "Hi", "values": {}}}},
    {"done": {"set": {"said": "${ .text }"}}},
]


def _waits_for(name: str) -> dict[str, Any]:
    return {name: {"listen": {"to": {"one": {"with": {"type": name}}}}}}


async def _paused(engine: Engine, id: str) -> RowMapping:
    return await engine.until(id, lambda row: row["status"] == "paused")


async def _decide(engine: Engine, task_id: str) -> None:
    await engine.post(f"/v1/tasks/{task_id}/decision", {"outcome": "approved"})


async def _signals(engine: Engine, id: str, name: str) -> int:
    """How many signals of that name are in the history."""
    handle = engine.client.get_workflow_handle((await engine.row(id))["temporal_workflow_id"])
    history = await handle.fetch_history()
    signals = [event.workflow_execution_signaled_event_attributes.signal_name for event in history.events]
    return signals.count(name)


async def test_what_follows_a_decision_waits_until_somebody_resumes(
    idle_engine: Engine, runner: WorkflowRunner
) -> None:
    """With no cache every workflow task replays the history from its beginning."""
    engine = idle_engine
    async with working(engine.parts, engine.client, runner, cached_workflows=0):
        id = (await engine.start(await engine.publish([ASK, *THEN])))["id"]
        wait = (await engine.waiting(id))["waiting_on"]
        await engine.post(f"/v1/executions/{id}/pause", None)
        row = await _paused(engine, id)
        assert row["waiting_on"] == {"kind": "paused", "next": [], "meanwhile": wait}
        await _decide(engine, wait["task_id"])
        await asyncio.sleep(0.5)
        assert [step["name"] for step in await engine.steps(id)] == ["ask"], "something began in the pause"
        assert (await engine.row(id))["status"] == "paused"
        await engine.post(f"/v1/executions/{id}/resume", None)
        row = await engine.ended(id)
    assert row["status"] == "completed", dict(row)
    assert row["output"] == {"said": "Hi"}


async def test_resuming_shows_the_wait_that_still_goes_on(engine: Engine) -> None:
    id = (await engine.start(await engine.publish([ASK])))["id"]
    wait = (await engine.waiting(id))["waiting_on"]
    for _ in range(2):
        await engine.post(f"/v1/executions/{id}/pause", None)
        await _paused(engine, id)
        await engine.post(f"/v1/executions/{id}/resume", None)
        row = await engine.waiting(id)
        assert row["waiting_on"] == wait
    await _decide(engine, wait["task_id"])
    assert (await engine.ended(id))["status"] == "completed"
    assert (await engine.row(id))["temporal_run_id"]


async def test_a_timer_that_ends_in_a_pause_waits_with_what_follows(engine: Engine) -> None:
    id = (await engine.start(await engine.publish([{"rest": {"wait": {"milliseconds": 700}}}, *THEN])))["id"]
    await engine.waiting(id)
    await engine.post(f"/v1/executions/{id}/pause", None)
    await _paused(engine, id)
    await asyncio.sleep(1)
    assert [step["name"] for step in await engine.steps(id)] == ["rest"]
    await engine.post(f"/v1/executions/{id}/resume", None)
    assert (await engine.ended(id))["status"] == "completed"


async def test_paused_between_segments_the_row_says_what_comes_next(engine: Engine) -> None:
    """Computing goes on for many seconds: a pause lands in the midst of it, and is heard within a few."""
    costly = "${ [range(9000)] | map(. * 2) | add }"
    do = [{f"compute {n}": {"set": {"sum": costly}}} for n in range(400)]
    id = (await engine.start(await engine.publish([*do, *THEN])))["id"]
    await engine.until(id, lambda row: row["status"] == "running")
    await engine.post(f"/v1/executions/{id}/pause", None)
    row = await engine.until(id, lambda row: row["status"] == "paused", 20)
    assert row["waiting_on"]["next"] == [{"step": "", "occurrence": "", "does": "compute"}]
    history = await engine.client.get_workflow_handle(row["temporal_workflow_id"]).fetch_history()
    assert any(event.HasField("timer_started_event_attributes") for event in history.events), (
        "it never listened"
    )
    progress = row["progress"]
    await asyncio.sleep(1)
    assert (await engine.row(id))["progress"] == progress
    await engine.post(f"/v1/executions/{id}/resume", None)
    assert (await engine.ended(id, 60))["status"] == "completed"


async def test_one_paused_before_its_start_begins_nothing(idle_engine: Engine) -> None:
    engine = idle_engine
    workflow_id = await engine.publish(THEN)
    id = str(await _accept_without_starting(engine, workflow_id))
    shown = await engine.post(f"/v1/executions/{id}/pause", None)
    assert (shown["status"], shown["pause_requested"]) == ("queued", True)
    await _lease_ends(engine)
    async with working(engine.parts, engine.client):
        while await engine.parts.relay.sweep():
            await _lease_ends(engine)
        row = await _paused(engine, id)
        assert row["waiting_on"]["next"] == [
            {"step": "greet", "occurrence": "/do/0/greet#1", "does": "data.template"}
        ]
        assert await engine.steps(id) == []
        await engine.post(f"/v1/executions/{id}/resume", None)
        assert (await engine.ended(id))["status"] == "completed"


async def test_wishes_count_by_their_number_however_they_arrive(engine: Engine) -> None:
    """The relay may bring an older wish after a newer one, and any of them twice."""
    id = (await engine.start(await engine.publish([ASK])))["id"]
    wait = (await engine.waiting(id))["waiting_on"]
    handle = engine.client.get_workflow_handle((await engine.row(id))["temporal_workflow_id"])
    await handle.signal("resume", {"number": 2})
    for _ in range(3):
        await handle.signal("pause", {"number": 1})
    await asyncio.sleep(0.3)
    assert (await engine.row(id))["status"] == "waiting"
    await handle.signal("pause")  # by hand, in the Temporal UI
    await _paused(engine, id)
    await engine.post(f"/v1/executions/{id}/resume", None)
    await handle.signal("resume")
    await engine.waiting(id)
    await _decide(engine, wait["task_id"])
    assert (await engine.ended(id))["status"] == "completed"


async def test_a_pause_right_after_a_resumption_counts(engine: Engine) -> None:
    """The row still shows the first pause when the second one is asked for."""
    id = (await engine.start(await engine.publish([ASK])))["id"]
    await engine.waiting(id)
    await engine.post(f"/v1/executions/{id}/pause", None)
    await _paused(engine, id)
    for _ in range(3):
        await engine.post(f"/v1/executions/{id}/resume", None)
        shown = await engine.post(f"/v1/executions/{id}/pause", None)
        assert shown["pause_requested"]
    await asyncio.sleep(1)
    assert (await engine.row(id))["status"] == "paused"
    assert await _signals(engine, id, "pause") == 4
    await engine.post(f"/v1/executions/{id}/resume", None)
    await engine.waiting(id)


async def test_a_pause_counts_after_an_operator_resumed_in_temporal(engine: Engine) -> None:
    """The last wish of the product was a pause as well, but it holds no more."""
    id = (await engine.start(await engine.publish([ASK])))["id"]
    await engine.waiting(id)
    handle = engine.client.get_workflow_handle((await engine.row(id))["temporal_workflow_id"])
    for _ in range(2):
        await engine.post(f"/v1/executions/{id}/pause", None)
        await _paused(engine, id)
        await handle.signal("resume")
        await engine.waiting(id)
    await handle.signal("pause")
    await _paused(engine, id)
    await engine.post(f"/v1/executions/{id}/resume", None)
    await engine.waiting(id)


async def test_asking_in_a_loop_sends_no_signal_each_time(idle_engine: Engine) -> None:
    """Nobody works, so nothing takes effect: one wish on its way is enough."""
    engine = idle_engine
    id = (await engine.start(await engine.publish([ASK])))["id"]
    for _ in range(10):
        assert (await engine.http.post(f"/v1/executions/{id}/pause")).status_code == 202
    assert await _signals(engine, id, "pause") <= 1
    async with working(engine.parts, engine.client):
        await _paused(engine, id)
        assert (await engine.http.post(f"/v1/executions/{id}/pause")).status_code == 200


async def test_cancelling_while_paused_cancels(engine: Engine) -> None:
    id = (await engine.start(await engine.publish([ASK])))["id"]
    await engine.waiting(id)
    await engine.post(f"/v1/executions/{id}/pause", None)
    await _paused(engine, id)
    await engine.post(f"/v1/executions/{id}/cancel", {})
    row = await engine.ended(id)
    assert row["status"] == "cancelled"
    assert row["waiting_on"] is None
    answer = await engine.http.post(f"/v1/executions/{id}/resume")
    assert (answer.status_code, answer.json()["code"]) == (409, "execution_closed")


async def test_a_pause_and_a_resumption_cost_one_local_activity_each(engine: Engine) -> None:
    id = (await engine.start(await engine.publish([ASK, *THEN])))["id"]
    wait = (await engine.waiting(id))["waiting_on"]
    await engine.post(f"/v1/executions/{id}/pause", None)
    await _paused(engine, id)
    for _ in range(3):  # asking again asks nothing
        assert (await engine.http.post(f"/v1/executions/{id}/pause")).status_code == 200
    await engine.post(f"/v1/executions/{id}/resume", None)
    await engine.waiting(id)
    await _decide(engine, wait["task_id"])
    await engine.ended(id)
    assert await _signals(engine, id, "pause") == 1
    events = await engine.events(id)
    plain = (await engine.start(await engine.publish([ASK, *THEN])))["id"]
    await _decide(engine, (await engine.waiting(plain))["waiting_on"]["task_id"])
    await engine.ended(plain)
    usual = (await engine.events(plain)).count("marker_recorded")
    assert events.count("marker_recorded") == usual + 2, events


async def test_a_lost_worker_finds_the_execution_paused(idle_engine: Engine) -> None:
    engine = idle_engine
    async with working(engine.parts, engine.client):
        id = (await engine.start(await engine.publish([ASK, *THEN])))["id"]
        wait = (await engine.waiting(id))["waiting_on"]
        await engine.post(f"/v1/executions/{id}/pause", None)
        await _paused(engine, id)
    await _decide(engine, wait["task_id"])
    async with working(engine.parts, engine.client):
        await asyncio.sleep(1)
        assert (await engine.row(id))["status"] == "paused"
        await engine.post(f"/v1/executions/{id}/resume", None)
        assert (await engine.ended(id))["status"] == "completed"


async def test_a_pause_survives_a_new_run(engine: Engine) -> None:
    """The tests' server suggests one at 40 events; signals that nobody asks for fill the history."""
    do = [_waits_for("first"), _waits_for("more"), *THEN]
    id = (await engine.start(await engine.publish(do)))["id"]
    await engine.waiting(id)
    await engine.post(f"/v1/executions/{id}/pause", None)
    await _paused(engine, id)
    before = (await engine.row(id))["temporal_run_id"]
    await engine.post(f"/v1/executions/{id}/signal", {"type": "more", "data": "kept"})
    await engine.post(f"/v1/executions/{id}/signal", {"type": "first"})
    for _ in range(20):
        await engine.post(f"/v1/executions/{id}/signal", {"type": "noise", "id": str(uuid4())})
        await asyncio.sleep(0.05)
    row = await engine.until(id, lambda row: row["temporal_run_id"] != before)
    assert row["status"] == "paused"
    assert [(step["name"], step["status"]) for step in await engine.steps(id)] == [("first", "waiting")]
    await engine.post(f"/v1/executions/{id}/resume", None)
    row = await engine.ended(id)
    assert row["status"] == "completed", dict(row)
    more = next(step for step in await engine.steps(id) if step["name"] == "more")
    assert more["output"] == ["kept"]


@pytest.mark.parametrize("word", ["pause", "resume", "signal"])
async def test_what_has_ended_is_left_alone(engine: Engine, word: str) -> None:
    id = (await engine.start(await engine.publish(THEN)))["id"]
    await engine.ended(id)
    body = {"type": "paid"} if word == "signal" else None
    answer = await engine.http.post(f"/v1/executions/{id}/{word}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "execution_closed")
    assert "completed" in answer.json()["detail"]
