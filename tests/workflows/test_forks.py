"""Parallel branches through the real worker: together, in a race, waiting, and over several runs."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.worker import WorkflowRunner

from tests.workflows.engine import Engine, settings_for, working
from tests.workflows.mail import Mailbox, mailbox, send
from tests.workflows.test_operators import agree
from workers.settings import Settings

ASK: dict[str, Any] = {"call": "approve", "with": {"title": "Go on?"}}


def line(text: str) -> dict[str, Any]:
    return {"call": "data.template", "with": {"text": text}}


def fork(*branches: dict[str, Any], compete: bool = False) -> dict[str, Any]:
    named = [{f"branch {number}": branch} for number, branch in enumerate(branches, 1)]
    return {"fork": {"branches": named, "compete": compete}}


@pytest.fixture
async def mails() -> AsyncIterator[Mailbox]:
    async with mailbox() as box:
        yield box


@pytest.fixture
def engine_settings(database_url: str, temporal_server: str, mails: Mailbox) -> Settings:
    return settings_for(
        database_url, temporal_server, smtp_url=f"smtp://127.0.0.1:{mails.port}?starttls=false"
    )


async def test_branches_of_every_kind_go_on_beside_each_other(
    idle_engine: Engine, runner: WorkflowRunner, mails: Mailbox
) -> None:
    """With no cache every workflow task replays the history from its beginning."""
    engine = idle_engine
    both = fork(
        send("one"),
        {"do": [{"first": line("a")}, {"second": line("b")}, {"mail": send("two")}]},
        {"do": [{"rest": {"wait": {"milliseconds": 300}}}, {"third": line("c")}]},
        line("d"),
    )
    async with working(engine.parts, engine.client, runner, cached_workflows=0):
        row = await engine.run([{"both": both}, {"last": {"set": {"texts": "${ map(.text? // empty) }"}}}])
    assert row["status"] == "completed", dict(row)
    assert row["output"] == {"texts": ["c", "d"]}
    assert sorted(mails.subjects) == ["one", "two"]
    steps = {step["name"]: step for step in await engine.steps(str(row["id"]))}
    assert {step["status"] for step in steps.values()} == {"completed"}
    # The end of one branch's step may be told before the report that brings its arguments.
    assert steps["branch 1"]["input"]["subject"] == "one"
    assert steps["mail"]["input"]["subject"] == "two"


async def test_built_ins_of_several_branches_share_a_segment(engine: Engine) -> None:
    row = await engine.run([{"all": fork(*(line(str(number)) for number in range(20)))}])
    assert [each["text"] for each in row["output"]] == [str(number) for number in range(20)]
    assert (await engine.events(str(row["id"]))).count("marker_recorded") == 1


async def test_who_loses_a_race_is_stopped_and_awaited(engine: Engine, mails: Mailbox) -> None:
    quick = {"do": [{"rest": {"wait": {"milliseconds": 400}}}, {"won": {"set": {"by": "the clock"}}}]}
    do = [{"race": fork(send("slow"), quick, ASK, compete=True)}, {"after": line("{{ x }}")}, {"ask": ASK}]
    do[1]["after"]["with"]["values"] = {"x": "${ .by }"}
    began = time.monotonic()
    id = str((await engine.start(await engine.publish(do)))["id"])
    await engine.until(id, lambda row: (row["waiting_on"] or {}).get("step") == "ask")
    assert time.monotonic() - began < 15, "the loser was awaited to its own end"
    assert (mails.begun, mails.subjects) == (["slow"], [])
    steps = {step["name"]: step for step in await engine.steps(id)}
    assert (steps["branch 1"]["status"], steps["branch 3"]["status"]) == ("cancelled", "cancelled")
    assert steps["after"]["output"] == {"text": "the clock"}
    tasks = (await engine.get(f"/v1/tasks?execution_id={id}"))["items"]
    assert sorted(task["status"] for task in tasks) == ["cancelled", "open"]
    [open] = [task for task in tasks if task["status"] == "open"]
    await engine.post(f"/v1/tasks/{open['id']}/decision", {"outcome": "approved"})
    assert (await engine.ended(id))["status"] == "completed"
    await agree(engine, id)


async def test_a_branch_that_fails_stops_the_others(engine: Engine, mails: Mailbox) -> None:
    broken = {"do": [{"rest": {"wait": {"milliseconds": 300}}}, {"oops": {"set": "${ .a.b + 1 }"}}]}
    row = await engine.run([{"both": fork(send("slow"), ASK, broken)}], {"a": {"b": "x"}})
    assert row["status"] == "failed"
    assert row["error"]["instance"].endswith("/oops")
    steps = {step["name"]: step["status"] for step in await engine.steps(str(row["id"]))}
    assert steps == {
        "both": "failed",
        "branch 1": "cancelled",
        "branch 2": "cancelled",
        "branch 3": "failed",
        "rest": "completed",
        "oops": "failed",
    }
    assert mails.subjects == []
    await agree(engine, str(row["id"]))


async def test_the_row_runs_while_anything_runs_and_names_the_wait_that_somebody_can_end(
    engine: Engine, mails: Mailbox
) -> None:
    mails.delay = 1.5
    nap = {"wait": {"seconds": 30}}
    id = str((await engine.start(await engine.publish([{"all": fork(nap, ASK, send("slow"), nap)}])))["id"])
    while not mails.begun:
        assert (await engine.row(id))["status"] in ("queued", "running")
        await engine.until(id, lambda row: row["status"] == "running")
    assert (await engine.get(f"/v1/tasks?execution_id={id}"))["items"], "nobody was asked meanwhile"
    assert (await engine.row(id))["waiting_on"] is None
    row = await engine.waiting(id)
    assert (row["waiting_on"]["kind"], row["waiting_on"]["title"]) == ("task", "Go on?")
    await engine.post(f"/v1/tasks/{row['waiting_on']['task_id']}/decision", {"outcome": "approved"})
    row = await engine.until(id, lambda row: (row["waiting_on"] or {}).get("kind") == "timer")
    assert row["waiting_on"]["step"] == "branch 1", "both naps end then, and this one began first"
    await engine.post(f"/v1/executions/{id}/cancel", {})
    assert (await engine.ended(id))["status"] == "cancelled"
    await agree(engine, id)


async def test_waits_beside_each_other_cost_at_most_one_event_each(engine: Engine) -> None:
    naps = [{"wait": {"milliseconds": length}} for length in (200, 2500)]
    row = await engine.run([{"all": fork(*naps)}])
    markers = (await engine.events(str(row["id"]))).count("marker_recorded")
    assert markers == 2 + 1, "one telling of both, one of what is left, and the end"


async def test_branches_that_never_pause_at_once_still_continue_as_new(
    engine: Engine, mails: Mailbox
) -> None:
    """The tests' server suggests a new run at 40 events; two loops of mails are hardly ever quiet together."""
    loops = [
        {"for": {"in": "[range(7)]"}, "do": [{"mail": send(f"{name} ${{ $index }}")}]} for name in ("a", "b")
    ]
    far = {"wait": {"seconds": 5}}
    row = await engine.ended(
        (await engine.start(await engine.publish([{"both": fork(*loops, far)}])))["id"], 60
    )
    assert row["status"] == "completed", dict(row)
    described = await engine.described(str(row["id"]))
    assert described.raw_description.workflow_execution_info.first_run_id != described.run_id
    assert sorted(mails.subjects) == [f"{name} {number}" for name in ("a", "b") for number in range(7)]
    assert len(set(mails.message_ids)) == 14
    steps = await engine.steps(str(row["id"]))
    visits = [step["visit"] for step in steps if step["name"] == "mail"]
    assert sorted(visits) == sorted([*range(1, 8), *range(1, 8)])
    await agree(engine, str(row["id"]))


async def test_a_built_in_that_has_not_begun_never_does(engine: Engine) -> None:
    """All of it happens in one segment: the first branch fails, and the second is stopped before its turn."""
    broken = {"call": "data.template", "with": {"text": "{{ text"}}
    make = {"call": "client.create", "with": {"name": "Never"}}
    row = await engine.run([{"both": fork(broken, make)}])
    assert row["status"] == "failed"
    steps = {step["name"]: step["status"] for step in await engine.steps(str(row["id"]))}
    assert steps == {"both": "failed", "branch 1": "failed", "branch 2": "cancelled"}
    assert (await engine.get("/v1/clients"))["items"] == []
    assert (await engine.events(str(row["id"]))).count("marker_recorded") == 1
    await agree(engine, str(row["id"]))
