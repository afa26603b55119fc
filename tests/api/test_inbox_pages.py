"""The inbox and the page of a task, as a browser without scripts uses them."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.permissions import RoleName
from domain.tasks import digest_of
from tests.api.conftest import World
from tests.api.people import Colleague, People, people
from tests.api.test_pages import sign_in, token
from tests.factories.rows import Row, row

__all__ = ["people"]  # a fixture

FORM = {
    "type": "object",
    "properties": {
        "rate": {"type": "number", "maximum": 100, "title": "Hourly rate"},
        "note": {"type": "string"},
        "contacts": {"type": "array", "items": {"type": "string"}, "maxItems": 4},
    },
    "required": ["rate"],
}


@pytest.fixture
async def browser(people: People) -> AsyncIterator[httpx2.AsyncClient]:
    """The owner's."""
    async with people.world.browser() as client:
        await sign_in(client, people.owner.email)
        yield client


class Inbox:
    """Tasks put into the organization."""

    def __init__(self, people: People) -> None:
        self.people = people

    async def put(self, **given: Any) -> Row:
        given = {"assignees": [], "title": "Pay the salaries?", "kind": "approval", **given}
        return await row(self.people.behind, "tasks", UUID(self.people.id), **given)

    async def read(self, task: Row) -> dict[str, Any]:
        found: dict[str, Any] = (await self.people.owner.get(f"/v1/tasks/{task['id']}")).json()
        return found


@pytest.fixture
def inbox(people: People) -> Inbox:
    return Inbox(people)


async def enter(browser: httpx2.AsyncClient, people: People, person: Colleague) -> None:
    await sign_in(browser, person.email)
    form = {"csrf_token": token(await browser.get("/")), "organization_id": people.id}
    assert (await browser.post("/organization", data=form)).status_code == 303


async def send(browser: httpx2.AsyncClient, task: Row, deed: str, **form: Any) -> httpx2.Response:
    """What the page of the task posts: its own hidden fields and what is given."""
    page = await browser.get(f"/tasks/{task['id']}")
    found = re.search(r'name="arguments_digest" value="([0-9a-f]{64})"', page.text)
    hidden = {"csrf_token": token(await browser.get("/tasks"))}
    if found:
        hidden["arguments_digest"] = found[1]
    return await browser.post(f"/tasks/{task['id']}/{deed}", data={**hidden, **form})


async def test_a_task_is_found_read_and_decided_and_the_first_decision_counts(
    browser: httpx2.AsyncClient, inbox: Inbox, world: World
) -> None:
    execution = await row(inbox.people.behind, "workflow_executions", UUID(inbox.people.id), status="waiting")
    task = await inbox.put(title="<b>Pay</b>?", execution_id=execution["id"], description="All of <them>")
    listed = (await browser.get("/tasks")).text
    assert f'<a href="/tasks/{task["id"]}">&lt;b&gt;Pay&lt;/b&gt;?</a>' in listed
    page = (await browser.get(f"/tasks/{task['id']}")).text
    assert "All of &lt;them&gt;" in page
    assert "everybody who may decide tasks" in page
    done = await send(browser, task, "decision", outcome="approved", comment=" fine\r\nby me ")
    assert done.status_code == 303  # reloading what follows sends nothing again
    assert [entry.payload["signal"] for entry in world.dispatcher.entries] == ["decide"]
    told = await browser.get(done.headers["location"])
    assert "<strong>You approved:</strong> &lt;b&gt;Pay&lt;/b&gt;?" in told.text
    decided = await inbox.read(task)
    assert (decided["outcome"], decided["decision"]["comment"]) == ("approved", "fine\nby me")
    again = await send(browser, task, "decision", outcome="rejected")
    assert again.status_code == 409
    assert 'role="alert"' in again.text
    assert "You approved “&lt;b&gt;Pay&lt;/b&gt;?” on" in again.text
    assert inbox.people.owner.user_id not in again.text
    closed = (await browser.get("/tasks?show=closed")).text
    assert "✓</span> Approved" in closed
    assert "Nothing waits for you." in (await browser.get("/tasks")).text


async def test_a_form_is_drawn_filled_in_grown_and_its_problems_told(
    browser: httpx2.AsyncClient, inbox: Inbox
) -> None:
    task = await inbox.put(form=FORM)
    page = (await browser.get(f"/tasks/{task['id']}")).text
    assert '<label for="data/rate">Hourly rate</label>' in page
    wrong = await send(
        browser,
        task,
        "decision",
        outcome="approved",
        comment="kept",
        **{"data/rate": "200", "data/note": "<x>"},
    )
    assert wrong.status_code == 422
    assert "Hourly rate: Must be at most 100." in wrong.text
    assert 'value="&lt;x&gt;"' in wrong.text
    assert ">kept</textarea>" in wrong.text
    more = await send(
        browser, task, "decision", more="data/contacts", **{"data/contacts/0": "Ada", "data/rate": ""}
    )
    assert more.status_code == 200
    assert 'name="data/contacts/1"' in more.text
    assert 'role="alert"' not in more.text
    assert (await inbox.read(task))["status"] == "open"
    answers = {"data/rate": "95.5", "data/contacts/0": " ", "data/contacts/1": "Ada"}
    assert (await send(browser, task, "decision", outcome="approved", **answers)).status_code == 303
    assert (await inbox.read(task))["decision"]["data"] == {"rate": 95.5, "contacts": ["Ada"]}
    shown = (await browser.get(f"/tasks/{task['id']}")).text
    assert "What was filled in" in shown
    assert "<dt>Hourly rate</dt>" in shown
    assert "95.5" in shown


async def test_rejecting_needs_no_answers_and_a_task_to_fill_in_is_submitted(
    browser: httpx2.AsyncClient, inbox: Inbox
) -> None:
    rejected = await inbox.put(form=FORM)
    assert (await send(browser, rejected, "decision", outcome="rejected")).status_code == 303
    assert (await inbox.read(rejected))["decision"]["data"] is None
    asked = await inbox.put(form=FORM, kind="form", title="Your rate")
    page = (await browser.get(f"/tasks/{asked['id']}")).text
    assert 'value="submitted"' in page
    assert 'value="rejected"' not in page
    assert (await send(browser, asked, "decision", outcome="rejected")).status_code == 422
    answer = await send(browser, asked, "decision", outcome="submitted", **{"data/rate": "90"})
    assert answer.status_code == 303
    told = await browser.get(answer.headers["location"])
    assert "<strong>You filled in:</strong> Your rate" in told.text


async def test_a_form_that_names_another_site_decides_nothing(
    browser: httpx2.AsyncClient, inbox: Inbox, world: World
) -> None:
    task = await inbox.put()
    form = {"csrf_token": token(await browser.get("/tasks")), "outcome": "approved"}
    for origin in ("https://evil.example", "null", "http://["):
        sent = await browser.post(f"/tasks/{task['id']}/decision", data=form, headers={"Origin": origin})
        assert (sent.status_code, "no longer valid" in sent.text) == (403, True)
    assert world.dispatcher.entries == []


async def test_only_the_buttons_decide(browser: httpx2.AsyncClient, inbox: Inbox, world: World) -> None:
    """Enter in a single-line field presses the first button of its form: one that does nothing."""
    plain, with_form = await inbox.put(), await inbox.put(form=FORM)
    page = (await browser.get(f"/tasks/{plain['id']}")).text
    form = page[page.index('action="/tasks/') : page.index('name="outcome"')]
    assert all('type="hidden"' in each for each in re.findall(r"<input [^>]*>", form))
    page = (await browser.get(f"/tasks/{with_form['id']}")).text
    first = re.findall(r"<(?:button|input)[^>]*>", page[page.index('/decision"') :])
    buttons = [each for each in first if each.startswith("<button")]
    assert buttons[0] == '<button type="submit" disabled hidden>'
    for outcome in ({}, {"outcome": ""}, {"outcome": "maybe"}):
        unclear = await send(browser, plain, "decision", **outcome)
        assert unclear.status_code == 422
        assert "choose Approve or Reject" in unclear.text
    assert not world.dispatcher.entries


async def test_a_decision_is_bound_to_what_was_shown(
    browser: httpx2.AsyncClient, inbox: Inbox, behind: AsyncConnection
) -> None:
    arguments = {"amount": 1200, "recipient": "Nils <AB>", "urgent": True, "lines": [{"a": 1}]}
    task = await inbox.put(arguments=arguments, arguments_digest=digest_of(arguments))
    page = re.sub(r">\s+<", "><", (await browser.get(f"/tasks/{task['id']}")).text)
    assert digest_of(arguments) in page
    assert '<th scope="col">A</th></tr></thead><tbody><tr><td>1</td></tr>' in page
    assert '<dt>Recipient</dt><dd><span class="prose">Nils &lt;AB&gt;</span></dd>' in page
    assert '<dt>Urgent</dt><dd><span class="prose">Yes</span></dd>' in page
    form = {"csrf_token": token(await browser.get("/")), "outcome": "approved"}
    for seen, said in (
        ({}, "has to name the digest"),
        ({"arguments_digest": "0" * 64}, "Read the task again"),
    ):
        answer = await browser.post(f"/tasks/{task['id']}/decision", data={**form, **seen})
        assert answer.status_code in (409, 422)
        assert said in answer.text
    assert (await inbox.read(task))["status"] == "open"
    assert (await send(browser, task, "decision", outcome="approved")).status_code == 303


async def test_all_of_what_is_decided_about_is_shown(browser: httpx2.AsyncClient, inbox: Inbox) -> None:
    arguments = {**{f"a{n}": "x" * 990 for n in range(60)}, "last_of_all": "the <last> word"}
    task = await inbox.put(arguments=arguments, arguments_digest=digest_of(arguments))
    assert "the &lt;last&gt; word" in (await browser.get(f"/tasks/{task['id']}")).text


async def test_claiming_keeps_others_away_until_it_is_released(
    browser: httpx2.AsyncClient, people: People, inbox: Inbox
) -> None:
    task = await inbox.put()
    colleague = await people.add(RoleName.MEMBER)
    async with people.world.browser() as other:
        await enter(other, people, colleague)
        assert (await send(other, task, "claim")).headers["location"] == f"/tasks/{task['id']}?done=claimed"
        assert "Nothing waits for you." in (await browser.get("/tasks")).text
        assert "claimed by you" in (await other.get(f"/tasks/{task['id']}")).text
        page = (await browser.get(f"/tasks/{task['id']}")).text
        assert "Mara Lind has claimed this task" in page
        assert 'value="approved"' not in page
        refused = await send(browser, task, "decision", outcome="approved")
        assert refused.status_code == 409
        assert "Mara Lind has claimed this task" in refused.text
        assert colleague.user_id not in refused.text
        # The owner may control executions, and so release what somebody sits on.
        assert (await send(browser, task, "release")).status_code == 303
        assert (await send(browser, task, "claim")).status_code == 303
        assert (await send(other, task, "release")).status_code == 409
        assert (await send(browser, task, "decision", outcome="approved")).status_code == 303


async def test_a_task_is_delegated_to_whoever_may_decide_it(
    browser: httpx2.AsyncClient, people: People, inbox: Inbox
) -> None:
    task = await inbox.put(assignees=[f"user:{people.owner.email}"])
    auditor, colleague = await people.add(RoleName.AUDITOR), await people.add(RoleName.MEMBER)
    page = (await browser.get(f"/tasks/{task['id']}")).text
    assert f'<option value="{colleague.email}">' in page
    for to, said in (
        (auditor.email, "may not decide tasks"),
        ("nobody@x.example", "is no active member"),
        ("", "choose a colleague"),
    ):
        refused = await send(browser, task, "delegate", to=to)
        assert refused.status_code == 422
        assert said in refused.text
    assert (await send(browser, task, "delegate", to=colleague.email, comment="Please")).status_code == 303
    page = (await browser.get(f"/tasks/{task['id']}")).text
    assert "You delegated it to Mara Lind" in page
    assert '<p class="prose said">Please</p>' in page
    async with people.world.browser() as other:
        await enter(other, people, colleague)
        assert "Pay the salaries?" in (await other.get("/tasks")).text
        assert (await send(other, task, "decision", outcome="approved")).status_code == 303


async def test_several_approve_each_once(browser: httpx2.AsyncClient, people: People, inbox: Inbox) -> None:
    task = await inbox.put(quorum=2)
    first = await send(browser, task, "decision", outcome="approved")
    assert "others still have to approve" in (await browser.get(first.headers["location"])).text
    assert "Nothing waits for you." in (await browser.get("/tasks")).text
    assert "You have approved" in (await browser.get("/tasks?show=open")).text
    page = (await browser.get(f"/tasks/{task['id']}")).text
    assert "You have said your word" in page
    assert 'value="approved"' not in page
    assert (await send(browser, task, "decision", outcome="rejected")).status_code == 409
    async with people.world.browser() as other:
        await enter(other, people, await people.add(RoleName.MEMBER))
        assert (
            "2 different people have to approve, 1 did so far"
            in (await other.get(f"/tasks/{task['id']}")).text
        )
        assert (await send(other, task, "decision", outcome="approved")).status_code == 303
    assert (await inbox.read(task))["outcome"] == "approved"


async def test_four_eyes_and_deadlines_are_said_before_anybody_tries(
    browser: httpx2.AsyncClient, people: People, inbox: Inbox
) -> None:
    mine = await row(
        people.behind,
        "workflow_executions",
        UUID(people.id),
        started_by=UUID(people.owner.user_id),
        status="waiting",
    )
    eyes = await inbox.put(title="Four eyes", four_eyes=True, execution_id=mine["id"])
    page = (await browser.get(f"/tasks/{eyes['id']}")).text
    assert "Whoever started this execution may not decide this task too" in page
    assert "Not whoever started the execution" in page
    assert "Nothing waits for you." in (await browser.get("/tasks")).text
    assert "waiting for you: " not in page
    assert (await send(browser, eyes, "decision", outcome="approved")).status_code == 403
    late = datetime.now(UTC) - timedelta(hours=2)
    over = await inbox.put(title="Too late", due_at=late, on_overdue="fail")
    page = (await browser.get(f"/tasks/{over['id']}")).text
    assert "This task was to be decided until" in page
    [warning] = re.findall('<p class="warning">(.*?)</p>', page)
    assert "+00:00" not in warning
    assert (await send(browser, over, "decision", outcome="approved")).status_code == 409
    kept = await inbox.put(title="Late but open", due_at=late)
    assert "overdue, 2 h" in (await browser.get("/tasks")).text
    assert (await send(browser, kept, "decision", outcome="approved")).status_code == 303


async def test_comments_stand_in_the_history(browser: httpx2.AsyncClient, inbox: Inbox) -> None:
    task = await inbox.put()
    assert (await send(browser, task, "comments", comment="  ")).status_code == 422
    assert (await send(browser, task, "comments", comment="Is this <b>new</b>?")).status_code == 303
    page = (await browser.get(f"/tasks/{task['id']}?done=commented")).text
    assert "Your comment was added." in page
    assert "You commented" in page
    assert "Is this &lt;b&gt;new&lt;/b&gt;?" in page


async def test_a_link_cannot_claim_a_decision(
    browser: httpx2.AsyncClient, people: People, inbox: Inbox
) -> None:
    task, decided = await inbox.put(), await inbox.put()
    async with people.world.browser() as other:
        await enter(other, people, await people.add(RoleName.MEMBER))
        assert (await send(other, decided, "decision", outcome="approved")).status_code == 303
    for claimed in (str(task["id"]), str(decided["id"]), "nonsense", "0" * 32):
        page = await browser.get("/tasks", params={"decided": claimed})
        assert page.status_code == 200
        assert "You approved" not in page.text
        assert 'role="status"' not in page.text


async def test_a_decision_after_the_session_ended_is_said_to_be_lost(
    browser: httpx2.AsyncClient, inbox: Inbox, world: World
) -> None:
    task = await inbox.put()
    form = {"csrf_token": token(await browser.get("/tasks")), "outcome": "approved"}
    world.clock.forward(days=400)
    answer = await browser.post(f"/tasks/{task['id']}/decision", data=form)
    assert answer.status_code == 303
    assert "what you sent was not recorded" in (await browser.get(answer.headers["location"])).text
    assert not world.dispatcher.entries


async def test_pages_do_what_the_role_may_for_this_organization_and_from_our_forms(
    browser: httpx2.AsyncClient, people: People, inbox: Inbox, world: World
) -> None:
    task = await inbox.put()
    for deed in ("decision", "claim", "release", "delegate", "comments"):
        bare = {"outcome": "approved", "to": people.owner.email, "comment": "x"}
        assert (await browser.post(f"/tasks/{task['id']}/{deed}", data=bare)).status_code == 403, deed
    stranger = await world.account("Another one")
    async with world.browser() as other:
        await sign_in(other, stranger.email)
        assert "Pay the salaries?" not in (await other.get("/tasks?show=open")).text
        assert (await other.get(f"/tasks/{task['id']}")).status_code == 404
        for deed in ("decision", "claim", "release", "delegate", "comments"):
            sent = {"outcome": "approved", "to": stranger.email, "comment": "x"}
            assert (await send(other, task, deed, **sent)).status_code == 404, deed
    async with world.browser() as other:
        await enter(other, people, await people.add(RoleName.AUDITOR))
        page = (await other.get(f"/tasks/{task['id']}")).text
        assert "Your role may read tasks, not decide them." in page or "You may not decide tasks" in page
        assert "<textarea" not in page
        for deed in ("decision", "claim", "release", "delegate", "comments"):
            sent = {"outcome": "approved", "to": people.owner.email, "comment": "x"}
            assert (await send(other, task, deed, **sent)).status_code == 403, deed
    assert not world.dispatcher.entries
    assert escape("Pay the salaries?") in (await browser.get("/tasks")).text
    assert (await browser.get("/tasks/nonsense")).status_code == 404


@pytest.mark.parametrize("member", [True, False])
async def test_candidates_are_named(
    browser: httpx2.AsyncClient, people: People, inbox: Inbox, member: bool
) -> None:
    client = await row(people.behind, "clients", UUID(people.id), name="Nils & Sons")
    names = [f"user:{people.owner.email}", "role:manager", f"client:{client['id']}", "user:gone@x.example"]
    task = await inbox.put(assignees=names if member else names[1:])
    page = (await browser.get(f"/tasks/{task['id']}")).text
    said = "everybody with the role manager, Nils &amp; Sons, gone@x.example</dd>"
    assert (f"<dd>Mara Lind, {said}" if member else f"<dd>{said}") in page
    assert ("Pay the salaries?" in (await browser.get("/tasks")).text) is member
    assert "Pay the salaries?" in (await browser.get("/tasks?show=open")).text
    if not member:
        assert "This task is assigned to" in page
