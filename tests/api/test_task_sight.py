"""Within one organization: who may not read executions sees the tasks put to them, and of any other not that it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from domain.permissions import Permission, RoleName
from tests.api.conftest import Account
from tests.api.people import Colleague, People, people
from tests.api.test_pages import sign_in, token
from tests.factories.rows import Row, row

__all__ = ["people"]  # a fixture

DEEDS: dict[str, Any] = {
    "decision": {"outcome": "approved"},
    "claim": None,
    "release": None,
    "delegate": {"to": "ada@example.test"},
    "comments": {"comment": "hm"},
}
READS = ("", "/comments", "/events")


@dataclass
class Desk:
    """Tasks of one organization, and a member who sees what is put to them."""

    people: People
    guest: Colleague

    async def put(self, **given: Any) -> Row:
        given = {"title": "Confidential", "kind": "approval", **given}
        return await row(self.people.behind, "tasks", UUID(self.people.id), **given)

    async def listed(self, who: Account, **query: Any) -> set[str]:
        answer = await who.get("/v1/tasks", params=query)
        assert answer.status_code == 200, answer.text
        return {task["id"] for task in answer.json()["items"]}


@pytest.fixture
async def desk(people: People) -> Desk:
    return Desk(people, await people.add(RoleName.CLIENT))


@asynccontextmanager
async def browsing(desk: Desk, who: Colleague) -> AsyncIterator[httpx2.AsyncClient]:
    async with desk.people.world.browser() as browser:
        await sign_in(browser, who.email)
        form = {"csrf_token": token(await browser.get("/")), "organization_id": desk.people.id}
        assert (await browser.post("/organization", data=form)).status_code == 303
        yield browser


async def others(desk: Desk) -> list[Row]:
    """Tasks that are put to others: to nobody, to another role, another person, a client, and one that was theirs."""
    people = desk.people
    client = await row(people.behind, "clients", UUID(people.id))
    owner, now = UUID(people.owner.user_id), datetime.now(UTC)
    decided = {"status": "decided", "outcome": "approved", "decision": {}, "decided_by": owner}
    return [
        await desk.put(),
        await desk.put(assignees=["role:member"]),
        await desk.put(assignees=[f"user:{people.owner.email}"]),
        await desk.put(assignees=[f"client:{client['id']}"]),
        await desk.put(claimed_by=owner, claimed_at=now),
        await desk.put(**decided, decided_at=now),
    ]


async def own(desk: Desk) -> list[Row]:
    me = UUID(desk.guest.user_id)
    now = datetime.now(UTC)
    decided = {"status": "decided", "outcome": "approved", "decision": {}, "decided_by": me}
    voted = await desk.put(quorum=2)
    word = {"task_id": voted["id"], "kind": "voted", "outcome": "approved", "user_id": me}
    await row(desk.people.behind, "task_events", UUID(desk.people.id), **word)
    return [
        await desk.put(assignees=["role:client"]),
        await desk.put(assignees=["role:owner", f"user:{desk.guest.email}"]),
        await desk.put(claimed_by=me, claimed_at=now),
        await desk.put(**decided, decided_at=now),
        voted,
    ]


async def test_a_client_sees_what_is_put_to_it_and_others_see_everything(desk: Desk) -> None:
    theirs, hidden = await own(desk), await others(desk)
    everything = {str(task["id"]) for task in (*theirs, *hidden)}
    assert await desk.listed(desk.people.owner) == everything
    for role in (RoleName.REVIEWER, RoleName.AUDITOR, RoleName.MEMBER):
        assert await desk.listed(await desk.people.add(role)) == everything, role
    mine = {str(task["id"]) for task in theirs}
    assert await desk.listed(desk.guest) == mine
    for task in theirs:
        for rest in READS:
            assert (await desk.guest.get(f"/v1/tasks/{task['id']}{rest}")).status_code == 200
    # Pages hold as many as they say, and end where theirs end.
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    for expected in (2, 2, 1):
        page = (await desk.guest.get("/v1/tasks", params=query)).json()
        assert len(page["items"]) == expected
        seen += [task["id"] for task in page["items"]]
        query["cursor"] = page["next_cursor"]
    assert page["next_cursor"] is None
    assert (sorted(seen), len(seen)) == (sorted(mine), 5)


@pytest.mark.parametrize("number", range(6))
async def test_any_other_task_answers_like_one_that_is_not_there(desk: Desk, number: int) -> None:
    task = (await others(desk))[number]
    before = (await desk.people.owner.get(f"/v1/tasks/{task['id']}/events")).text
    headers = {"X-Request-Id": "same"}
    for rest in READS:
        answers = [
            await desk.guest.get(f"/v1/tasks/{id}{rest}", headers=headers) for id in (task["id"], uuid4())
        ]
        assert [answer.status_code for answer in answers] == [404, 404], rest
        assert answers[0].content == answers[1].content
    for deed, body in DEEDS.items():
        answers = [
            await desk.guest.post(f"/v1/tasks/{id}/{deed}", json=body, headers=headers)
            for id in (task["id"], uuid4())
        ]
        assert [answer.status_code for answer in answers] == [404, 404], deed
        assert answers[0].content == answers[1].content
    assert (await desk.people.owner.get(f"/v1/tasks/{task['id']}/events")).text == before


async def test_a_role_of_ones_own_counts_by_what_it_permits(desk: Desk) -> None:
    people = desk.people
    roles = {}
    for name, more in (("Outside", []), ("Inside", [Permission.EXECUTIONS_READ])):
        body = {"name": name, "permissions": [Permission.TASKS_READ, Permission.TASKS_DECIDE, *more]}
        made = await people.owner.post(people.place("/roles"), json=body)
        assert made.status_code == 201, made.text
        roles[name] = UUID(made.json()["id"])
    named, hidden = await desk.put(assignees=["role:outside"]), await desk.put()
    both = {str(named["id"]), str(hidden["id"])}
    assert await desk.listed(await people.add(role_id=roles["Outside"])) == {str(named["id"])}
    assert await desk.listed(await people.add(role_id=roles["Inside"])) == both
    granted = {"grant": [Permission.EXECUTIONS_READ]}
    denied = {"deny": [Permission.EXECUTIONS_READ]}
    assert await desk.listed(await people.add(RoleName.CLIENT, permissions_override=granted)) == both
    assert await desk.listed(await people.add(RoleName.MEMBER, permissions_override=denied)) == set()


async def test_a_key_sees_what_its_owner_sees(desk: Desk) -> None:
    hidden = await desk.put()
    scopes = {"name": "tasks", "scopes": [Permission.TASKS_READ]}
    made = await desk.people.owner.post("/v1/me/api-keys", json=scopes)
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    answer = await desk.people.world.http.get("/v1/tasks", headers=headers)
    assert [task["id"] for task in answer.json()["items"]] == [str(hidden["id"])]


async def test_a_client_claims_releases_delegates_and_decides_what_is_put_to_it(desk: Desk) -> None:
    task, second = await desk.put(assignees=["role:client"]), await desk.put(assignees=["role:client"])
    path, there = f"/v1/tasks/{task['id']}", f"/v1/tasks/{second['id']}"
    assert (await desk.guest.post(f"{path}/claim")).json()["claimed_by"] == desk.guest.user_id
    assert (await desk.guest.post(f"{path}/release")).json()["claimed_by"] is None
    assert (await desk.guest.post(f"{path}/comments", json={"comment": "yes"})).status_code == 201
    assert (await desk.guest.post(f"{path}/decision", json={"outcome": "approved"})).status_code == 200
    assert (await desk.guest.get(path)).json()["decided_by"] == desk.guest.user_id
    handed = await desk.guest.post(f"{there}/delegate", json={"to": desk.people.owner.email})
    assert (handed.status_code, handed.json()["claimed_by"]) == (200, desk.people.owner.user_id)
    assert (await desk.guest.get(there)).status_code == 200


async def test_what_was_handed_to_a_client_stays_in_its_sight_when_it_gives_it_back(desk: Desk) -> None:
    """A task that names nobody: it is seen by the claim first, and by the line in its history then."""
    path = f"/v1/tasks/{(await desk.put())['id']}"
    assert (await desk.guest.get(path)).status_code == 404
    handed = await desk.people.owner.post(f"{path}/delegate", json={"to": desk.guest.email})
    assert handed.status_code == 200
    assert (await desk.guest.post(f"{path}/release")).json()["claimed_by"] is None
    assert (await desk.guest.get(path)).status_code == 200
    assert (await desk.guest.post(f"{path}/decision", json={"outcome": "approved"})).status_code == 200


async def test_a_task_of_several_that_names_nobody_is_not_handed_to_whoever_would_not_see_it(
    desk: Desk,
) -> None:
    path = f"/v1/tasks/{(await desk.put(quorum=2))['id']}"
    refused = await desk.people.owner.post(f"{path}/delegate", json={"to": desk.guest.email})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "not_a_delegate")
    assert "sees only tasks that name them" in refused.json()["errors"][0]["detail"]


async def test_the_pages_show_no_more(desk: Desk) -> None:
    await desk.people.add(RoleName.MEMBER, status="active")
    mine = await desk.put(title="Yours", assignees=["role:client"])
    closed = {"status": "decided", "outcome": "approved", "decision": {}, "decided_at": datetime.now(UTC)}
    hidden = [*await others(desk), await desk.put(**closed, decided_by=UUID(desk.people.owner.user_id))]
    async with browsing(desk, desk.guest) as browser:
        for address in ("/", "/tasks", "/tasks?show=open"):
            page = await browser.get(address)
            assert "Yours" in page.text, address
            assert "Confidential" not in page.text, address
        assert "No task that was put to you" in (await browser.get("/tasks?show=closed")).text
        for task in hidden:
            assert (await browser.get(f"/tasks/{task['id']}")).status_code == 404
            form = {"csrf_token": token(await browser.get("/tasks")), "outcome": "approved", "comment": "x"}
            for deed in DEEDS:
                answer = await browser.post(f"/tasks/{task['id']}/{deed}", data={**form, "to": "a@b.test"})
                assert answer.status_code == 404, deed
                assert "Confidential" not in answer.text
        page = (await browser.get(f"/tasks/{mine['id']}")).text
        # Members are nobody for it to choose among.
        assert desk.people.owner.email not in page
        assert 'name="to" type="email"' in page


async def test_a_client_is_kept_although_whoever_would_delete_it_sees_not_the_task(desk: Desk) -> None:
    denied = {"deny": [Permission.EXECUTIONS_READ]}
    blind = await desk.people.add(RoleName.MEMBER, permissions_override=denied)
    client = await row(desk.people.behind, "clients", UUID(desk.people.id))
    await desk.put(assignees=[f"client:{client['id']}"])
    seen = await blind.get(f"/v1/clients/{client['id']}")
    headers = {"If-Match": seen.headers["ETag"]}
    refused = await blind.request("DELETE", f"/v1/clients/{client['id']}", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "client_in_use")
    assert "tasks that you do not see" in refused.json()["detail"]
    assert "Confidential" not in refused.text
