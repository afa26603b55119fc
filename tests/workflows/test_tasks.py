"""Tasks on a real worker: whoever answers by whichever way, the execution goes on exactly once."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import insert, select, update

from api.tokens import ApiKey
from db.engine import create_engine
from db.tables import metadata
from domain.permissions import Permission, RoleName
from tests.factories import rows
from tests.workflows.engine import Engine, settings_for
from tests.workflows.mail import Mailbox, mailbox
from workers.settings import Settings

LINK = re.compile(r"http://127\.0\.0\.1:\d+(/t/[A-Za-z0-9_-]{43})")
FORM = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string", "title": "Name"}, "age": {"type": "integer", "minimum": 0}},
    "additionalProperties": False,
}


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    async with mailbox() as box:
        yield box


@pytest.fixture
def engine_settings(database_url: str, temporal_server: str, box: Mailbox) -> Settings:
    return settings_for(
        database_url,
        temporal_server,
        smtp_url=f"smtp://127.0.0.1:{box.port}?starttls=false",
        mail_from="Perdure <perdure@example.test>",
        public_url="http://127.0.0.1:7233",
    )


@pytest.fixture
async def deadlines(engine: Engine) -> AsyncIterator[None]:
    running = asyncio.create_task(engine.parts.deadlines.run())
    yield
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


class People:
    """Members and clients of the engine's organization, as the tests' superuser makes them."""

    def __init__(self, engine: Engine, admin_url: str) -> None:
        self.engine = engine
        self.admin = create_engine(admin_url)

    async def member(self, role: RoleName = RoleName.REVIEWER) -> tuple[str, httpx2.AsyncClient]:
        """A member's address, and a client that acts with a key of theirs."""
        key, users = ApiKey.new(), metadata.tables["users"]
        async with self.admin.begin() as connection:
            made = await rows.member(connection, self.engine.organization_id, role=role)
            email = await connection.scalar(select(users.c.email).where(users.c.id == made["user_id"]))
            await connection.execute(
                insert(metadata.tables["api_keys"]).values(
                    organization_id=self.engine.organization_id,
                    user_id=made["user_id"],
                    name="test",
                    key_id=key.key_id,
                    secret_sha256=key.secret_sha256,
                    scopes=[permission.value for permission in Permission],
                )
            )
        http = httpx2.AsyncClient(
            transport=self.engine.http._transport,
            base_url="http://perdure.test",
            headers={"Authorization": f"Bearer {key}"},
        )
        return email, http

    async def client(self) -> tuple[UUID, str]:
        address = f"client-{uuid4().hex[:8]}@example.test"
        async with self.admin.begin() as connection:
            row = await rows.client(connection, self.engine.organization_id, email=address)
        return row["id"], address

    async def hurry(self, task_id: str, by: timedelta) -> None:
        """Everything that is to happen to a task happens so much earlier."""
        tasks = metadata.tables["tasks"]
        names = ("due_at", "escalate_at", "next_due", "created_at")
        async with self.admin.begin() as connection:
            changes = {name: tasks.c[name] - by for name in names}
            await connection.execute(update(tasks).where(tasks.c.id == UUID(task_id)).values(changes))


@pytest.fixture
async def people(engine: Engine, admin_url: str) -> AsyncIterator[People]:
    people = People(engine, admin_url)
    yield people
    await people.admin.dispose()


async def eventually(happened: Callable[[], Awaitable[Any]], seconds: float = 20) -> Any:
    for _ in range(int(seconds * 20)):
        found = await happened()
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen")


async def the_task(engine: Engine, execution_id: str) -> str:
    row = await engine.waiting(execution_id)
    return str(row["waiting_on"]["task_id"])


async def mailed(box: Mailbox, address: str, count: int = 1) -> list[str]:
    """The texts of mails to an address, once there are so many."""

    async def look() -> list[str] | None:
        texts = [mail.get_body(("plain",)) for to, mail in box.mails if address in to]
        return [text.get_content() for text in texts if text is not None] if len(texts) >= count else None

    found: list[str] = await eventually(look)
    return found


def visitor(engine: Engine) -> httpx2.AsyncClient:
    """Somebody who is signed in nowhere."""
    return httpx2.AsyncClient(transport=engine.http._transport, base_url="http://perdure.test")


@pytest.mark.usefixtures("deadlines")
async def test_a_client_answers_by_link_and_the_execution_goes_on(
    engine: Engine, people: People, box: Mailbox
) -> None:
    client_id, address = await people.client()
    workflow = await engine.publish(
        [
            {
                "fill": {
                    "call": "ask",
                    "with": {
                        "title": "Your facts",
                        "form": FORM,
                        "arguments": {"year": 2026},
                        "assignees": ["client:${ .client }"],
                    },
                }
            },
            {"keep": {"set": {"name": "${ .data.name }", "by": "${ .decided_by_client }"}}},
        ]
    )
    started = await engine.start(workflow, {"client": str(client_id)})
    [text] = await mailed(box, address)
    [path] = LINK.findall(text)
    async with visitor(engine) as stranger:
        page = await stranger.get(path)
        assert (page.status_code, page.headers["referrer-policy"]) == (200, "no-referrer")
        assert "Your facts" in page.text
        assert "<script" not in page.text
        digest = re.search(r'name="arguments_digest" value="(\w+)"', page.text)
        assert digest is not None
        sent = {"outcome": "submitted", "arguments_digest": digest[1]}
        misfit = await stranger.post(path, data={**sent, "data./age": "-1", "data/age": "-1"})
        assert misfit.status_code == 422, misfit.text
        assert "Not recorded" in misfit.text
        answered = await stranger.post(path, data={**sent, "data/name": "Ada"})
        assert answered.status_code == 303, answered.text
        thanks = await stranger.get(path)
        assert (thanks.status_code, "Your answer is recorded" in thanks.text) == (200, True)
        otherwise = await stranger.post(path, data={"outcome": "rejected"})
        assert (otherwise.status_code, "You have answered already" in otherwise.text) == (409, True)
        for foreign in ("/t/" + "x" * 43, "/t/short", path[:-1] + ("A" if path[-1] != "A" else "B")):
            assert (await stranger.get(foreign)).status_code == 404
            assert (await stranger.post(foreign, data=sent)).status_code == 404
    row = await engine.ended(started["id"])
    assert (row["status"], row["output"]) == ("completed", {"name": "Ada", "by": str(client_id)}), row[
        "error"
    ]


async def test_of_many_answers_at_once_the_execution_hears_one(engine: Engine, people: People) -> None:
    workflow = await engine.publish(
        [
            {"look": {"call": "approve", "with": {"title": "Well?", "assignees": ["role:reviewer"]}}},
            {"tell": {"set": {"who": "${ .decided_by }", "yes": "${ .approved }"}}},
        ]
    )
    reviewers = [(await people.member())[1] for _ in range(4)]
    started = await engine.start(workflow)
    task = await the_task(engine, started["id"])
    answers = await asyncio.gather(
        *(
            reviewer.post(f"/v1/tasks/{task}/decision", json={"outcome": "approved" if n % 2 else "rejected"})
            for n, reviewer in enumerate(reviewers * 2)
        )
    )
    kept = [answer.json() for answer in answers if answer.status_code == 200]
    assert {each["decided_by"] for each in kept} == {kept[0]["decided_by"]}
    assert {answer.status_code for answer in answers} == {200, 409}
    row = await engine.ended(started["id"])
    assert row["output"] == {"who": kept[0]["decided_by"], "yes": kept[0]["outcome"] == "approved"}
    steps = await engine.steps(started["id"])
    assert [(step["name"], step["visit"]) for step in steps] == [("look", 1), ("tell", 1)]


async def test_two_of_three_approve_and_the_starter_is_none_of_them(engine: Engine, people: People) -> None:
    ask = {"title": "Pay?", "quorum": 2, "four_eyes": True, "arguments": {"amount": "${ .amount }"}}
    workflow = await engine.publish([{"pay": {"call": "approve", "with": ask}}])
    started = await engine.start(workflow, {"amount": 9000})
    task = await the_task(engine, started["id"])
    shown = await engine.get(f"/v1/tasks/{task}")
    body = {"outcome": "approved", "arguments_digest": shown["arguments_digest"]}
    refused = await engine.http.post(f"/v1/tasks/{task}/decision", json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, "four_eyes")
    for _ in range(2):
        _, http = await people.member()
        assert (
            await http.post(f"/v1/tasks/{task}/decision", json={"outcome": "approved"})
        ).status_code == 422
        wrong = await http.post(f"/v1/tasks/{task}/decision", json={**body, "arguments_digest": "0" * 64})
        assert (wrong.status_code, wrong.json()["code"]) == (409, "arguments_changed")
        assert (await http.post(f"/v1/tasks/{task}/decision", json=body)).status_code == 200
    row = await engine.ended(started["id"])
    assert (row["status"], len(row["output"]["decisions"])) == ("completed", 2)


async def test_neither_who_began_nor_who_prepared_decides(engine: Engine, people: People) -> None:
    form = {"type": "object", "properties": {"n": {"type": "integer"}}}
    workflow = await engine.publish(
        [
            {"prepare": {"call": "ask", "with": {"title": "Prepare", "form": form}}},
            {"check": {"call": "approve", "with": {"title": "Check", "four_eyes": [True, "prepare"]}}},
        ]
    )
    started = await engine.start(workflow)
    _, preparer = await people.member()
    _, third = await people.member()
    task = await the_task(engine, started["id"])
    prepared = {"outcome": "submitted", "data": {"n": 1}}
    assert (await preparer.post(f"/v1/tasks/{task}/decision", json=prepared)).status_code == 200
    approved = {"outcome": "approved"}

    async def check() -> str | None:
        waiting = (await engine.row(started["id"]))["waiting_on"] or {}
        return waiting["task_id"] if waiting.get("step") == "check" else None

    while (check_task := await check()) is None:  # noqa: ASYNC110 - nobody tells a test
        await asyncio.sleep(0.02)
    for http in (engine.http, preparer):
        refused = await http.post(f"/v1/tasks/{check_task}/decision", json=approved)
        assert (refused.status_code, refused.json()["code"]) == (403, "four_eyes")
    assert (await third.post(f"/v1/tasks/{check_task}/decision", json=approved)).status_code == 200
    assert (await engine.ended(started["id"]))["status"] == "completed"


@pytest.mark.usefixtures("deadlines")
async def test_what_nobody_decides_in_time_is_an_error_that_can_be_caught(
    engine: Engine, people: People
) -> None:
    ask = {"title": "Well?", "due": "1 hour", "on_overdue": "fail"}
    late: list[dict[str, Any]] = [{"late": {"set": {"caught": "${ $error.status }"}}}]
    caught = {"errors": {"with": {"type": "timeout", "status": 408}}, "as": "error", "do": late}
    workflow = await engine.publish(
        [{"guard": {"try": [{"look": {"call": "approve", "with": ask}}], "catch": caught}}]
    )
    plain = await engine.publish([{"look": {"call": "approve", "with": ask}}])
    first, second = await engine.start(workflow), await engine.start(plain)
    for started in (first, second):
        await people.hurry(await the_task(engine, started["id"]), timedelta(hours=1))
    row = await engine.ended(first["id"])
    assert (row["status"], row["output"]) == ("completed", {"caught": 408}), row["error"]
    failed = await engine.ended(second["id"])
    assert (failed["status"], failed["error"]["status"]) == ("failed", 408)
    assert failed["error"]["type"].endswith("/timeout")
    assert failed["error"]["instance"] == "/do/0/look"
    [task] = (await engine.get(f"/v1/tasks?execution_id={second['id']}"))["items"]
    assert task["status"] == "expired"
    refused = await engine.http.post(f"/v1/tasks/{task['id']}/decision", json={"outcome": "approved"})
    assert (refused.status_code, refused.json()["code"]) == (409, "task_overdue")


@pytest.mark.usefixtures("deadlines")
async def test_a_task_escalates_by_mail_to_somebody_who_decides_it(
    engine: Engine, people: People, box: Mailbox
) -> None:
    (ada, _), (boss, http) = await people.member(), await people.member(RoleName.MANAGER)
    ask = {
        "title": "Sign?",
        "assignees": [f"user:{ada}"],
        "due": "2 days",
        "escalate": {"after": "1 hour", "to": [f"user:{boss}"]},
    }
    workflow = await engine.publish([{"sign": {"call": "approve", "with": ask}}])
    started = await engine.start(workflow)
    task = await the_task(engine, started["id"])
    early = await http.post(f"/v1/tasks/{task}/decision", json={"outcome": "approved"})
    assert early.status_code == 403
    await people.hurry(task, timedelta(hours=1))
    [text] = await mailed(box, boss)
    assert f"/tasks/{task}" in text
    assert not [to for to, _ in box.mails if ada in to]
    assert (await http.post(f"/v1/tasks/{task}/decision", json={"outcome": "approved"})).status_code == 200
    assert (await engine.ended(started["id"]))["status"] == "completed"
    kinds = [line["kind"] for line in (await engine.get(f"/v1/tasks/{task}/events"))["items"]]
    assert kinds == ["opened", "escalated", "decided"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"assignees": ["user:nobody@example.test"]}, "nobody@example.test is no active member"),
        ({"assignees": ["role:wizard"]}, "no role “wizard”"),
        ({"assignees": ["client:00000000-0000-4000-8000-000000000000"]}, "no client"),
        ({"assignees": ["user:ada@example.com"], "four_eyes": True}, "four_eyes leaves 0"),
        ({"assignees": ["user:ada@example.com"], "quorum": 2}, "2 different people"),
        ({"four_eyes": ["${ .step }"]}, "nobody has decided"),
        ({"assignees": ["${ .step }"]}, "a candidate is"),
        ({"assignees": ["role:owner"], "candidates": ["role:owner"]}, "two words for one thing"),
        ({"reminders": ["1 hour"], "assignees": ["role:owner"]}, "add `due`"),
        ({"links": True}, "name them"),
    ],
)
async def test_a_task_that_could_only_wait_in_vain_fails_its_step_and_says_why(
    engine: Engine, given: dict[str, Any], said: str
) -> None:
    row = await engine.run([{"look": {"call": "approve", "with": {"title": "x", **given}}}], {"step": "gone"})
    assert (row["status"], row["error"]["status"]) == ("failed", 400), row["error"]
    assert said in row["error"]["detail"]
    assert (await engine.get(f"/v1/tasks?execution_id={row['id']}"))["items"] == []
