"""`run: workflow`: another execution, linked to its parent, which it answers however it ends."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import RowMapping, text
from temporalio.worker import WorkflowRunner

from db.outbox import OutboxEntry
from db.session import Access, Role
from domain.executions import OutboxKind
from tests.workflows.engine import Engine, working
from tests.workflows.operators import WITHOUT_SIGNALS, Operator


def _run(name: str = "child", **more: Any) -> dict[str, Any]:
    awaits = {"await": more.pop("awaits")} if "awaits" in more else {}
    workflow = {"namespace": "tests", "name": name, "version": "latest", **more}
    return {"run": {"workflow": workflow, **awaits}}


def _header(name: str, version: str = "1.0.0") -> dict[str, Any]:
    return {"dsl": "1.0.3", "namespace": "tests", "name": name, "version": version}


async def _publish(engine: Engine, do: list[dict[str, Any]], name: str = "child", **document: Any) -> str:
    return await engine.publish(do, document=_header(name, document.pop("version", "1.0.0")), **document)


async def _children(engine: Engine, parent: str) -> list[dict[str, Any]]:
    page = await engine.get(f"/v1/executions?parent_id={parent}")
    return list(reversed(page["items"]))


async def _outbox(engine: Engine, execution: str, kind: str) -> list[RowMapping]:
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        query = (
            "SELECT * FROM outbox WHERE execution_id = CAST(:id AS uuid) AND kind = :kind ORDER BY created_at"
        )
        return list((await tx.execute(text(query), {"id": execution, "kind": kind})).mappings())


ASK = {"ask": {"call": "approve", "with": {"title": "Go on?"}}}


async def _decide(engine: Engine, id: str) -> None:
    row = await engine.until(id, lambda row: "task_id" in (row["waiting_on"] or {}))
    task = row["waiting_on"]["task_id"]
    await engine.post(f"/v1/tasks/{task}/decision", {"outcome": "approved"})


async def test_a_child_runs_and_its_output_is_the_steps(idle_engine: Engine, runner: WorkflowRunner) -> None:
    engine = idle_engine
    async with working(engine.parts, engine.client, runner, cached_workflows=0):
        await _publish(engine, [{"double": {"set": {"n": "${ .n * 2 }"}}}])
        do = [{"sub": _run(input={"n": "${ .n + 1 }"})}, {"use": {"set": {"got": "${ .n }"}}}]
        started = await engine.start(await engine.publish(do), {"n": 4})
        row = await engine.ended(started["id"])
    assert (row["status"], row["output"]) == ("completed", {"got": 10}), dict(row)
    [child] = await _children(engine, started["id"])
    assert (child["parent_id"], child["root_id"], child["depth"]) == (started["id"], started["id"], 1)
    assert (child["status"], child["trigger_event"]) == ("completed", "workflow:test")
    [sub, _] = await engine.steps(started["id"])
    assert (sub["kind"], sub["action"], sub["output"]) == ("run", "workflow.run", {"n": 10})
    assert sub["input"] == {"namespace": "tests", "name": "child", "version": "latest", "input": {"n": 5}}
    told = await _outbox(engine, started["id"], "signal")
    assert len(told) == 1, [(each["id"], each["payload"]["arguments"]) for each in told]


async def test_a_waiting_parent_says_for_whom(engine: Engine) -> None:
    await _publish(engine, [ASK, {"done": {"set": {"ok": "${ $workflow.trigger.type }"}}}])
    id = (await engine.start(await engine.publish([{"sub": _run()}])))["id"]
    row = await engine.waiting(id)
    [child] = await _children(engine, id)
    assert row["waiting_on"] == {
        "kind": "execution",
        "step": "sub",
        "occurrence": "/do/0/sub#1",
        "execution_id": child["id"],
        "workflow": "tests/child",
    }
    shown = await engine.get(f"/v1/executions/{id}")
    assert (shown["parent_id"], shown["depth"]) == (None, 0)
    assert [each["id"] for each in (await engine.get(shown["links"]["children"]))["items"]] == [child["id"]]
    await _decide(engine, child["id"])
    assert (await engine.ended(id))["output"] == {"ok": "workflow"}


async def test_a_parent_that_does_not_wait_goes_on_with_its_input(engine: Engine) -> None:
    await _publish(engine, [ASK])
    do = [
        {"sub": _run(awaits=False, input={"a": 1})},
        {"start": {"call": "workflow.start", "with": _named()}},
    ]
    row = await engine.run(do, {"kept": True})
    assert row["status"] == "completed", dict(row)
    children = await _children(engine, str(row["id"]))
    [second] = [child for child in children if child["id"] == row["output"]["id"]]
    assert row["output"] == {"id": second["id"], "workflow_id": second["workflow_id"], "status": "queued"}
    assert (await engine.steps(str(row["id"])))[0]["output"] == {"kept": True}
    assert len(children) == 2
    for child in children:
        await _decide(engine, child["id"])
        assert (await engine.ended(child["id"]))["status"] == "completed"
    assert await _outbox(engine, str(row["id"]), "signal") == []


def _named() -> dict[str, Any]:
    return {"namespace": "tests", "name": "child"}


async def test_a_childs_failure_is_the_steps(engine: Engine) -> None:
    await _publish(engine, [{"bad": {"set": {"x": "${ 1 / .zero }"}}}])
    row = await engine.run([{"sub": _run(input={"zero": 0})}])
    [child] = await _children(engine, str(row["id"]))
    error = row["error"]
    assert row["status"] == "failed"
    assert (error["type"].rpartition("/")[2], error["status"], error["instance"]) == (
        "expression",
        400,
        "/do/0/sub",
    )
    assert "tests/child" in error["detail"]
    assert child["id"] in error["detail"]
    assert "/do/0/bad" in error["detail"]


async def test_a_caught_failure_and_a_version_by_its_number(engine: Engine) -> None:
    workflow = await _publish(engine, [{"old": {"set": {"v": "old"}}}], version="1.0.0")
    changed = {"definition": {"document": _header("child", "2.0.0"), "do": [{"new": {"set": {"v": "new"}}}]}}
    await _change(engine, workflow, changed)
    for version, expected in (("1.0.0", "old"), ("2.0.0", "new"), ("latest", "new")):
        row = await engine.run([{"sub": _run(version=version)}])
        assert row["output"] == {"v": expected}, dict(row)
    row = await engine.run([{"sub": _run(version="3.0.0")}])
    assert row["error"]["status"] == 404
    assert "it was as 2.0.0, 1.0.0" in row["error"]["detail"]
    row = await engine.run([{"sub": _run("nobody")}])
    assert (row["error"]["type"].rpartition("/")[2], row["error"]["status"]) == ("configuration", 404)


async def _change(engine: Engine, workflow: str, changes: dict[str, Any]) -> None:
    shown = await engine.http.get(f"/v1/workflows/{workflow}")
    answer = await engine.http.patch(
        f"/v1/workflows/{workflow}", json=changes, headers={"If-Match": shown.headers["ETag"]}
    )
    assert answer.status_code == 200, answer.text
    await engine.post(f"/v1/workflows/{workflow}/publish", {})


async def test_an_input_that_does_not_fit_starts_nothing(engine: Engine) -> None:
    schema = {"schema": {"document": {"type": "object", "required": ["amount"]}}}
    await _publish(engine, [{"a": {"set": {"b": 1}}}], input=schema)
    row = await engine.run([{"sub": _run(input={})}])
    assert (row["error"]["type"].rpartition("/")[2], row["error"]["status"]) == ("validation", 400), dict(row)
    assert "amount" in row["error"]["detail"]
    assert await _children(engine, str(row["id"])) == []


async def test_paused_archived_and_unclear_workflows_are_not_run(engine: Engine) -> None:
    first = await _publish(engine, [{"a": {"set": {"b": 1}}}])
    await engine.post(f"/v1/workflows/{first}/pause", {})
    row = await engine.run([{"sub": _run()}])
    assert (row["error"]["status"], row["error"]["title"]) == (409, "Workflow paused")
    second = await _publish(engine, [{"a": {"set": {"b": 2}}}])
    row = await engine.run([{"sub": _run()}])
    assert (row["error"]["status"], row["error"]["title"]) == (409, "Workflow not clear")
    await engine.post(f"/v1/workflows/{first}/archive", {})
    assert (await engine.run([{"sub": _run()}]))["output"] == {"b": 2}
    await engine.post(f"/v1/workflows/{second}/archive", {})
    assert (await engine.run([{"sub": _run()}]))["error"]["status"] == 404


@pytest.mark.parametrize("awaits", [True, False])
async def test_a_circle_ends_with_a_clear_fault(engine: Engine, awaits: bool) -> None:
    again = await _publish(engine, [{"again": _run(awaits=awaits)}])
    id = (await engine.start(again))["id"]
    deepest = id
    for depth in range(1, 11):
        await engine.until(
            deepest, lambda row: row["waiting_on"] is not None or row["completed_at"] is not None
        )
        [child] = await _children(engine, deepest)
        deepest = child["id"]
        assert child["depth"] == depth
    row = await engine.ended(deepest)
    assert await _children(engine, deepest) == []
    assert row["error"]["status"] == 508
    assert "tests/child → tests/child" in row["error"]["detail"]
    assert "circle" in row["error"]["detail"]
    assert (await engine.ended(id))["status"] == ("failed" if awaits else "completed")


async def test_cancelling_the_parent_cancels_the_child_and_waits_for_it(engine: Engine) -> None:
    await _publish(engine, [ASK])
    id = (await engine.start(await engine.publish([{"sub": _run()}])))["id"]
    child = (await engine.waiting(id))["waiting_on"]["execution_id"]
    await engine.waiting(child)
    await engine.post(f"/v1/executions/{id}/cancel", {})
    row, below = await engine.ended(id), await engine.row(child)
    assert (row["status"], below["status"]) == ("cancelled", "cancelled")
    assert below["completed_at"] <= row["completed_at"]


async def test_an_execution_that_nobody_waits_for_outlives_its_parent(engine: Engine) -> None:
    await _publish(engine, [ASK])
    id = (await engine.start(await engine.publish([{"sub": _run(awaits=False)}, ASK])))["id"]
    await engine.waiting(id)
    await engine.post(f"/v1/executions/{id}/cancel", {})
    assert (await engine.ended(id))["status"] == "cancelled"
    [child] = await _children(engine, id)
    assert (await engine.waiting(child["id"]))["status"] == "waiting"


@pytest.mark.parametrize("how", ["terminate", "cancel", "cancel queued"])
async def test_a_child_ended_from_outside_answers_too(engine: Engine, how: str) -> None:
    await _publish(engine, [ASK])
    id = (await engine.start(await engine.publish([{"sub": _run()}])))["id"]
    child = (await engine.waiting(id))["waiting_on"]["execution_id"]
    row = await engine.waiting(child)
    operator = Operator(engine.client, row["temporal_workflow_id"])
    if how == "terminate":
        await operator.terminate()
    elif how == "cancel":
        await operator.cancel()
    else:
        await engine.post(f"/v1/executions/{child}/cancel", {})
    error = (await engine.ended(id))["error"]
    expected = "is terminated" if how == "terminate" else "is cancelled"
    assert expected in error["detail"], error
    assert len(await _outbox(engine, id, "signal")) == 1


async def test_a_terminated_parent_leaves_no_awaited_child_behind(engine: Engine) -> None:
    await _publish(engine, [ASK])
    id = (await engine.start(await engine.publish([{"sub": _run()}])))["id"]
    row = await engine.waiting(id)
    child = row["waiting_on"]["execution_id"]
    await engine.waiting(child)
    await Operator(engine.client, row["temporal_workflow_id"]).terminate()
    assert (await engine.ended(id))["status"] == "terminated"
    below = await engine.ended(child)
    assert (below["status"], below["cancel_requested_at"] is not None) == ("cancelled", True)
    assert await _outbox(engine, id, "signal") == []


async def test_a_queued_child_that_is_cancelled_answers(idle_engine: Engine) -> None:
    """Nobody has started it yet: its row is closed at once, and the answer with it."""
    engine = idle_engine
    await _publish(engine, [ASK])
    do = [{"sub": _run()}]
    started = await engine.start(await engine.publish(do))
    carry = engine.parts.activities._carry

    async def lost(entry: OutboxEntry) -> None:
        if entry.kind != OutboxKind.START:
            await carry(entry)

    engine.parts.activities._carry = lost
    async with working(engine.parts, engine.client):
        child = (await engine.waiting(started["id"]))["waiting_on"]["execution_id"]
        await _expire(engine, child)
        shown = await engine.post(f"/v1/executions/{child}/cancel", {})
        assert shown["status"] == "cancelled"
        await engine.parts.relay.sweep()
        for _ in range(60):
            await _expire(engine, started["id"])
            await engine.parts.relay.sweep()
            if (await engine.row(started["id"]))["completed_at"] is not None:
                break
            await asyncio.sleep(0.05)
        row = await engine.row(started["id"])
    assert row["status"] == "failed"
    assert "is cancelled" in row["error"]["detail"]


async def _expire(engine: Engine, execution: str) -> None:
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        await tx.execute(
            text(
                "UPDATE outbox SET leased_until = now() - interval '1 s' WHERE execution_id = CAST(:id AS uuid)"
            ),
            {"id": execution},
        )


async def test_a_reset_parent_finds_the_child_that_has_ended(engine: Engine) -> None:
    await _publish(engine, [{"a": {"set": {"n": 1}}}])
    id = (await engine.start(await engine.publish([{"sub": _run()}, ASK])))["id"]
    row = await engine.until(id, lambda row: (row["waiting_on"] or {}).get("kind") == "task")
    operator = Operator(engine.client, row["temporal_workflow_id"])
    await operator.idle()
    await operator.reset(0, exclude=WITHOUT_SIGNALS)
    await engine.until(id, lambda row: row["reset_run_id"] is not None)
    await _decide(engine, id)
    assert (await engine.ended(id))["status"] == "completed"
    assert len(await _children(engine, id)) == 1


async def test_a_loop_runs_a_child_for_each_round(engine: Engine) -> None:
    await _publish(engine, [{"a": {"set": {"n": "${ .n }"}}}])
    body = {"do": [{"sub": {**_run(input={"n": "${ $item }"}), "export": {"as": "$context + [.n]"}}}]}
    do = [{"seed": {"set": {"x": 1}, "export": {"as": "[]"}}}, {"each": {"for": {"in": "[1, 2, 3]"}, **body}}]
    row = await engine.run([*do, {"out": {"set": {"all": "${ $context }"}}}])
    assert row["output"] == {"all": [1, 2, 3]}, dict(row)
    assert len(await _children(engine, str(row["id"]))) == 3


async def test_the_answer_reaches_a_later_run_of_the_parent(engine: Engine) -> None:
    """The tests' server suggests a new run at 40 events: the parent waits in another one than it asked in."""
    await _publish(engine, [ASK, {"a": {"set": {"n": 7}}}])
    id = (await engine.start(await engine.publish([{"sub": _run()}])))["id"]
    child = (await engine.waiting(id))["waiting_on"]["execution_id"]
    for _ in range(45):
        await engine.post(f"/v1/executions/{id}/signal", {"type": "noise"})
    handle = engine.client.get_workflow_handle((await engine.row(id))["temporal_workflow_id"])
    described = await handle.describe()
    assert described.raw_description.workflow_execution_info.first_run_id != described.run_id
    await _decide(engine, child)
    assert (await engine.ended(id))["output"] == {"n": 7}


@pytest.mark.parametrize("how", ["timeout", "compete"])
async def test_a_child_nobody_waits_for_any_more_has_ended_before_its_parent_goes_on(
    engine: Engine, how: str
) -> None:
    await _publish(engine, [ASK])
    sub = {"sub": _run()}
    if how == "timeout":
        step = {
            "try": [{"sub": {**_run(), "timeout": {"after": "PT1S"}}}],
            "catch": {"errors": {"with": {"status": 408}}},
        }
    else:
        step = {"fork": {"compete": True, "branches": [sub, {"quick": {"wait": "PT1S"}}]}}
    row = await engine.run([{"step": step}, {"after": {"set": {"done": True}}}])
    assert (row["status"], row["output"]) == ("completed", {"done": True}), dict(row)
    [child] = await _children(engine, str(row["id"]))
    assert child["status"] == "cancelled"
    assert child["completed_at"] <= row["completed_at"].isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("how", ["fault", "early event"])
async def test_a_child_not_wanted_as_soon_as_it_was_started_is_cancelled_and_awaited(
    engine: Engine, how: str
) -> None:
    """The same registration that starts it says that another branch has failed, or won."""
    await _publish(engine, [ASK])
    emit = {"emit": {"event": {"with": {"type": "go", "source": "https://a.example", "data": 1}}}}
    other = _run("nobody") if how == "fault" else {"listen": {"to": {"one": {"with": {"type": "go"}}}}}
    fork = {"fork": {"compete": how != "fault", "branches": [{"sub": _run()}, {"other": other}]}}
    row = await engine.run([{"say": emit}, {"both": {"try": [{"all": fork}], "catch": {}}}])
    assert row["status"] == "completed", dict(row)
    [child] = await _children(engine, str(row["id"]))
    assert child["status"] == "cancelled"
    assert child["completed_at"] <= row["completed_at"].isoformat().replace("+00:00", "Z")


async def test_children_run_side_by_side(engine: Engine) -> None:
    await _publish(engine, [ASK, {"a": {"set": {"n": "${ $workflow.input.n }"}}}])
    branches = [{f"b{n}": _run(input={"n": n})} for n in range(3)]
    id = (await engine.start(await engine.publish([{"all": {"fork": {"branches": branches}}}])))["id"]
    await engine.until(id, lambda row: (row["waiting_on"] or {}).get("kind") == "execution")
    children = await _children(engine, id)
    assert len(children) == 3
    for child in reversed(children):
        await _decide(engine, child["id"])
    assert (await engine.ended(id))["output"] == [{"n": 0}, {"n": 1}, {"n": 2}]


async def test_a_functions_call_of_an_action_is_carried_out(engine: Engine) -> None:
    """Functions through the real worker: their steps are found by every activity."""
    use = {
        "functions": {
            "ask": {"do": [{"inner": {"call": "data.template", "with": {"text": "${ .t }", "values": {}}}}]}
        }
    }
    catalogue = {spec.name for spec in engine.parts.registry.specs()}
    assert "data.template" in catalogue, sorted(catalogue)
    row = await engine.run([{"go": {"call": "ask", "with": {"t": "Hello"}}}], use=use)
    assert row["status"] == "completed", dict(row)
    steps = await engine.steps(str(row["id"]))
    assert [step["pointer"] for step in steps] == [
        "/do/0/go",
        "/use/functions/ask",
        "/use/functions/ask/do/0/inner",
    ]
