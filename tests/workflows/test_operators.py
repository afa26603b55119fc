"""Whatever an operator does in Temporal is in the row within the stated time: 10 s, for a deletion the next sweep."""

import asyncio
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import RowMapping, text
from temporalio.client import WorkflowExecutionStatus

from db.engine import create_engine
from db.session import Access, Role
from db.supervision import Mending, Supervision
from domain.executions import ExecutionStatus
from domain.mirror import Mismatch, same_end
from tests.factories.invariants import SAME, settled, violations
from tests.workflows.engine import Engine
from tests.workflows.operators import Operator
from tests.workflows.test_executions import TEMPLATES
from tests.workflows.test_truth import ASK
from workers.reconciler import Pace, Reconciler

STATED = 10.0
WAIT = [{"pause": {"wait": {"hours": 1}}}]
#: Long enough under way to be met in the middle of it.
BUSY = [
    {"busy": {"for": {"in": "[range(3000)]"}, "do": [{"work": {"set": {"n": "${ [range(3000)] | add }"}}}]}}
]
#: An execution that is …: its definition, and the status in which it is met.
MET = {
    "waiting for a person": (ASK, "waiting"),
    "waiting for a time": (WAIT, "waiting"),
    "in a segment": (BUSY, "running"),
}


async def operator(engine: Engine, id: str) -> Operator:
    return Operator(engine.client, (await engine.row(id))["temporal_workflow_id"])


async def met(engine: Engine, which: str) -> str:
    do, status = MET[which]
    id = str((await engine.start(await engine.publish(do)))["id"])
    await engine.until(id, lambda row: row["status"] == status)
    return id


async def reconciliations(engine: Engine, id: str) -> list[RowMapping]:
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        query = text("SELECT * FROM reconciliations WHERE execution_id = :id ORDER BY found_at")
        return list((await tx.execute(query, {"id": UUID(id)})).mappings())


async def in_time(engine: Engine, id: str, seconds: float = STATED) -> RowMapping:
    began = time.monotonic()
    row = await engine.ended(id, seconds)
    print(f"mirrored after {time.monotonic() - began:.2f} s")
    return row


async def agree(engine: Engine, id: str) -> None:
    """Temporal's account and the row, and everything else that must hold."""
    await settled(engine.parts.database, 10)
    row, described = await engine.row(id), await engine.described(id)
    assert described.status is not None
    assert same_end(ExecutionStatus(row["status"]), SAME[described.status]), (row["status"], described.status)
    assert described.run_id == row["temporal_run_id"]
    assert await violations(engine.parts.database, engine.client) == []


@pytest.mark.parametrize("which", MET)
async def test_terminated(engine: Engine, which: str) -> None:
    id = await met(engine, which)
    await (await operator(engine, id)).terminate("the customer called")
    row = await in_time(engine, id)
    assert row["status"] == "terminated"
    assert "the customer called" in row["error_message"], "why, as far as Temporal was told"
    assert engine.client.identity in row["error_message"], "who"
    assert row["error"]["reason"] == "terminated"
    assert row["waiting_on"] is None
    assert {step["status"] for step in await engine.steps(id)} & {"running", "waiting"} == set()
    assert {entry["status"] for entry in row["execution_log"]} & {"running", "waiting"} == set()
    tasks = (await engine.get(f"/v1/tasks?execution_id={id}"))["items"]
    assert {task["status"] for task in tasks} <= {"cancelled"}
    [found] = await reconciliations(engine, id)
    assert (found["found"], found["mended_at"] is not None) == ("ended", True)
    await agree(engine, id)


@pytest.mark.parametrize("which", MET)
async def test_cancelled(engine: Engine, which: str) -> None:
    """It hears that itself, so there is nothing to mend."""
    id = await met(engine, which)
    await (await operator(engine, id)).cancel()
    assert (await in_time(engine, id))["status"] == "cancelled"
    await agree(engine, id)
    assert await reconciliations(engine, id) == []


async def test_terminated_before_a_worker_took_it(idle_engine: Engine) -> None:
    engine = idle_engine
    id = str((await engine.start(await engine.publish(ASK)))["id"])
    supervising = asyncio.create_task(engine.parts.reconciler.run())
    await (await operator(engine, id)).terminate()
    row = await in_time(engine, id)
    supervising.cancel()
    assert row["status"] == "terminated"
    async with engine.parts.database.transaction(Access(Role.SYSTEM)) as tx:
        assert await tx.scalar(text("SELECT count(*) FROM outbox WHERE dispatched_at IS NULL")) == 0
    await agree(engine, id)


async def test_timed_out_by_the_server(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """We set no such limit; somebody who starts or resets one by hand might."""
    client = engine.parts.connection.client
    start = client.start_workflow

    async def limited(*arguments: Any, **options: Any) -> Any:
        return await start(*arguments, **options, run_timeout=timedelta(seconds=1))

    monkeypatch.setattr(client, "start_workflow", limited)
    id = str((await engine.start(await engine.publish(ASK)))["id"])
    row = await in_time(engine, id, STATED + 1)
    assert row["status"] == "timed_out"
    assert row["error"]["reason"] == "timed_out"
    await agree(engine, id)


@pytest.fixture
async def hurried(idle_engine: Engine) -> Reconciler:
    """A reconciler of its own whose sweeps are called by the test."""
    parts = idle_engine.parts
    pace = Pace(quiet=timedelta(0), settled=timedelta(0))
    return Reconciler(parts.database, parts.reconciler._accounts, parts.reconciler._mender, pace)


async def test_deleted_while_open(engine: Engine, hurried: Reconciler) -> None:
    id = await met(engine, "waiting for a person")
    await hurried.sweep()
    assert (await engine.row(id))["status"] == "waiting"
    await (await operator(engine, id)).delete()
    ends = time.monotonic() + 5  # Temporal deletes a moment after it has said so
    while (row := await engine.row(id))["status"] == "waiting" and time.monotonic() < ends:
        await hurried.sweep()
    assert (row["status"], row["error"]["reason"]) == ("terminated", "deleted")
    [found] = await reconciliations(engine, id)
    assert found["found"] == "deleted"
    assert await violations(engine.parts.database, engine.client, deleted=[UUID(id)]) == []


async def test_deleted_when_closed(engine: Engine, hurried: Reconciler) -> None:
    """Like the end of Temporal's retention: the row is what remains."""
    row = await engine.run(TEMPLATES)
    id = str(row["id"])
    await engine.described(id)
    await (await operator(engine, id)).delete()
    await hurried.sweep()
    await engine.parts.reconciler.round()
    assert await engine.row(id) == row
    assert await reconciliations(engine, id) == []


async def test_what_has_not_started_yet_is_not_taken_for_deleted(
    idle_engine: Engine, hurried: Reconciler
) -> None:
    engine = idle_engine
    connection = engine.parts.connection
    answering, connection._client = connection._client, None
    id = str((await engine.start(await engine.publish(ASK)))["id"])  # Temporal cannot be reached
    connection._client = answering
    await hurried.sweep()
    assert (await engine.row(id))["status"] == "queued"
    # Marked as sent a moment ago, and Temporal does not show it yet.
    settling = Reconciler(
        engine.parts.database,
        engine.parts.reconciler._accounts,
        engine.parts.reconciler._mender,
        Pace(quiet=timedelta(0), settled=timedelta(seconds=30)),
    )
    async with engine.parts.database.transaction(Access(Role.SYSTEM)) as tx:
        await tx.execute(text("UPDATE outbox SET dispatched_at = now()"))
    await settling.sweep()
    assert (await engine.row(id))["status"] == "queued"
    await hurried.sweep()  # had it really left longer ago, it would be gone
    assert (await engine.row(id))["error"]["reason"] == "deleted"


async def test_a_second_cancellation_terminates_what_does_not_stop(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await met(engine, "waiting for a person")
    handle = (await operator(engine, id)).handle

    async def unheard(*_: Any) -> None:
        return None

    monkeypatch.setattr(engine.parts.dispatcher, "cancel", unheard)
    path = f"/v1/executions/{id}/cancel"
    for _ in range(2):  # at once: the same request again
        assert (await engine.http.post(path, json={"reason": "enough"})).status_code == 202
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    async with engine.parts.database.transaction(Access(Role.SYSTEM)) as tx:
        await tx.execute(
            text("UPDATE workflow_executions SET cancel_requested_at = now() - interval '6 seconds'")
        )
    again = await engine.http.post(path, json={"reason": "really"})
    assert again.status_code == 202
    row = await engine.ended(id, 2)
    assert (row["status"], row["error"]["reason"]) == ("terminated", "cancelled_twice")
    await agree(engine, id)
    history = await handle.fetch_history()
    assert "really" not in str(history.events[-1]), "Temporal is told nothing of the tenant's"


async def test_an_outcome_that_was_committed_stands(engine: Engine) -> None:
    """Ended by hand between its commit and its close: clients may have read the row."""
    id = await met(engine, "waiting for a person")
    async with engine.parts.database.transaction(Access(Role.SYSTEM)) as tx:
        await tx.execute(
            text(
                "UPDATE workflow_executions SET status = 'completed', progress = 100, completed_at = now(),"
                " waiting_on = NULL"
            )
        )
    await (await operator(engine, id)).terminate()
    for _ in range(100):
        if found := await reconciliations(engine, id):
            break
        await asyncio.sleep(0.1)
    assert [(each["found"], each["mended_at"]) for each in found] == [("contradicted", None)]
    await engine.parts.reconciler.round()
    assert (await engine.row(id))["status"] == "completed"
    assert len(await reconciliations(engine, id)) == 1


async def test_a_burst_of_two_hundred_and_three_reconcilers(idle_engine: Engine) -> None:
    """Nobody works on them: they were started, and terminated by a batch."""
    engine = idle_engine
    workflow_id = await engine.publish(ASK)
    parts = engine.parts
    started = []
    for _ in range(10):
        started += await asyncio.gather(*(engine.start(workflow_id) for _ in range(20)))
    ids = [str(each["id"]) for each in started]
    reconcilers = [
        Reconciler(parts.database, parts.reconciler._accounts, parts.reconciler._mender) for _ in range(3)
    ]
    supervising = [asyncio.create_task(each.run()) for each in reconcilers]
    await asyncio.gather(*[(await operator(engine, id)).terminate() for id in ids])
    began = time.monotonic()
    rows = [await engine.ended(id, STATED) for id in ids]
    took = time.monotonic() - began
    for task in supervising:
        task.cancel()
    await asyncio.gather(*supervising, return_exceptions=True)
    print(f"200 terminated executions mirrored {took:.2f} s after the last")
    assert took <= STATED
    assert {row["status"] for row in rows} == {"terminated"}
    found = [await reconciliations(engine, id) for id in ids]
    assert {len(each) for each in found} == {1}, "three reconcilers mend a row once"
    assert await violations(parts.database, engine.client) == []


async def test_the_row_that_reported_meanwhile_is_left_alone(engine: Engine) -> None:
    """What supervision saw is old as soon as anything is reported."""
    id = await met(engine, "waiting for a person")
    database = engine.parts.database
    async with database.transaction(Access(Role.SYSTEM)) as tx:
        [seen] = await Supervision(tx).standing([UUID(id)])
        await tx.execute(text("UPDATE workflow_executions SET mirror_version[3] = mirror_version[3] + 1"))
    async with database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        closed = await Mending(tx, seen).close(
            ExecutionStatus.TERMINATED, {"title": "Old news"}, found=Mismatch.ENDED, run_id=None, began=None
        )
    assert closed is None
    assert (await engine.row(id))["status"] == "waiting"


async def test_what_its_last_segment_did_after_it_was_terminated_is_undone(
    engine: Engine, admin_url: str
) -> None:
    workflow_id = await engine.publish([{"make": {"call": "client.create", "with": {"name": "Late"}}}])
    admin = create_engine(admin_url)
    async with admin.connect() as holding:
        await holding.execute(text("LOCK TABLE clients IN EXCLUSIVE MODE"))
        id = str((await engine.start(workflow_id))["id"])
        await asyncio.sleep(1)
        await (await operator(engine, id)).terminate()
        await engine.until(id, lambda row: row["status"] == "terminated", 10)
        await holding.rollback()
    await asyncio.sleep(2)
    await admin.dispose()
    assert (await engine.get("/v1/clients"))["items"] == []
    assert [step["status"] for step in await engine.steps(id)] == []
