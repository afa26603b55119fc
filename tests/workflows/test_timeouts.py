"""Deadlines through the real worker: one alarm for all of them, whatever is under way and over however many runs."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.worker import WorkflowRunner

from tests.workflows.engine import Engine, settings_for, working
from tests.workflows.mail import Mailbox, mailbox, send
from tests.workflows.test_executions import TEMPLATES
from tests.workflows.test_operators import agree, reconciliations
from workers.settings import Settings

ASK: dict[str, Any] = {"call": "approve", "with": {"title": "Go on?"}}
TIMEOUT = "https://serverlessworkflow.io/spec/1.0.0/errors/timeout"


def within(milliseconds: int, step: dict[str, Any]) -> dict[str, Any]:
    return {**step, "timeout": {"after": {"milliseconds": milliseconds}}}


def guarded(step: dict[str, Any]) -> dict[str, Any]:
    """Whatever times out inside is answered with the error's status."""
    caught = [{"late": {"set": {"status": "${ $error.status }", "at": "${ $error.instance }"}}}]
    return {"try": [{"inner": step}], "catch": {"errors": {"with": {"type": TIMEOUT}}, "do": caught}}


@pytest.fixture
async def mails() -> AsyncIterator[Mailbox]:
    async with mailbox() as box:
        yield box


@pytest.fixture
def engine_settings(database_url: str, temporal_server: str, mails: Mailbox) -> Settings:
    return settings_for(
        database_url, temporal_server, smtp_url=f"smtp://127.0.0.1:{mails.port}?starttls=false"
    )


async def test_a_question_nobody_answers_in_time_is_withdrawn(
    idle_engine: Engine, runner: WorkflowRunner
) -> None:
    engine = idle_engine
    async with working(engine.parts, engine.client, runner, cached_workflows=0):
        do = [{"ask": guarded(within(700, ASK))}, {"then": {"wait": {"milliseconds": 100}}}]
        id = str((await engine.start(await engine.publish(do)))["id"])
        row = await engine.ended(id)
    assert row["status"] == "completed", dict(row)
    assert row["output"] == {"status": 408, "at": "/do/0/ask/try/0/inner"}
    tasks = (await engine.get(f"/v1/tasks?execution_id={id}"))["items"]
    assert [task["status"] for task in tasks] == ["cancelled"]
    assert await engine.client.get_workflow_handle(row["temporal_workflow_id"]).result() is None


async def test_an_action_that_takes_too_long_is_cancelled(engine: Engine, mails: Mailbox) -> None:
    began = time.monotonic()
    row = await engine.run([{"mail": guarded(within(1000, send("slow")))}])
    assert (row["status"], row["output"]["status"]) == ("completed", 408), dict(row)
    assert time.monotonic() - began < 15
    assert (mails.begun, mails.subjects) == (["slow"], [])
    [inner] = [step for step in await engine.steps(str(row["id"])) if step["name"] == "inner"]
    assert inner["status"] == "failed"


@pytest.mark.parametrize("rest", [ASK, {"wait": {"hours": 1}}, send("slow")], ids=["ask", "wait", "call"])
async def test_an_execution_that_lives_too_long_has_timed_out(engine: Engine, rest: dict[str, Any]) -> None:
    row = await engine.run([{"rest": rest}], timeout={"after": {"seconds": 1}})
    assert row["status"] == "timed_out"
    assert (row["error"]["status"], row["error"]["type"]) == (408, TIMEOUT)
    described = await engine.described(str(row["id"]))
    assert described.status is WorkflowExecutionStatus.FAILED, "a run cannot close as timed out by itself"
    assert [step["status"] for step in await engine.steps(str(row["id"]))] == ["cancelled"]
    await engine.parts.reconciler.sweep()
    assert await reconciliations(engine, str(row["id"])) == [], "supervision took that for a contradiction"
    await agree(engine, str(row["id"]))


async def test_a_deadline_survives_new_runs(engine: Engine) -> None:
    """The tests' server suggests one at 40 events; signals that nobody asks for fill the history."""
    listen = {"listen": {"to": {"one": {"with": {"type": "never"}}}}}
    id = str((await engine.start(await engine.publish([{"hear": guarded(within(4000, listen))}])))["id"])
    row = await engine.waiting(id)
    began = time.monotonic()
    handle = engine.client.get_workflow_handle(row["temporal_workflow_id"])
    first = (await handle.describe()).run_id
    for _ in range(20):
        await engine.post(f"/v1/executions/{id}/signal", {"type": "noise", "id": str(uuid4())})
        await asyncio.sleep(0.05)
    row = await engine.ended(id)
    took = time.monotonic() - began
    assert (await handle.describe()).run_id != first, "it never continued as new"
    assert row["output"]["status"] == 408, dict(row)
    assert 3 < took < 7, took
    await agree(engine, id)


async def test_deadlines_nobody_meets_cost_no_events(engine: Engine) -> None:
    plain = (await engine.run(TEMPLATES))["id"]
    timed = [{name: within(30_000, step)} for each in TEMPLATES for name, step in each.items()]
    row = await engine.run(timed, timeout={"after": {"hours": 1}})
    assert await engine.events(str(row["id"])) == await engine.events(str(plain))


async def test_one_alarm_serves_many_deadlines(engine: Engine, mails: Mailbox) -> None:
    do = [{f"mail {number}": within(30_000, send(f"number {number}"))} for number in range(4)]
    row = await engine.run(do)
    events = await engine.events(str(row["id"]))
    assert (events.count("timer_started"), events.count("timer_canceled")) == (1, 0), events


async def test_computing_is_ended_between_its_segments(engine: Engine) -> None:
    costly = {"set": {"sum": "${ [range(9000)] | map(. * 2) | add }"}}
    body = [{"again": costly}]
    row = await engine.run(
        [{"long": {"for": {"in": "[range(5000)]"}, "do": body}}], timeout={"after": {"milliseconds": 1500}}
    )
    assert row["status"] == "timed_out", dict(row)
    await agree(engine, str(row["id"]))
