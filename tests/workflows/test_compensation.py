"""What was done is undone, the latest first, whether the execution fails, is cancelled or runs out of time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.worker import WorkflowRunner

from db.session import Access, Role
from tests.workflows.engine import Engine, settings_for, working
from tests.workflows.mail import Mailbox, mailbox, send
from tests.workflows.test_operators import agree
from workers.settings import Settings

ASK: dict[str, Any] = {"call": "approve", "with": {"title": "Go on?"}}


def undoing(name: str, step: dict[str, Any], undo: dict[str, Any]) -> dict[str, Any]:
    return {name: {**step, "metadata": {"compensate": undo}}}


BOOKED = [undoing("room", send("room"), send("no room")), undoing("car", send("car"), send("no car"))]


@pytest.fixture
async def mails() -> AsyncIterator[Mailbox]:
    async with mailbox() as box:
        yield box


@pytest.fixture
def engine_settings(database_url: str, temporal_server: str, mails: Mailbox) -> Settings:
    return settings_for(
        database_url, temporal_server, smtp_url=f"smtp://127.0.0.1:{mails.port}?starttls=false"
    )


async def test_a_cancelled_execution_undoes_what_it_did(
    idle_engine: Engine, runner: WorkflowRunner, mails: Mailbox
) -> None:
    engine = idle_engine
    async with working(engine.parts, engine.client, runner, cached_workflows=0):
        id = str((await engine.start(await engine.publish([*BOOKED, {"ask": ASK}])))["id"])
        await engine.until(id, lambda row: (row["waiting_on"] or {}).get("kind") == "task")
        await engine.post(f"/v1/executions/{id}/cancel", {"reason": "rain"})
        row = await engine.ended(id)
        await engine.described(id)
    assert row["status"] == "cancelled"
    assert mails.subjects == ["room", "car", "no car", "no room"]
    log = [(step["name"], step["occurrence"], step["status"]) for step in await engine.steps(id)]
    assert log == [
        ("room", "/do/0/room#1", "completed"),
        ("car", "/do/1/car#1", "completed"),
        ("ask", "/do/2/ask#1", "cancelled"),
        ("car", "/do/1/car#1!compensate", "completed"),
        ("room", "/do/0/room#1!compensate", "completed"),
    ]
    await agree(engine, id)


async def test_a_failing_compensation_is_told_and_the_others_go_on(engine: Engine, mails: Mailbox) -> None:
    shy = undoing("bus", send("bus"), send("shy"))
    line = {"call": "data.template", "with": {"text": "undone"}}
    do = [undoing("note", {"call": "data.template", "with": {"text": "x"}}, line), shy, *BOOKED]
    row = await engine.run([*do, {"oops": {"set": '${ 1 + "a" }'}}])
    assert (row["status"], row["error"]["instance"]) == ("failed", "/do/4/oops")
    steps = await engine.steps(str(row["id"]))
    undone = [(step["name"], step["status"]) for step in steps if step["occurrence"].endswith("!compensate")]
    assert undone == [("car", "completed"), ("room", "completed"), ("bus", "failed"), ("note", "completed")]
    assert mails.subjects == ["bus", "room", "car", "no car", "no room"]
    await agree(engine, str(row["id"]))


async def test_what_ran_out_of_time_is_undone(engine: Engine, mails: Mailbox) -> None:
    row = await engine.run([*BOOKED, {"ask": ASK}], timeout={"after": {"seconds": 3}})
    assert row["status"] == "timed_out"
    assert mails.subjects == ["room", "car", "no car", "no room"]
    await agree(engine, str(row["id"]))


async def test_while_it_undoes_the_row_says_so_and_a_second_cancellation_ends_it(
    engine: Engine, mails: Mailbox
) -> None:
    do = [*BOOKED, undoing("boat", send("boat"), send("slow")), {"ask": ASK}]
    id = str((await engine.start(await engine.publish(do)))["id"])
    await engine.until(id, lambda row: (row["waiting_on"] or {}).get("kind") == "task")
    await engine.post(f"/v1/executions/{id}/pause", None)
    await engine.until(id, lambda row: row["status"] == "paused")
    await engine.post(f"/v1/executions/{id}/cancel", {})
    row = await engine.until(id, lambda row: row["waiting_on"] == {"kind": "compensation"})
    assert row["status"] == "running"
    async with engine.parts.database.transaction(Access(Role.SYSTEM)) as tx:
        await tx.execute(
            text("UPDATE workflow_executions SET cancel_requested_at = now() - interval '6 seconds'")
        )
    await engine.post(f"/v1/executions/{id}/cancel", {})
    assert (await engine.ended(id))["status"] == "terminated"
    assert mails.subjects == ["room", "car", "boat"]
    await agree(engine, id)


async def test_a_person_undoes_what_no_machine_can(
    idle_engine: Engine, runner: WorkflowRunner, mails: Mailbox
) -> None:
    """A task opens while the execution is undone, and it goes on with the answer; nobody's answer ends it either."""
    engine = idle_engine
    by_hand = undoing("keys", send("keys"), {"call": "approve", "with": {"title": "Are the keys back?"}})
    in_time = {"title": "Is the badge back?", "due": {"milliseconds": 100}, "on_overdue": "fail"}
    late = undoing("badge", send("badge"), {"call": "approve", "with": in_time})
    do = [BOOKED[0], by_hand, late, {"oops": {"set": '${ 1 + "a" }'}}]
    deadlines = asyncio.create_task(engine.parts.deadlines.run())
    async with working(engine.parts, engine.client, runner, cached_workflows=0):
        id = str((await engine.start(await engine.publish(do)))["id"])
        for _ in range(400):
            tasks = (await engine.get(f"/v1/tasks?execution_id={id}&status=open"))["items"]
            if [each["title"] for each in tasks] == ["Are the keys back?"]:
                break
            await asyncio.sleep(0.05)
        await engine.post(f"/v1/tasks/{tasks[0]['id']}/decision", {"outcome": "approved"})
        row = await engine.ended(id)
        await engine.described(id)
    deadlines.cancel()
    await asyncio.gather(deadlines, return_exceptions=True)
    assert (row["status"], row["error"]["instance"]) == ("failed", "/do/3/oops"), row["error"]
    undone = [
        (step["name"], step["status"])
        for step in await engine.steps(id)
        if step["occurrence"].endswith("!compensate")
    ]
    assert undone == [("badge", "failed"), ("keys", "completed"), ("room", "completed")]
    assert mails.subjects == ["room", "keys", "badge", "no room"]
    await agree(engine, id)
