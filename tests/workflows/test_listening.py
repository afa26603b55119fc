"""Signals reach a listening step once, and wait for it where it is not there yet."""

import asyncio
from typing import Any

from temporalio.worker import WorkflowRunner

from db.control import MAXIMUM_KEPT
from tests.workflows.engine import Engine, working
from tests.workflows.test_delivery import _lease_ends


def _listen(type: str, **more: Any) -> dict[str, Any]:
    return {"listen": {"to": {"one": {"with": {"type": type}}}, **more}}


async def test_a_signal_reaches_the_step_that_listens(idle_engine: Engine, runner: WorkflowRunner) -> None:
    engine = idle_engine
    async with working(engine.parts, engine.client, runner, cached_workflows=0):
        do = [{"hear": _listen("paid")}, {"use": {"set": {"amount": "${ .[0].amount }"}}}]
        id = (await engine.start(await engine.publish(do)))["id"]
        row = await engine.waiting(id)
        assert row["waiting_on"] == {
            "kind": "event",
            "step": "hear",
            "occurrence": "/do/0/hear#1",
            "type": "paid",
        }
        await engine.post(f"/v1/executions/{id}/signal", {"type": "opened"})
        await engine.post(f"/v1/executions/{id}/signal", {"type": "paid", "data": {"amount": 7}})
        row = await engine.ended(id)
    assert row["output"] == {"amount": 7}, dict(row)
    assert (await engine.steps(id))[0]["output"] == [{"amount": 7}]


async def test_signals_are_kept_in_order_for_steps_that_listen_later(engine: Engine) -> None:
    do = [
        {"ask": {"call": "approve", "with": {"title": "Go on?"}}},
        {"first": _listen("paid", read="envelope")},
        {"second": _listen("paid")},
        {"both": {"set": {"second": "${ . }", "first": "${ $steps.first }"}}},
    ]
    id = (await engine.start(await engine.publish(do)))["id"]
    task = (await engine.waiting(id))["waiting_on"]["task_id"]
    for name in ("a", "b"):
        for _ in range(3):  # the same id again is the same signal
            sent = await engine.post(
                f"/v1/executions/{id}/signal", {"type": "paid", "id": name, "data": {"n": name}}
            )
            assert sent["id"] == name
    await engine.post(f"/v1/tasks/{task}/decision", {"outcome": "approved"})
    row = await engine.ended(id)
    assert row["status"] == "completed", dict(row)
    first = row["output"]["first"][0]
    assert (first["id"], first["type"], first["data"], first["specversion"]) == (
        "a",
        "paid",
        {"n": "a"},
        "1.0",
    )
    assert row["output"]["second"] == [{"n": "b"}]
    assert (await engine.events(id)).count("workflow_execution_signaled") == 3


async def test_a_delivery_that_repeats_arrives_once(engine: Engine) -> None:
    do = [{"ask": {"call": "approve", "with": {"title": "Go on?"}}}, {"a": _listen("x")}, {"b": _listen("x")}]
    id = (await engine.start(await engine.publish(do)))["id"]
    row = await engine.waiting(id)
    handle = engine.client.get_workflow_handle(row["temporal_workflow_id"])
    for _ in range(3):
        await handle.signal("event", {"id": "1", "source": "s", "type": "x", "data": 1})
    await engine.post(f"/v1/tasks/{row['waiting_on']['task_id']}/decision", {"outcome": "approved"})
    row = await engine.until(id, lambda row: (row["waiting_on"] or {}).get("step") == "b")
    await engine.post(f"/v1/executions/{id}/signal", {"type": "x", "data": 2})
    assert (await engine.ended(id))["output"] == [2]


async def test_an_id_means_one_signal(engine: Engine) -> None:
    id = (await engine.start(await engine.publish([{"hear": _listen("never")}])))["id"]
    await engine.post(f"/v1/executions/{id}/signal", {"type": "x", "id": "1", "data": 1})
    answer = await engine.http.post(f"/v1/executions/{id}/signal", json={"type": "x", "id": "1", "data": 2})
    assert (answer.status_code, answer.json()["code"]) == (409, "signal_id_reused")


async def test_signals_nobody_asks_for_are_refused_in_time(engine: Engine) -> None:
    id = (await engine.start(await engine.publish([{"hear": _listen("never")}])))["id"]
    await engine.waiting(id)
    answers = await asyncio.gather(
        *(
            engine.http.post(f"/v1/executions/{id}/signal", json={"type": "x"})
            for _ in range(MAXIMUM_KEPT + 5)
        )
    )
    codes = [answer.status_code for answer in answers]
    assert codes.count(202) == MAXIMUM_KEPT
    assert codes.count(409) == 5
    large = await engine.http.post(f"/v1/executions/{id}/signal", json={"type": "x", "data": "x" * 20_000})
    assert large.status_code == 422


async def test_the_relay_brings_a_signal_that_was_not_taken(engine: Engine) -> None:
    id = (await engine.start(await engine.publish([{"hear": _listen("paid")}])))["id"]
    await engine.waiting(id)
    deliver = engine.parts.dispatcher.deliver

    async def lost(_: object) -> None:
        raise TimeoutError("killed")

    engine.parts.dispatcher.deliver = lost  # type: ignore[method-assign]
    await engine.post(f"/v1/executions/{id}/signal", {"type": "paid", "data": 1})
    engine.parts.dispatcher.deliver = deliver  # type: ignore[method-assign]
    await _lease_ends(engine)
    assert (await engine.ended(id))["output"] == [1]
