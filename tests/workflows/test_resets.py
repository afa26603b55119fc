"""A reset run is a new run: the row follows it, opens again if it was closed, and nothing is done twice."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import RowMapping, text

from db.engine import create_engine
from tests.workflows.engine import Engine, working
from tests.workflows.operators import WITHOUT_SIGNALS
from tests.workflows.test_delivery import _accept_without_starting, _entry, _lease_ends
from tests.workflows.test_executions import TEMPLATES
from tests.workflows.test_operators import STATED, agree, in_time, operator, reconciliations
from tests.workflows.test_truth import ASK

MAKE = {"make": {"call": "client.create", "with": {"name": "Once"}}}
PAUSE = {"pause": {"wait": {"milliseconds": 200}}}
#: Two tasks of the workflow before the question, one after it.
COURSE: list[dict[str, Any]] = [MAKE, PAUSE, *ASK[:1], *TEMPLATES[:2]]


async def asked(engine: Engine, do: list[dict[str, Any]] = COURSE) -> str:
    id = str((await engine.start(await engine.publish(do)))["id"])
    await engine.until(id, lambda row: (row["waiting_on"] or {}).get("kind") == "task")
    return id


async def disturbed(engine: Engine, id: str) -> int:
    """The execution hears something that does not concern it; answers the number of that workflow task.

    A run that is reset to there has begun to wait in its history, and so says nothing when it goes on waiting.
    """
    at = await operator(engine, id)
    await at.idle()  # the row says that it waits before Temporal has heard of it
    before = len(await at.tasks())
    await at.handle.signal("event", {"id": "1", "type": "com.example.other", "source": "tests"})
    for _ in range(200):
        if len(await at.tasks()) > before:
            break
        await asyncio.sleep(0.02)
    return before


async def decide(engine: Engine, id: str, outcome: str = "approved") -> None:
    row = await engine.until(id, lambda row: (row["waiting_on"] or {}).get("kind") == "task")
    await engine.post(f"/v1/tasks/{row['waiting_on']['task_id']}/decision", {"outcome": outcome})


async def once(engine: Engine) -> None:
    """The client was made once, however often its step was entered."""
    assert len((await engine.get("/v1/clients"))["items"]) == 1


async def log(engine: Engine, id: str) -> list[tuple[str, str]]:
    return [(step["name"], step["status"]) for step in await engine.steps(id)]


async def follows(engine: Engine, id: str, run_id: str, seconds: float = STATED) -> RowMapping:
    began = time.monotonic()
    row = await engine.until(id, lambda row: row["temporal_run_id"] == run_id, seconds)
    print(f"followed after {time.monotonic() - began:.2f} s")
    return row


@pytest.mark.parametrize("task", [0, 1, 2])
async def test_a_completed_execution_runs_again_from_any_point(engine: Engine, task: int) -> None:
    """What was decided stays decided: Temporal tells the signal to the new run."""
    id = await asked(engine)
    await decide(engine, id)
    first = await engine.ended(id)
    at = await operator(engine, id)
    await engine.described(id)
    run_id = await at.reset(task)
    await follows(engine, id, run_id)
    row = await in_time(engine, id)
    assert (row["status"], row["reset_run_id"]) == ("completed", run_id)
    assert row["completed_at"] > first["completed_at"]
    assert row["output"] == first["output"]
    names = ["make", "pause", "ask", "line 1", "line 2"]
    assert await log(engine, id) == [(name, "completed") for name in names]
    await once(engine)
    await agree(engine, id)


async def test_a_terminated_execution_waits_again_without_a_word(engine: Engine) -> None:
    """Terminated by mistake, and reset: its own history tells it to wait, so it reports nothing."""
    id = await asked(engine)
    silent = await disturbed(engine, id)
    at = await operator(engine, id)
    await at.terminate()
    closed = await engine.ended(id, STATED)
    assert (await log(engine, id))[-1] == ("ask", "cancelled")
    run_id = await at.reset(silent)
    row = await follows(engine, id, run_id)
    assert (row["status"], row["completed_at"], row["error"]) == ("waiting", None, None)
    assert row["progress"] == closed["progress"]
    assert row["waiting_on"]["kind"] == "task"
    assert await log(engine, id) == [("make", "completed"), ("pause", "completed"), ("ask", "waiting")]
    [task] = (await engine.get(f"/v1/tasks?execution_id={id}"))["items"]
    assert task["status"] == "open", "the person is asked again"
    assert [each["found"] for each in await reconciliations(engine, id)] == ["ended", "reset"]
    await decide(engine, id)
    assert (await in_time(engine, id))["status"] == "completed"
    await once(engine)
    await agree(engine, id)


async def test_what_a_person_decided_is_told_again(engine: Engine) -> None:
    """Reset without its signals: the new run waits for a decision that was made long ago."""
    id = await asked(engine)
    silent = await disturbed(engine, id)
    await decide(engine, id)
    await engine.ended(id)
    await engine.described(id)
    at = await operator(engine, id)
    run_id = await at.reset(silent, exclude=WITHOUT_SIGNALS)
    await follows(engine, id, run_id)
    row = await in_time(engine, id)
    assert (row["status"], row["temporal_run_id"]) == ("completed", run_id)
    await agree(engine, id)


async def test_what_a_person_decided_is_told_to_a_run_that_asks_anew(engine: Engine) -> None:
    """Reset to before it was asked, without its signals."""
    id = await asked(engine)
    await decide(engine, id)
    await engine.ended(id)
    await engine.described(id)
    run_id = await (await operator(engine, id)).reset(0, exclude=WITHOUT_SIGNALS)
    await follows(engine, id, run_id)
    assert (await in_time(engine, id))["status"] == "completed"
    await agree(engine, id)


@pytest.mark.parametrize("task", [0, 1, -1])
async def test_a_running_execution_is_reset(engine: Engine, task: int) -> None:
    id = await asked(engine)
    await disturbed(engine, id)
    run_id = await (await operator(engine, id)).reset(task)
    row = await follows(engine, id, run_id)
    await decide(engine, id)
    row = await in_time(engine, id)
    assert (row["status"], row["temporal_run_id"]) == ("completed", run_id)
    await once(engine)
    await agree(engine, id)


async def test_another_course_leaves_nothing_of_the_first(engine: Engine, admin_url: str) -> None:
    """After a reset the decision is another one; the steps of the approved course were not taken."""
    do: list[dict[str, Any]] = [
        PAUSE,
        ASK[0],
        {"which": {"switch": [{"yes": {"when": ".approved", "then": "good"}}, {"no": {"then": "bad"}}]}},
        {"good": {"set": {"good": True}, "then": "continue"}},
        {"better": {"call": "data.template", "with": {"text": "better"}, "then": "end"}},
        {"bad": {"set": {"bad": True}}},
        {"worse": {"call": "data.template", "with": {"text": "worse"}, "output": {"as": '{"end": "bad"}'}}},
    ]
    id = await asked(engine, do)
    silent = await disturbed(engine, id)
    await decide(engine, id)
    await engine.ended(id)
    await engine.described(id)
    assert ("better", "completed") in await log(engine, id)
    behind = create_engine(admin_url)
    async with behind.begin() as connection:  # as if nobody had ever decided
        await connection.execute(text("DELETE FROM outbox WHERE kind = 'signal'"))
        await connection.execute(text("DELETE FROM task_events WHERE kind = 'decided'"))
        await connection.execute(
            text(
                "UPDATE tasks SET status = 'cancelled', decision = NULL, outcome = NULL, decided_by = NULL,"
                " decided_at = NULL"
            )
        )
    await behind.dispose()
    run_id = await (await operator(engine, id)).reset(silent, exclude=WITHOUT_SIGNALS)
    row = await follows(engine, id, run_id)
    assert [name for name, _ in await log(engine, id)] == ["pause", "ask"]
    assert row["status"] == "waiting"
    await decide(engine, id, "rejected")
    row = await in_time(engine, id)
    assert row["output"] == {"end": "bad"}, dict(row)
    assert [name for name, _ in await log(engine, id)] == ["pause", "ask", "which", "bad", "worse"]
    await agree(engine, id)


async def test_reset_again_and_again(engine: Engine) -> None:
    id = await asked(engine)
    await decide(engine, id)
    await engine.ended(id)
    at = await operator(engine, id)
    for task in (1, 0, -1, 0):
        await engine.described(id)
        await follows(engine, id, await at.reset(task))
        await in_time(engine, id)
    await once(engine)
    await agree(engine, id)


async def test_a_reset_run_that_is_ended_by_hand_before_it_said_anything(idle_engine: Engine) -> None:
    """Terminated, reset, terminated again, and nobody was there to see the middle."""
    engine = idle_engine
    async with working(engine.parts, engine.client):
        id = await asked(engine)
        silent = await disturbed(engine, id)
    at = await operator(engine, id)
    await at.terminate("first")
    await engine.parts.reconciler.round()
    assert "first" in (await engine.row(id))["error_message"]
    run_id = await at.reset(silent)
    await at.terminate("second")
    await engine.parts.reconciler.round()
    row = await engine.row(id)
    assert (row["status"], row["temporal_run_id"]) == ("terminated", run_id)
    assert "second" in row["error_message"]


async def test_continuing_as_new_after_a_reset(engine: Engine) -> None:
    """The tests' server suggests a new run at 40 events: the course that a reset began goes on over several."""
    ask = {"ask": {"call": "approve", "with": {"title": "Number ${ $item }?"}}}
    do = [{"often": {"for": {"in": "[range(9)]"}, "do": [ask]}}]
    id = str((await engine.start(await engine.publish(do)))["id"])

    async def answer(number: int) -> None:
        row = await engine.until(
            id, lambda row: (row["waiting_on"] or {}).get("title") == f"Number {number}?"
        )
        await engine.post(f"/v1/tasks/{row['waiting_on']['task_id']}/decision", {"outcome": "approved"})

    for number in range(3):
        await answer(number)
    await engine.until(id, lambda row: (row["waiting_on"] or {}).get("title") == "Number 3?")
    run_id = await (await operator(engine, id)).reset(1)
    await follows(engine, id, run_id)
    for number in range(3, 9):
        await answer(number)
    row = await in_time(engine, id)
    assert (row["status"], row["reset_run_id"]) == ("completed", run_id)
    assert row["temporal_run_id"] != run_id, "it never continued as new"
    await agree(engine, id)


async def test_a_late_start_does_not_open_a_closed_row(idle_engine: Engine) -> None:
    engine = idle_engine
    workflow_id = await engine.publish(ASK)
    id = str(await _accept_without_starting(engine, workflow_id))
    entry = await _entry(engine)
    await _lease_ends(engine)
    await engine.post(f"/v1/executions/{id}/cancel", {})
    await engine.parts.dispatcher.deliver(entry)
    supervising = asyncio.create_task(engine.parts.reconciler.run())
    async with working(engine.parts, engine.client):
        await engine.described(id)
        await asyncio.sleep(3)
    supervising.cancel()
    assert (await engine.row(id))["status"] == "cancelled"
    assert await reconciliations(engine, id) == []
