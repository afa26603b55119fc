"""A rerun repeats exactly what its plan announced, counted where it arrives; what came before does not happen again."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.worker import WorkflowRunner

from db.session import Access, Role
from domain.addresses import AddressPolicy
from domain.permissions import RoleName
from tests.workflows.engine import HEADER, Engine, settings_for, working
from tests.workflows.mail import Mailbox, mailbox, send
from tests.workflows.test_operators import agree
from tests.workflows.test_tasks import People, people
from workers.settings import Settings

__all__ = ["people"]
ASK: dict[str, Any] = {"call": "approve", "with": {"title": "Go on?"}}


@dataclass
class Receiver:
    """Counts what arrives; paths in `broken` answer 500."""

    port: int = 0
    calls: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        method, path, _ = lines[0].split(" ")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        await reader.readexactly(int(fields.get("content-length", 0)))
        name = path.removeprefix("/")
        self.calls.append(f"{method} {name}")
        self.keys.append(fields.get("idempotency-key", ""))
        status = "500 Broken" if name in self.broken else "200 OK"
        body = json.dumps({"said": name, "times": self.calls.count(f"{method} {name}")}).encode()
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.close()

    def post(self, name: str, **more: Any) -> dict[str, Any]:
        return self.call("post", name, **more)

    def call(self, method: str, name: str, **more: Any) -> dict[str, Any]:
        return {
            "call": "http",
            "with": {"method": method, "endpoint": f"http://127.0.0.1:{self.port}/{name}"},
        } | more


@pytest.fixture
async def mails() -> AsyncIterator[Mailbox]:
    async with mailbox() as box:
        yield box


@pytest.fixture
def engine_settings(database_url: str, temporal_server: str, mails: Mailbox) -> Settings:
    return settings_for(
        database_url, temporal_server, smtp_url=f"smtp://127.0.0.1:{mails.port}?starttls=false"
    )


@pytest.fixture
async def receiver(idle_engine: Engine) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    policy = AddressPolicy.allowing([("127.0.0.1", receiver.port)])
    activities = idle_engine.parts.activities
    activities._services = replace(activities._services, http_policy=lambda _: policy)
    yield receiver
    server.close()
    await server.wait_closed()


def six(receiver: Receiver) -> list[dict[str, Any]]:
    """Six effects, of which the fourth fails; the data of each goes on to the next."""
    return [
        {"one": receiver.post("one", output={"as": "{n: 1}"}, export={"as": "{kept: .n}"})},
        {"two": send("two")},
        {"three": receiver.call("put", "three", output={"as": "{three: .times}"})},
        {"four": receiver.post("four")},
        {"five": send("five ${ $context.kept }")},
        {
            "six": receiver.post(
                "six", output={"as": "{six: .said, kept: $context.kept, three: $steps.three.three}"}
            )
        },
    ]


async def plan(engine: Engine, id: str, **asked: Any) -> dict[str, Any]:
    return await engine.post(f"/v1/executions/{id}/rerun-plan", asked)


async def rerun(engine: Engine, id: str, **asked: Any) -> str:
    """Confirms what the plan says."""
    planned = await plan(engine, id, **asked)
    assert planned["refusals"] == [], planned
    confirmed = {**asked, "confirm": planned["digest"], "confirm_irreversible": True}
    return str((await engine.post(f"/v1/executions/{id}/rerun", confirmed))["id"])


async def refused(engine: Engine, id: str, body: dict[str, Any]) -> tuple[int, str]:
    answer = await engine.http.post(f"/v1/executions/{id}/rerun", json=body)
    return answer.status_code, answer.json()["code"]


async def test_from_step_four_of_six_exactly_the_announced_effects_happen(
    idle_engine: Engine, runner: WorkflowRunner, receiver: Receiver, mails: Mailbox
) -> None:
    engine = idle_engine
    receiver.broken.add("four")
    async with working(engine.parts, engine.client, runner, cached_workflows=0):
        row = await engine.run(six(receiver), {"who": "Ada"})
        assert (row["status"], row["error"]["instance"]) == ("failed", "/do/3/four")
        assert (receiver.calls, mails.subjects) == (["POST one", "PUT three", "POST four"], ["two"])
        receiver.broken.clear()
        receiver.calls.clear()
        mails.subjects.clear()

        planned = await plan(engine, str(row["id"]))
        assert (planned["step"], planned["occurrence"], planned["refusals"]) == ("four", "/do/3/four#1", [])
        assert [each["step"] for each in planned["answered"]] == ["one", "two", "three"]
        announced = [(each["step"], each["action"], each["effect"]) for each in planned["effects"]]
        assert announced == [
            ("four", "http.request", "irreversible"),
            ("five", "email.send", "keyed"),
            ("six", "http.request", "irreversible"),
        ]
        assert all(each["is_certain"] for each in planned["effects"])
        assert [each["times_before"] for each in planned["effects"]] == [1, 0, 0]
        assert planned["has_irreversible"]
        assert (receiver.calls, mails.subjects) == ([], []), "a plan does nothing"

        asked = {"from": "four", "confirm": planned["digest"]}
        assert await refused(engine, str(row["id"]), asked) == (409, "irreversible_unconfirmed")
        stale = {**asked, "confirm": "0" * 64, "confirm_irreversible": True}
        assert await refused(engine, str(row["id"]), stale) == (409, "plan_out_of_date")
        started = await engine.post(
            f"/v1/executions/{row['id']}/rerun", {**asked, "confirm_irreversible": True}
        )
        again = await engine.ended(started["id"])
        assert again["status"] == "completed", dict(again)
        assert again["output"] == {"six": "six", "kept": 1, "three": 1}
        assert (receiver.calls, mails.subjects) == (["POST four", "POST six"], ["five 1"])
        await agree(engine, started["id"])
    assert again["rerun_of_id"] == row["id"]
    assert again["execution_context"]["rerun"]["from"] == "/do/3/four#1"
    assert (again["trigger_event"], again["trigger_data"]) == (row["trigger_event"], row["trigger_data"])
    assert again["workflow_version_id"] == row["workflow_version_id"]
    assert again["progress"] == 100
    steps = await engine.steps(started["id"])
    assert [(step["name"], step["is_taken_over"], step["status"]) for step in steps] == [
        ("one", True, "completed"),
        ("two", True, "completed"),
        ("three", True, "completed"),
        ("four", False, "completed"),
        ("five", False, "completed"),
        ("six", False, "completed"),
    ]
    before = await engine.steps(str(row["id"]))
    for mine, original in zip(steps[:3], before[:3], strict=True):
        same = ("occurrence", "position", "input", "output", "started_at", "completed_at", "attempt")
        assert [mine[name] for name in same] == [original[name] for name in same]
    assert steps[0]["started_at"] == before[0]["started_at"]
    # Whoever confirms the same plan once more, or an older one, sees that it has been done.
    late = {**asked, "confirm_irreversible": True}
    assert await refused(engine, str(row["id"]), late) == (409, "plan_out_of_date")
    assert (await plan(engine, str(row["id"])))["reruns"] == [started["id"]]
    assert receiver.calls == ["POST four", "POST six"]


async def test_branches_in_flight_loops_and_answers_of_people(
    engine: Engine, receiver: Receiver, mails: Mailbox
) -> None:
    receiver.broken.add("right2")
    do: list[dict[str, Any]] = [
        {"ask": ASK},
        {"hear": {"listen": {"to": {"one": {"with": {"type": "paid"}}}}, "export": {"as": "{paid: .[0].n}"}}},
        {"nap": {"wait": {"milliseconds": 50}}},
        {
            "both": {
                "fork": {
                    "branches": [
                        {"left": {"do": [{"left1": send("left1")}, {"left2": send("slow left2")}]}},
                        {
                            "right": {
                                "do": [
                                    {"right1": receiver.post("right1")},
                                    {"wait for left": {"wait": {"seconds": 1}}},
                                    {"right2": receiver.post("right2")},
                                ]
                            }
                        },
                    ]
                }
            }
        },
        {"done": {"set": {"paid": "${ $context.paid }"}}},
    ]
    id = str((await engine.start(await engine.publish(do)))["id"])
    row = await engine.until(id, lambda row: "task_id" in (row["waiting_on"] or {}))
    await engine.post(f"/v1/tasks/{row['waiting_on']['task_id']}/decision", {"outcome": "approved"})
    await engine.until(id, lambda row: (row["waiting_on"] or {}).get("kind") == "event")
    await engine.post(f"/v1/executions/{id}/signal", {"type": "paid", "data": {"n": 7}})
    assert (await engine.ended(id))["status"] == "failed"
    planned = await plan(engine, id)
    assert planned["step"] == "right2"
    assert [(each["step"], each["is_under_way"], each["times_before"]) for each in planned["effects"]] == [
        ("left2", True, 0),
        ("right2", False, 1),
    ]
    receiver.broken.clear()
    receiver.calls.clear()
    mails.subjects.clear()
    mails.delay = 0.2
    again = await rerun(engine, id)
    row = await engine.ended(again)
    assert (row["status"], row["output"]) == ("completed", {"paid": 7}), dict(row)
    assert (receiver.calls, mails.subjects) == (["POST right2"], ["slow left2"])
    lines = {step["name"]: (step["is_taken_over"], step["status"]) for step in await engine.steps(again)}
    assert lines["left2"] == (False, "completed")
    assert lines["ask"] == lines["hear"] == lines["wait for left"] == (True, "completed")
    tasks = await engine.get(f"/v1/tasks?execution_id={again}")
    assert tasks["items"] == []
    await agree(engine, again)


async def test_from_inside_a_round_of_a_loop_in_a_try(engine: Engine, receiver: Receiver) -> None:
    receiver.broken.add("n3")
    url = f"http://127.0.0.1:{receiver.port}/n${{ $item }}"
    each = {
        "mark": {"call": "http", "with": {"method": "post", "endpoint": url}, "output": {"as": "{at: .said}"}}
    }
    loop = {"each": {"for": {"in": "$workflow.input.items"}, "do": [each, {"sum": {"set": "${ . }"}}]}}
    catch = {"errors": {"with": {"status": 418}}, "do": [{"never": {"set": {"a": 1}}}]}
    row = await engine.run([{"careful": {"try": [loop], "catch": catch}}], {"items": [1, 2, 3, 4]})
    assert row["status"] == "failed"
    receiver.broken.clear()
    receiver.calls.clear()
    planned = await plan(engine, str(row["id"]))
    assert (planned["occurrence"][-2:], planned["answered_count"]) == ("#3", 6)
    assert [(one["step"], one["times_before"], one["is_certain"]) for one in planned["effects"]] == [
        ("mark", 1, True)
    ]
    again = await engine.ended(await rerun(engine, str(row["id"])))
    assert (again["status"], again["output"]) == ("completed", {"at": "n4"})
    assert receiver.calls == ["POST n3", "POST n4"]
    # From the second round on, of one that completed.
    receiver.calls.clear()
    mark = planned["occurrence"].rpartition("#")[0]
    third = await engine.ended(await rerun(engine, str(again["id"]), **{"from": mark, "visit": 2}))
    assert (third["output"], receiver.calls) == ({"at": "n4"}, ["POST n2", "POST n3", "POST n4"])


async def test_children_before_are_answered_and_after_are_new(engine: Engine, mails: Mailbox) -> None:
    await engine.publish([{"tell": send("child")}], document={**HEADER, "name": "other"})
    run = {"run": {"workflow": {"namespace": "tests", "name": "other", "version": "latest"}}}
    do = [{"before": run}, {"oops": {"raise": {"error": {"type": "https://example.com/no", "status": 500}}}}]
    row = await engine.run([*do[:1], {"again": run}, do[1]])
    planned = await plan(engine, str(row["id"]), **{"from": "again"})
    assert [(each["step"], each["action"]) for each in planned["effects"]] == [("again", "workflow.run")]
    mails.subjects.clear()
    again = await engine.ended(await rerun(engine, str(row["id"]), **{"from": "again"}))
    assert (again["status"], mails.subjects) == ("failed", ["child"])
    children = await engine.get(f"/v1/executions?parent_id={again['id']}")
    assert [each["status"] for each in children["items"]] == ["completed"]


def booking(*more: dict[str, Any]) -> list[dict[str, Any]]:
    undone = [
        {name: {**send(name), "metadata": {"compensate": send(f"no {name}")}}} for name in ("room", "car")
    ]
    return [*undone, *more]


FAIL: dict[str, Any] = {"fail": {"raise": {"error": {"type": "https://example.com/no", "status": 500}}}}


async def test_what_was_undone_is_not_taken_for_done(engine: Engine, mails: Mailbox) -> None:
    row = await engine.run(booking(FAIL))
    assert mails.subjects == ["room", "car", "no car", "no room"]
    planned = await plan(engine, str(row["id"]))
    [refusal] = planned["refusals"]
    assert (refusal["code"], planned["digest"]) == ("undone", None)
    assert "room, car" in refusal["message"]
    assert "/do/0/room#1" in refusal["message"]
    asked = {"from": "fail", "confirm": "0" * 64}
    assert await refused(engine, str(row["id"]), asked) == (409, "rerun_refused")
    mails.subjects.clear()
    again = await engine.ended(await rerun(engine, str(row["id"]), **{"from": "room"}))
    assert mails.subjects == ["room", "car", "no car", "no room"]
    assert again["status"] == "failed"


async def test_whoever_continues_answers_for_what_was_not_undone(engine: Engine, mails: Mailbox) -> None:
    """A terminated execution undoes nothing; one of its reruns does, should it fail. A completed one stands."""
    id = str((await engine.start(await engine.publish(booking({"ask": ASK}, FAIL))))["id"])
    await engine.until(id, lambda row: "task_id" in (row["waiting_on"] or {}))
    await engine.client.get_workflow_handle((await engine.row(id))["temporal_workflow_id"]).terminate("test")
    assert (await engine.ended(id))["status"] == "terminated"
    planned = await plan(engine, id, **{"from": "ask"})
    assert [each["step"] for each in planned["undoes"]] == ["car", "room"]
    mails.subjects.clear()
    again = await rerun(engine, id, **{"from": "ask"})
    second = await plan(engine, id, **{"from": "ask"})
    assert second["undoes"] == [], "another one answers for them already"
    row = await engine.until(again, lambda row: "task_id" in (row["waiting_on"] or {}))
    await engine.post(f"/v1/tasks/{row['waiting_on']['task_id']}/decision", {"outcome": "approved"})
    assert (await engine.ended(again))["status"] == "failed"
    assert mails.subjects == ["no car", "no room"]
    assert [each["code"] for each in (await plan(engine, id, **{"from": "ask"}))["refusals"]] == ["undone"]

    done = await engine.run(booking({"check": {"set": '${ if .again then 1 + "a" else . end }'}}))
    assert done["status"] == "completed"
    assert (await plan(engine, str(done["id"]), **{"from": "check"}))["undoes"] == []


async def test_a_rerun_of_a_rerun(engine: Engine, receiver: Receiver, mails: Mailbox) -> None:
    receiver.broken |= {"four", "six"}
    row = await engine.run(six(receiver))
    receiver.broken.discard("four")
    second = await engine.ended(await rerun(engine, str(row["id"])))
    assert second["error"]["instance"] == "/do/5/six"
    receiver.broken.clear()
    receiver.calls.clear()
    mails.subjects.clear()
    third = await engine.ended(await rerun(engine, str(second["id"])))
    assert third["output"] == {"six": "six", "kept": 1, "three": 1}
    assert (receiver.calls, mails.subjects) == (["POST six"], [])
    taken = [step["is_taken_over"] for step in await engine.steps(str(third["id"]))]
    assert taken == [True] * 5 + [False]
    # From a step that the rerun had itself taken over.
    receiver.calls.clear()
    fourth = await engine.ended(await rerun(engine, str(third["id"]), **{"from": "two"}))
    assert fourth["status"] == "completed"
    assert (receiver.calls, mails.subjects) == (["PUT three", "POST four", "POST six"], ["two", "five 1"])
    view = await engine.get(f"/v1/executions/{fourth['id']}")
    assert view["rerun"] == {"occurrence": "/do/1/two#1", "step": "two", "answered": 1}
    listed = await engine.get(f"/v1/executions?rerun_of_id={third['id']}")
    assert [each["id"] for each in listed["items"]] == [str(fourth["id"])]


async def test_what_cannot_be_repeated_says_why(
    engine: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reasons(id: str, **asked: Any) -> list[str]:
        return [each["code"] for each in (await plan(engine, id, **asked))["refusals"]]

    workflow = await engine.publish([{"one": receiver.post("one")}, {"ask": ASK}])
    open = str((await engine.start(workflow))["id"])
    await engine.waiting(open)
    assert await reasons(open) == ["execution_open"]
    await engine.post(f"/v1/executions/{open}/cancel", {})
    await engine.ended(open)
    assert await reasons(open, **{"from": "ask"}) == []
    await engine.post(f"/v1/workflows/{workflow}/pause", None)
    assert await reasons(open) == ["not_runnable"]
    await engine.post(f"/v1/workflows/{workflow}/resume", None)
    digest = (await plan(engine, open, **{"from": "ask"}))["digest"]
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        await tx.execute(text("DELETE FROM execution_steps WHERE name = 'one'"))
    assert await reasons(open, **{"from": "ask"}) == ["log_incomplete"]
    assert await refused(engine, open, {"from": "ask", "confirm": digest}) == (409, "rerun_refused")
    for asked in ({"from": "nothing"}, {"from": "one"}, {"from": "ask", "visit": 2}):
        answer = await engine.http.post(f"/v1/executions/{open}/rerun-plan", json=asked)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "no_such_step"), asked
    monkeypatch.setattr("domain.actions.Catalogue.find", lambda *_: None)
    other = await engine.http.post(f"/v1/executions/{open}/rerun-plan", json={"from": "ask"})
    assert other.json()["refusals"][0]["code"] in ("log_incomplete", "action_gone")


async def test_two_confirmations_are_one_rerun(engine: Engine, receiver: Receiver) -> None:
    row = await engine.run([{"one": receiver.post("one")}, {"two": receiver.post("two")}])
    path = f"/v1/executions/{row['id']}/rerun"
    planned = await plan(engine, str(row["id"]), **{"from": "two"})
    body = {"from": "two", "confirm": planned["digest"], "confirm_irreversible": True}
    keys = ["a", "a", "b", "c"]
    answers = await asyncio.gather(
        *(engine.http.post(path, json=body, headers={"Idempotency-Key": key}) for key in keys)
    )
    good = [answer.json()["id"] for answer in answers if answer.status_code == 202]
    assert len(set(good)) == 1
    assert {answer.json()["code"] for answer in answers if answer.status_code != 202} == {"plan_out_of_date"}
    again = await engine.http.post(path, json=body, headers={"Idempotency-Key": "d"})
    assert again.status_code == 409
    await engine.ended(good[0])
    assert receiver.calls == ["POST one", "POST two", "POST two"]
    assert len(set(receiver.keys)) == 3, "another execution is another effect"


async def test_a_large_state_travels_and_a_wish_to_pause_is_kept(
    idle_engine: Engine, receiver: Receiver
) -> None:
    engine = idle_engine
    big = "${ [range(9000)] | map(. * 12345) }"
    grow: list[dict[str, Any]] = [
        {f"grow{n}": {"set": {"list": big}, "output": {"as": ".list"}}} for n in range(9)
    ]
    lengths = " + ".join(f"($steps.grow{n} | length)" for n in range(9))
    last = receiver.post("two", output={"as": f"{{all: ({lengths})}}"})
    async with working(engine.parts, engine.client):
        row = await engine.run([*grow, {"one": receiver.post("one")}, {"two": last}])
        assert (row["status"], row["output"]) == ("completed", {"all": 81_000}), dict(row)
    again = await rerun(engine, str(row["id"]), **{"from": "two"})
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        size = text("SELECT max(octet_length(payload::text)) FROM outbox WHERE kind = 'start'")
        assert 800_000 < int(await tx.scalar(size) or 0) < 1_200_000
    await engine.post(f"/v1/executions/{again}/pause", None)
    receiver.calls.clear()
    async with working(engine.parts, engine.client):
        relaying = asyncio.create_task(engine.parts.relay.run())
        paused = await engine.until(again, lambda row: row["status"] == "paused")
        assert receiver.calls == []
        assert paused["progress"] == 81
        await engine.post(f"/v1/executions/{again}/resume", None)
        ended = await engine.ended(again)
        assert (ended["status"], ended["output"]) == ("completed", {"all": 81_000})
        relaying.cancel()
    assert receiver.calls == ["POST two"]


async def test_whoever_started_the_original_decides_no_four_eyes_of_its_rerun(
    engine: Engine, people: People
) -> None:
    ask = {"call": "approve", "with": {"title": "Pay?", "four_eyes": ["check"]}}
    own = {"call": "approve", "with": {"title": "Sure?", "four_eyes": True}}
    row = await engine.start(await engine.publish([{"check": ASK}, {"pay": ask}, {"sure": own}]))
    id = str(row["id"])

    async def task(id: str, step: str) -> str:
        waits = await engine.until(id, lambda row: (row["waiting_on"] or {}).get("step") == step)
        return str(waits["waiting_on"]["task_id"])

    _, bob = await people.member(RoleName.OWNER)
    yes = {"outcome": "approved"}
    checked = await bob.post(f"/v1/tasks/{await task(id, 'check')}/decision", json=yes)
    assert checked.status_code == 200, checked.text
    await task(id, "pay")
    await engine.post(f"/v1/executions/{id}/cancel", {})
    await engine.ended(id)
    # Bob repeats it from `pay`: he decided `check` there, and Ada had started it.
    planned = (await bob.post(f"/v1/executions/{id}/rerun-plan", json={"from": "pay"})).json()
    started = await bob.post(f"/v1/executions/{id}/rerun", json={"from": "pay", "confirm": planned["digest"]})
    again = started.json()["id"]
    pay = await task(again, "pay")
    assert (await bob.post(f"/v1/tasks/{pay}/decision", json=yes)).status_code == 403
    await engine.post(f"/v1/tasks/{pay}/decision", yes)
    sure = await task(again, "sure")
    for http in (engine.http, bob):
        assert (await http.post(f"/v1/tasks/{sure}/decision", json=yes)).status_code == 403
