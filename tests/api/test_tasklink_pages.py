"""The pages behind links in mails about tasks: stale, used, foreign and replaced ones, and who holds them."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import update

from db.tables import metadata
from db.taskduties import Duties
from db.taskopening import NewTask, open_task
from db.tenants import SHIPPED_ROLES
from domain.onetime import Purpose, derive
from domain.permissions import RoleName
from domain.tasks import OnOverdue, digest_of
from tests.api.house import PROCESSES, SECURITY, House, house

__all__ = ["house"]


@pytest.fixture
async def browser(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """Signed in nowhere."""
    transport = httpx2.ASGITransport(app=house.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
        yield http


async def mailed(house: House, *, to: UUID | None = None, **given: Any) -> tuple[str, UUID]:
    """The path that a mail about a fresh task leads to, for a client or the member `to`; and the task's id."""
    started = (await house.owner.post(f"/v1/workflows/{await house.published()}/executions")).json()
    if to is None:
        client = await house.put("clients", email=f"c-{uuid4().hex[:6]}@example.test")
        given.setdefault("assignees", [f"client:{client['id']}"])
    now, arguments = datetime.now(UTC), given.get("arguments")
    new = NewTask(
        id=uuid4(),
        organization_id=house.owner.organization_id,
        execution_id=UUID(started["id"]),
        occurrence="/do/0/ask#1",
        title="May <we>?",
        arguments_digest=None if arguments is None else digest_of(arguments),
        next_due=now - timedelta(seconds=1),
        links=to is not None,
        **{"kind": "approval", **given},
    )
    async with house.working() as tx:
        assert await open_task(tx, new)
        await Duties(tx, PROCESSES, SECURITY.token_secret, now).see_to(new.id)
    house.dispatcher.told.clear()
    links = [row for row in await house.everything("task_links") if row["task_id"] == new.id]
    [link] = [row for row in links if to is None or row["user_id"] == to]
    return f"/t/{derive(SECURITY.token_secret, Purpose.TASK, link['id'])}", new.id


async def change(house: House, table: str, **values: Any) -> None:
    async with house.admin.begin() as connection:
        await connection.execute(update(metadata.tables[table]).values(values))


def heading(page: httpx2.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page.text)
    assert found is not None, page.text
    return found[1]


async def test_looking_changes_nothing(house: House, browser: httpx2.AsyncClient) -> None:
    path, _ = await mailed(house, arguments={"amount": 100, "to": "<b>Bert</b>"}, description="Please look.")
    before = [await house.everything(table) for table in ("tasks", "task_links", "task_events", "outbox")]
    for _ in range(3):
        page = await browser.get(path)
        assert (page.status_code, heading(page)) == (200, "May &lt;we&gt;?")
    assert "&lt;b&gt;Bert&lt;/b&gt;" in page.text
    assert digest_of({"amount": 100, "to": "<b>Bert</b>"}) in page.text
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
    assert "set-cookie" not in page.headers
    after = [await house.everything(table) for table in ("tasks", "task_links", "task_events", "outbox")]
    assert before == after


async def test_an_answer_counts_once(house: House, browser: httpx2.AsyncClient) -> None:
    path, id = await mailed(house)
    nothing = await browser.post(path, data={})
    assert (nothing.status_code, "choose Approve or Reject" in nothing.text) == (422, True)
    foreign = await browser.post(
        path, data={"outcome": "approved"}, headers={"Origin": "https://evil.example"}
    )
    assert foreign.status_code == 403
    for malformed in ("http://[", "test", "http://test.", "http://x@test"):
        refused = await browser.post(path, data={"outcome": "approved"}, headers={"Origin": malformed})
        assert refused.status_code == 403
    sent = await browser.post(
        path, data={"outcome": "approved", "comment": "fine"}, headers={"Origin": "null"}
    )
    assert (sent.status_code, sent.headers["location"]) == (303, path)
    [told] = house.dispatcher.told
    assert told.payload["arguments"]["decision"]["comment"] == "fine"
    again = await browser.post(path, data={"outcome": "approved", "comment": "fine"})
    assert (again.status_code, heading(again)) == (200, "Your answer is recorded")
    otherwise = await browser.post(path, data={"outcome": "rejected"})
    assert (otherwise.status_code, heading(otherwise)) == (409, "You have answered already")
    assert len(house.dispatcher.told) == 1
    [task] = [row for row in await house.everything("tasks") if row["id"] == id]
    assert (task["outcome"], task["decided_by"], task["decided_by_client"] is None) == (
        "approved",
        None,
        False,
    )


async def test_an_answer_is_about_what_was_shown(house: House, browser: httpx2.AsyncClient) -> None:
    path, _ = await mailed(house, arguments={"amount": 1})
    without = await browser.post(path, data={"outcome": "approved"})
    assert without.status_code == 422
    changed = await browser.post(path, data={"outcome": "approved", "arguments_digest": "0" * 64})
    assert changed.status_code == 409
    assert house.dispatcher.told == []


async def test_all_of_what_is_answered_about_is_shown(house: House, browser: httpx2.AsyncClient) -> None:
    """However much there is before it: the digest that a decision names covers the last word too."""
    path, _ = await mailed(
        house, arguments={**{f"a{n}": "x" * 990 for n in range(60)}, "last_of_all": "the <last> word"}
    )
    assert "the &lt;last&gt; word" in (await browser.get(path)).text


async def test_what_nobody_sees_is_written_out_where_all_is_shown(
    house: House, browser: httpx2.AsyncClient
) -> None:
    path, _ = await mailed(house, arguments={"payee": "Acme\u202e moc.\u200blive"})
    assert "Acme\\u202e moc.\\u200blive" in (await browser.get(path)).text


async def test_both_buttons_at_once_are_no_answer(house: House, browser: httpx2.AsyncClient) -> None:
    path, _ = await mailed(house)
    assert (await browser.post(path, data={"outcome": ["approved", "rejected"]})).status_code == 422
    assert house.dispatcher.told == []


async def test_a_form_comes_back_with_what_was_wrong(house: House, browser: httpx2.AsyncClient) -> None:
    form = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "minimum": 3}}}
    path, _ = await mailed(house, kind="form", form=form)
    wrong = await browser.post(path, data={"outcome": "submitted", "data/n": "1", "comment": "kept"})
    assert (wrong.status_code, "kept" in wrong.text, 'aria-invalid="true"' in wrong.text) == (422, True, True)
    assert (await browser.post(path, data={"outcome": "approved", "data/n": "4"})).status_code == 422
    right = await browser.post(path, data={"outcome": "submitted", "data/n": "4"})
    assert right.status_code == 303
    assert house.dispatcher.told[0].payload["arguments"]["decision"]["data"] == {"n": 4}


@pytest.mark.parametrize(
    ("table", "values", "status", "said"),
    [
        ("task_links", {"revoked_at": datetime(2026, 1, 1, tzinfo=UTC)}, 410, "This link was replaced"),
        ("task_links", {"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}, 410, "This link is too old"),
        ("tasks", {"status": "cancelled"}, 410, "No answer is needed any more"),
        (
            "tasks",
            {"status": "expired", "decision": {"fault": {}}, "due_at": datetime(2026, 1, 1, tzinfo=UTC)},
            410,
            "The deadline has passed",
        ),
        ("organizations", {"is_active": False}, 404, "This link is not known"),
    ],
)
async def test_a_stale_link_says_why(
    house: House, browser: httpx2.AsyncClient, table: str, values: Any, status: int, said: str
) -> None:
    path, _ = await mailed(house)
    await change(house, table, **values)
    for page in (await browser.get(path), await browser.post(path, data={"outcome": "approved"})):
        assert (page.status_code, heading(page)) == (status, said)
    assert house.dispatcher.told == []


async def test_a_former_contacts_link_is_good_no_more(house: House, browser: httpx2.AsyncClient) -> None:
    path, id = await mailed(house, remind_at=[datetime.now(UTC) + timedelta(days=1)])
    await change(house, "clients", email="successor@example.test")
    for page in (await browser.get(path), await browser.post(path, data={"outcome": "approved"})):
        assert (page.status_code, heading(page)) == (410, "This link was replaced")
    async with house.working() as tx:
        later = datetime.now(UTC) + timedelta(days=2)
        await Duties(tx, PROCESSES, SECURITY.token_secret, later).see_to(id)
    assert heading(await browser.get(path)) == "This link was replaced"
    [link] = [row for row in await house.everything("task_links") if row["revoked_at"] is None]
    new = f"/t/{derive(SECURITY.token_secret, Purpose.TASK, link['id'])}"
    assert (await browser.post(new, data={"outcome": "approved"})).status_code == 303
    await change(house, "clients", email="another@example.test")
    assert heading(await browser.get(new)) == "Your answer is recorded"


async def test_a_deadline_that_nobody_has_written_down_yet_counts(
    house: House, browser: httpx2.AsyncClient
) -> None:
    path, _ = await mailed(house, due_at=datetime.now(UTC) + timedelta(days=1), on_overdue=OnOverdue.FAIL)
    await change(house, "tasks", due_at=datetime.now(UTC) - timedelta(seconds=1))
    page = await browser.get(path)
    assert "nothing can be decided any more" in page.text
    assert "<form" not in page.text
    assert (await browser.post(path, data={"outcome": "approved"})).status_code == 409
    assert house.dispatcher.told == []


async def test_a_members_link_stands_for_that_member(house: House, browser: httpx2.AsyncClient) -> None:
    path, id = await mailed(
        house, to=house.reviewer.id, assignees=["role:reviewer", f"user:{house.member.email}"]
    )
    members = [row for row in await house.everything("task_links") if row["user_id"] == house.member.id]
    other = f"/t/{derive(SECURITY.token_secret, Purpose.TASK, members[0]['id'])}"
    assert (await browser.post(path, data={"outcome": "approved"})).status_code == 303
    [task] = [row for row in await house.everything("tasks") if row["id"] == id]
    assert task["decided_by"] == house.reviewer.id
    late = await browser.get(other)
    assert (late.status_code, heading(late)) == (410, "Somebody else was quicker")


async def test_who_left_or_may_not_decide_any_more_does_not_by_an_old_link(
    house: House, browser: httpx2.AsyncClient
) -> None:
    path, _ = await mailed(house, to=house.reviewer.id, assignees=["role:reviewer"])
    memberships = metadata.tables["user_organizations"]
    for values, said in (
        ({"permissions_override": {"deny": ["tasks:decide"]}}, "may not decide tasks"),
        ({"status": "suspended"}, "no active member"),
    ):
        async with house.admin.begin() as connection:
            await connection.execute(
                update(memberships).where(memberships.c.user_id == house.reviewer.id).values(values)
            )
        page = await browser.get(path)
        assert said in page.text
        assert "<form" not in page.text
        assert (await browser.post(path, data={"outcome": "approved"})).status_code == 403
    assert house.dispatcher.told == []


async def test_four_eyes_reach_through_links(house: House, browser: httpx2.AsyncClient) -> None:
    """The owner started it; a link that is theirs does not help."""
    path, id = await mailed(house, to=house.owner.id, assignees=["role:owner"])
    await change(house, "tasks", four_eyes=True)
    page = await browser.get(path)
    assert "four eyes" in page.text
    assert (await browser.post(path, data={"outcome": "approved"})).status_code == 403
    [task] = [row for row in await house.everything("tasks") if row["id"] == id]
    assert task["status"] == "open"


async def test_a_members_link_ends_when_the_task_is_nothing_for_them_to_see_any_more(
    house: House, browser: httpx2.AsyncClient
) -> None:
    path, id = await mailed(house, to=house.member.id, assignees=["role:member"])
    async with house.admin.begin() as connection:
        memberships = metadata.tables["user_organizations"]
        theirs = update(memberships).where(memberships.c.user_id == house.member.id)
        await connection.execute(theirs.values(role_id=SHIPPED_ROLES[RoleName.CLIENT]))
    for answer in (await browser.get(path), await browser.post(path, data={"outcome": "approved"})):
        assert (answer.status_code, heading(answer)) == (403, "You cannot answer any more")
        assert "May &lt;we&gt;?" not in answer.text
    [task] = [row for row in await house.everything("tasks") if row["id"] == id]
    assert task["status"] == "open"
