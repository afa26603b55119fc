"""What the API says of executions as they really stand."""

from typing import Any

from tests.workflows.engine import Engine


async def explain(engine: Engine, id: str) -> dict[str, Any]:
    return await engine.get(f"/v1/executions/{id}/explain")


async def test_a_task_with_a_deadline_and_an_escalation_is_told(engine: Engine) -> None:
    ask = {
        "call": "approve",
        "with": {
            "title": "Papers of Ada",
            "assignees": ["role:owner"],
            "due": {"days": 3},
            "escalate": {"to": ["user:ada@example.com"], "after": {"days": 2}},
            "on_overdue": "fail",
        },
    }
    hear = {"listen": {"to": {"one": {"with": {"type": "paid"}}}}}
    do: list[dict[str, Any]] = [{"both": {"fork": {"branches": [{"ask": ask}, {"hear": hear}]}}}]
    id = str((await engine.start(await engine.publish(do)))["id"])
    row = await engine.until(id, lambda row: "task_id" in (row["waiting_on"] or {}))
    told = await explain(engine, id)
    assert told["headline"].startswith("“ask” waits for the owner until ")
    assert told["headline"].endswith("; then it goes to ada@example.com as well.")
    assert told["more"][0].endswith("the step fails because its time is over, and the execution with it.")
    assert told["more"][-1] == "Beside it “hear” waits too."
    assert (told["acts"], told["time_zone"]) == (["decide", "cancel"], "UTC")
    await engine.post(f"/v1/tasks/{row['waiting_on']['task_id']}/claim", None)
    assert "has claimed it." in (await explain(engine, id))["text"]
    await engine.post(f"/v1/executions/{id}/pause", None)
    await engine.until(id, lambda row: row["status"] == "paused")
    told = await explain(engine, id)
    assert told["headline"].startswith("Somebody paused it")
    assert told["more"][0].startswith("Meanwhile: “ask” waits for the owner")
    await engine.post(f"/v1/executions/{id}/cancel", {})
    await engine.ended(id)
    assert (await explain(engine, id))["headline"].startswith("It was cancelled today at ")


async def test_failures_name_their_step_and_what_helps(engine: Engine) -> None:
    no = {"raise": {"error": {"type": "https://example.com/errors/no", "status": 418, "title": "No tea"}}}
    row = await engine.run([{"first": {"set": {"a": 1}}}, {"tea": no}])
    told = await explain(engine, str(row["id"]))
    assert told["headline"].startswith("It failed at “tea” (step 2 of 2) today at ")
    assert told["headline"].endswith(": No tea.")
    assert told["acts"] == ["rerun", "start"]
