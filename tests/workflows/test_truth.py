"""The row and Temporal tell the same, also when a cancellation meets a decision or the end."""

import asyncio
import random
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowExecutionStatus

from db.session import Access, Role
from domain.executions import ExecutionStatus
from tests.workflows.engine import Engine
from tests.workflows.test_executions import TEMPLATES

SAME = {
    WorkflowExecutionStatus.COMPLETED: ExecutionStatus.COMPLETED,
    WorkflowExecutionStatus.FAILED: ExecutionStatus.FAILED,
    WorkflowExecutionStatus.CANCELED: ExecutionStatus.CANCELLED,
    WorkflowExecutionStatus.TERMINATED: ExecutionStatus.TERMINATED,
}
ASK = [{"ask": {"call": "approve", "with": {"title": "Go on?"}}}, *TEMPLATES[:1]]


async def _agree(engine: Engine, ids: list[str]) -> set[str]:
    rows = await asyncio.gather(*(engine.ended(id) for id in ids))
    described = await asyncio.gather(*(engine.described(id) for id in ids))
    for row, description in zip(rows, described, strict=True):
        assert description.status is not None
        assert SAME[description.status] == row["status"], (dict(row), description.status)
    return {row["status"] for row in rows}


async def _cancel(engine: Engine, id: str) -> None:
    answer = await engine.http.post(f"/v1/executions/{id}/cancel", json={})
    assert answer.status_code in (200, 202, 409), answer.text


async def test_a_cancellation_that_meets_the_end(engine: Engine) -> None:
    workflow_id = await engine.publish(TEMPLATES[:2])
    chance = random.Random(7)

    async def one() -> str:
        started = await engine.start(workflow_id)
        await asyncio.sleep(chance.uniform(0, 0.06))
        await _cancel(engine, started["id"])
        return str(started["id"])

    ids = []
    for _ in range(8):
        ids += await asyncio.gather(*(one() for _ in range(5)))
    await _agree(engine, ids)


@pytest.mark.parametrize("pause", [0.0, 0.005])
async def test_a_cancellation_that_meets_a_decision(engine: Engine, pause: float) -> None:
    workflow_id = await engine.publish(ASK)
    started = [await engine.start(workflow_id) for _ in range(15)]
    rows = [await engine.waiting(execution["id"]) for execution in started]

    async def decide(row: Any) -> None:
        await asyncio.sleep(pause)
        path = f"/v1/tasks/{row['waiting_on']['task_id']}/decision"
        answer = await engine.http.post(path, json={"outcome": "approved"})
        assert answer.status_code in (200, 409), answer.text

    await asyncio.gather(
        *(decide(row) for row in rows), *(_cancel(engine, execution["id"]) for execution in started)
    )
    await _agree(engine, [execution["id"] for execution in started])


async def test_what_was_ended_in_temporal_is_closed_by_cancelling_it(engine: Engine) -> None:
    """Nobody is left to hear the cancellation, so the relay writes down what Temporal says."""
    started = await engine.start(await engine.publish(ASK))
    row = await engine.waiting(started["id"])
    await engine.client.get_workflow_handle(row["temporal_workflow_id"]).terminate("by an operator")
    await _cancel(engine, started["id"])
    async with engine.parts.database.transaction(Access(Role.SYSTEM)) as tx:
        await tx.execute(text("UPDATE outbox SET leased_until = now() WHERE dispatched_at IS NULL"))
    row = await engine.ended(started["id"])
    assert row["status"] == "terminated"
    assert "Temporal" in row["error_message"]
    [task] = (await engine.get(f"/v1/tasks?execution_id={started['id']}"))["items"]
    assert task["status"] == "cancelled"


async def test_large_values_in_a_loop_stay_within_one_message(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With segments of one step each, forty results of 120 KB and more would travel in one workflow task."""
    monkeypatch.setattr("activities.segments.SEGMENT_SECONDS", 0.0)
    monkeypatch.setattr("workflows.errands.DEAF_SEGMENTS", 1000)  # only their size may part them
    line = {
        "call": "data.template",
        "with": {"text": "x"},
        "export": {"as": '{v: ("x" * 120000)}'},
    }
    row = await engine.run([{"often": {"for": {"in": "[range(40)]"}, "do": [{"grow": line}]}}])
    assert row["status"] == "completed", dict(row)
    await _agree(engine, [str(row["id"])])


async def test_a_state_too_large_fails_every_open_step(engine: Engine) -> None:
    grow = {"set": '${ . + {("k" + ($index | tostring)): ("x" * 100000)} }'}
    keep = {"call": "data.template", "with": {"text": "x"}, "output": {"as": "$task.input"}}
    row = await engine.run(
        [
            {"big": {"for": {"in": "[range(30)]"}, "do": [{"grow": grow}, {"keep": keep}]}},
        ]
    )
    assert row["status"] == "failed"
    statuses = {step["status"] for step in await engine.steps(str(row["id"]))}
    assert "running" not in statuses
    assert row["error"]["instance"].startswith("/do/0/big")
