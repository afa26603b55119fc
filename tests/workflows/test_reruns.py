"""A rerun repeats exactly what its plan announced, counted where it arrives; what came before happens no second time."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from temporalio.worker import WorkflowRunner

from domain.addresses import AddressPolicy
from tests.workflows.engine import HEADER, Engine, settings_for, working
from tests.workflows.mail import Mailbox, mailbox, send
from tests.workflows.test_operators import agree
from workers.settings import Settings

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
