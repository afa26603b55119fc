"""Executions end to end: the outcome, the mirror beside it, and what it costs in Temporal's history."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowExecutionStatus

from api import starting
from db.session import Access, Role
from tests.workflows.engine import Engine, working
from workers.temporal.dispatcher import ASK_AFTER_AT_HOME
from workers.wiring import wire

TEMPLATES = [
    {f"line {number}": {"call": "data.template", "with": {"text": "{{ n }}", "values": {"n": number}}}}
    for number in range(1, 6)
]


async def test_steps_run_and_the_row_tells_their_outcome(engine: Engine) -> None:
    row = await engine.run(
        [
            {"double": {"set": {"n": "${ .n * 2 }"}}},
            {"say": {"call": "data.template", "with": {"text": "{{ n }} it is", "values": {"n": "${ .n }"}}}},
        ],
        {"n": 21},
    )
    assert row["status"] == "completed", dict(row)
    assert row["output"] == {"text": "42 it is"}
    assert row["progress"] == 100
    assert row["started_at"] is not None
    assert row["completed_at"] >= row["started_at"]
    steps = await engine.steps(str(row["id"]))
    assert [(step["name"], step["status"]) for step in steps] == [
        ("double", "completed"),
        ("say", "completed"),
    ]
    assert steps[1]["action"] == "data.template"
    assert steps[1]["output"] == {"text": "42 it is"}
    description = await engine.described(str(row["id"]))
    assert description.status is WorkflowExecutionStatus.COMPLETED


async def test_a_fault_fails_the_row_and_the_execution_alike(engine: Engine) -> None:
    row = await engine.run([{"break it": {"set": {"n": "${ .name + 1 }"}}}], {"name": "a"})
    assert row["status"] == "failed"
    assert row["error"]["instance"] == "/do/0/break it"
    assert "/do/0/break it" in row["error_message"]
    steps = await engine.steps(str(row["id"]))
    assert [step["status"] for step in steps] == ["failed"]
    description = await engine.described(str(row["id"]))
    assert description.status is WorkflowExecutionStatus.FAILED


async def test_five_steps_cost_one_segment_which_commits_the_end_as_well(engine: Engine) -> None:
    row = await engine.run(TEMPLATES)
    assert row["status"] == "completed"
    events = await engine.events(str(row["id"]))
    assert events.count("marker_recorded") == 1, events
    assert events.count("activity_task_scheduled") == 0
    # Nor does it end before its last step: the transaction began before all of them.
    assert row["completed_at"] >= max(each["completed_at"] for each in await engine.steps(str(row["id"])))


async def test_while_an_execution_waits_its_row_names_the_step(engine: Engine) -> None:
    workflow_id = await engine.publish([{"pause a while": {"wait": {"seconds": 2}}}])
    lags = []
    for _ in range(5):
        started = await engine.start(workflow_id)
        row = await engine.waiting(started["id"])
        assert row["waiting_on"]["step"] == "pause a while"
        assert row["waiting_on"]["kind"] == "timer"
        [pause] = await engine.steps(started["id"])
        lags.append((row["updated_at"] - pause["started_at"]).total_seconds())
    assert sorted(lags)[2] <= 0.25, lags
    assert (await engine.ended(started["id"]))["status"] == "completed"


async def test_a_person_decides_and_the_execution_goes_on(engine: Engine) -> None:
    workflow_id = await engine.publish(
        [
            {"ask": {"call": "approve", "with": {"title": "Go on with ${ .name }?"}}},
            {"report": {"set": {"by": "${ .decided_by }", "yes": "${ .approved }"}}},
        ]
    )
    started = await engine.start(workflow_id, {"name": "this"})
    row = await engine.waiting(started["id"])
    assert row["waiting_on"]["title"] == "Go on with this?"
    task_id = row["waiting_on"]["task_id"]
    await engine.post(f"/v1/tasks/{task_id}/decision", {"outcome": "approved"})
    row = await engine.ended(started["id"])
    assert row["status"] == "completed", dict(row)
    assert row["output"]["yes"] is True


async def test_a_task_nobody_could_read_fails_its_step(engine: Engine) -> None:
    row = await engine.run([{"ask": {"call": "approve", "with": {"title": "${ .title }"}}}], {"title": 7})
    assert row["status"] == "failed"
    assert row["error"]["instance"] == "/do/0/ask"
    assert "title" in row["error_message"]


async def test_cancelling_a_waiting_execution_cancels_it_everywhere(engine: Engine) -> None:
    workflow_id = await engine.publish([{"ask": {"call": "approve", "with": {"title": "Go on?"}}}])
    started = await engine.start(workflow_id)
    row = await engine.waiting(started["id"])
    await engine.post(f"/v1/executions/{started['id']}/cancel", {"reason": "not needed"})
    row = await engine.ended(started["id"])
    assert row["status"] == "cancelled"
    assert (await engine.described(started["id"])).status is WorkflowExecutionStatus.CANCELED
    tasks = (await engine.get(f"/v1/tasks?execution_id={started['id']}"))["items"]
    assert [task["status"] for task in tasks] == ["cancelled"]
    steps = await engine.steps(started["id"])
    assert [step["status"] for step in steps] == ["cancelled"]


async def test_a_loop_runs_its_steps_in_one_segment(engine: Engine) -> None:
    body: list[dict[str, Any]] = [
        {"greet": {"call": "data.template", "with": {"text": "{{ n }}", "values": {"n": "${ $item }"}}}}
    ]
    row = await engine.run([{"each": {"for": {"in": ".names"}, "do": body}}], {"names": ["a", "b", "c"]})
    assert row["status"] == "completed", dict(row)
    assert row["output"] == {"text": "c"}
    steps = await engine.steps(str(row["id"]))
    assert [step["occurrence"] for step in steps][1:] == [f"/do/0/each/do/0/greet#{n}" for n in (1, 2, 3)]
    events = await engine.events(str(row["id"]))
    assert events.count("marker_recorded") == 1


async def test_eighty_costly_expressions_complete(engine: Engine) -> None:
    """Each takes 50 to 100 ms: together four times what one activation may compute."""
    costly = "${ [range(9000)] | map(. * 2) | add }"
    do = [{f"compute {n}": {"set": {"sum": costly}}} for n in range(40)]
    do.append({"and forty at once": {"set": {f"sum {n}": costly for n in range(40)}}})
    row = await engine.ended((await engine.start(await engine.publish(do)))["id"], seconds=90)
    assert row["status"] == "completed", dict(row)
    assert row["output"]["sum 0"] == 80991000


async def test_many_executions_at_once_all_end(engine: Engine) -> None:
    workflow_id = await engine.publish(TEMPLATES)
    started = await asyncio.gather(*(engine.start(workflow_id) for _ in range(30)))
    rows = await asyncio.gather(*(engine.ended(execution["id"]) for execution in started))
    assert {row["status"] for row in rows} == {"completed"}


async def test_waiting_for_the_result_answers_what_the_row_says_wherever_it_closed(
    idle_engine: Engine,
) -> None:
    """In this process the finishing transaction hands its row over; from another one it is read."""
    engine = idle_engine
    workflow_id = await engine.publish(TEMPLATES)
    elsewhere = wire(engine.parts.settings, pool_size=4)
    client = await elsewhere.connection.connect()
    for parts in (engine.parts, elsewhere):
        async with working(parts, client):
            answer = await engine.http.post(
                f"/v1/workflows/{workflow_id}/executions", json={}, headers={"Prefer": "wait=20"}
            )
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "completed"
        assert answer.json() == await engine.get(f"/v1/executions/{answer.json()['id']}")
    await elsewhere.close()


async def test_waiting_hears_of_ends_elsewhere_although_this_process_ended_one_from_outside(
    idle_engine: Engine,
) -> None:
    """An API without a worker that terminated something must not take itself for the home of all executions."""
    engine = idle_engine
    elsewhere = wire(engine.parts.settings, pool_size=4)
    client = await elsewhere.connection.connect()
    stuck = await engine.start(await engine.publish([{"nap": {"wait": {"seconds": 600}}}]))
    async with working(elsewhere, client):
        await engine.waiting(stuck["id"])
    await engine.post(f"/v1/executions/{stuck['id']}/cancel", {})
    async with engine.parts.database.transaction(Access(Role.SYSTEM)) as tx:
        await tx.execute(
            text("UPDATE workflow_executions SET cancel_requested_at = now() - interval '6 seconds'")
        )
    await engine.post(f"/v1/executions/{stuck['id']}/cancel", {})
    assert (await engine.row(stuck["id"]))["status"] == "terminated"
    async with working(elsewhere, client):
        path = f"/v1/workflows/{await engine.publish(TEMPLATES)}/executions"
        await engine.http.post(path, json={}, headers={"Prefer": "wait=20"})  # the worker has warmed up
        began = time.monotonic()
        answer = await engine.http.post(path, json={}, headers={"Prefer": "wait=20"})
        took = time.monotonic() - began
    await elsewhere.close()
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert took < ASK_AFTER_AT_HOME


async def test_an_end_nobody_heard_of_in_time_is_read_from_the_row(idle_engine: Engine) -> None:
    """The process is at home to executions, but another one's worker took this: within 2 s nobody asks."""
    engine = idle_engine
    path = f"/v1/workflows/{await engine.publish(TEMPLATES)}/executions"
    elsewhere = wire(engine.parts.settings, pool_size=4)
    client = await elsewhere.connection.connect()
    for parts in (engine.parts, elsewhere):
        async with working(parts, client):
            answer = await engine.http.post(path, json={}, headers={"Prefer": "wait=2"})
        assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    await elsewhere.close()


async def test_what_was_accepted_is_answered_so_although_its_row_cannot_be_read(
    idle_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: Any) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(starting, "_view", lost)
    path = f"/v1/workflows/{await idle_engine.publish(TEMPLATES)}/executions"
    answer = await idle_engine.http.post(path, json={}, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
