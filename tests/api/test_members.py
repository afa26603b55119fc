"""Members: who may change whom, what counts at once, and that an organization always has an owner."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db.session import Access, Role
from db.tenants import SHIPPED_ROLES
from domain.permissions import RoleName
from tests.api.conftest import Account, World
from tests.api.people import People, people, unrestricted

__all__ = ["people"]

ID = {role: str(id) for role, id in SHIPPED_ROLES.items()}


async def test_the_list_searches_filters_and_pages(people: People) -> None:
    ada, ben = await people.add(RoleName.ADMIN), await people.add()
    await people.owner.post(people.place(f"/members/{ben.user_id}/suspend"))

    async def emails(query: str) -> list[str]:
        answer = await people.owner.get(people.place(f"/members?{query}"))
        assert answer.status_code == 200, answer.text
        return [each["email"] for each in answer.json()["items"]]

    assert await emails("") == [ben.email, ada.email, people.owner.email]
    assert await emails("status=suspended") == [ben.email], "who is suspended is still somebody"
    assert await emails(f"role_id={ID[RoleName.ADMIN]}") == [ada.email]
    assert await emails(f"q={ada.email[:5].upper()}") == [ada.email]
    assert await emails("q=%25") == []
    first = (await people.owner.get(people.place("/members?limit=2"))).json()
    rest = (await people.owner.get(people.place(f"/members?limit=2&cursor={first['next_cursor']}"))).json()
    assert [each["email"] for each in rest["items"]] == [people.owner.email]


async def test_somebody_who_has_not_accepted_is_nobody_one_knows(people: People) -> None:
    stranger = await people.add(status="pending")
    shown = await people.member(stranger.user_id)
    assert (shown["email"], shown["name"], shown["status"]) == (None, None, "pending")


async def test_a_change_counts_with_the_next_request(people: People) -> None:
    ben = await people.add()
    assert (await ben.get("/v1/secrets")).status_code == 403
    override = {"grant": ["secrets:read"], "deny": ["workflows:read", "clients:read"]}
    changed = await people.change(people.owner, ben.user_id, permissions_override=override)
    assert changed.status_code == 200, changed.text
    assert (await ben.get("/v1/secrets")).status_code == 200
    assert (await ben.get("/v1/workflows")).status_code == 403
    both = {"grant": ["clients:read"], "deny": ["clients:read"]}
    await people.change(people.owner, ben.user_id, permissions_override=both)
    assert (await ben.get("/v1/clients")).status_code == 403, "deny wins"
    await people.change(people.owner, ben.user_id, role_id=ID[RoleName.CLIENT], permissions_override={})
    assert (await ben.get("/v1/me")).json()["permissions"] == ["tasks:decide", "tasks:read"]


async def test_nobody_overwrites_a_change_they_have_not_seen(people: People) -> None:
    ben = await people.add()
    place, body = people.place(f"/members/{ben.user_id}"), {"role_id": ID[RoleName.CLIENT]}
    seen = {"If-Match": (await people.owner.get(place)).headers["ETag"]}
    assert (await people.owner.request("PATCH", place, json=body, headers=seen)).status_code == 200
    assert (await people.owner.request("PATCH", place, json=body, headers=seen)).status_code == 412
    assert (await people.owner.request("PATCH", place, json=body)).status_code == 428
    assert (await people.owner.request("PATCH", place, json={}, headers=seen)).status_code == 422


async def test_nobody_grants_more_than_they_have(people: People) -> None:
    boss = await people.add(
        RoleName.MANAGER, permissions_override={"grant": ["members:write"], "deny": ["secrets:write"]}
    )
    ben = await people.add()
    beyond = await people.change(boss, ben.user_id, permissions_override={"grant": ["secrets:write"]})
    assert (beyond.status_code, beyond.json()["code"]) == (403, "beyond_you")
    assert "secrets:write" in beyond.json()["detail"]
    promoted = await people.change(boss, ben.user_id, role_id=ID[RoleName.MANAGER])
    assert (promoted.status_code, promoted.json()["code"]) == (403, "beyond_you")
    within = await people.change(boss, ben.user_id, permissions_override={"grant": ["secrets:read"]})
    assert within.status_code == 200
    herself = await people.change(boss, boss.user_id, permissions_override={"grant": ["members:write"]})
    assert herself.json()["code"] == "beyond_you", "a denial is not lifted by whoever it denies"


async def test_nobody_touches_whoever_stands_above_them(people: People) -> None:
    boss = await people.add(RoleName.MANAGER, permissions_override={"grant": ["members:write"], "deny": []})
    admin = await people.add(RoleName.ADMIN)
    for target in (admin.user_id, people.owner.user_id):
        change = await people.change(boss, target, role_id=ID[RoleName.CLIENT])
        suspend = await boss.post(people.place(f"/members/{target}/suspend"))
        remove = await boss.request("DELETE", people.place(f"/members/{target}"))
        for answer in (change, suspend, remove):
            assert answer.status_code == 403, answer.text
            assert answer.json()["code"] in ("above_you", "owners_only")


async def test_only_owners_make_or_change_owners(people: People) -> None:
    # Everything an owner may do, by exceptions, and still no owner.
    admin = await people.add(
        RoleName.ADMIN, permissions_override={"grant": ["organization:delete"], "deny": []}
    )
    ben = await people.add()
    for target, role in ((ben.user_id, RoleName.OWNER), (people.owner.user_id, RoleName.MEMBER)):
        refused = await people.change(admin, target, role_id=ID[role])
        assert (refused.status_code, refused.json()["code"]) == (403, "owners_only")
    made = await people.change(people.owner, ben.user_id, role_id=ID[RoleName.OWNER])
    assert made.status_code == 200
    denied = await people.change(people.owner, ben.user_id, permissions_override={"deny": ["audit:read"]})
    assert (denied.status_code, denied.json()["errors"][0]["pointer"]) == (422, "#/permissions_override")


async def test_a_key_changes_nobody_beyond_its_scopes(people: People, world: World) -> None:
    ben, admin = await people.add(), await people.add(RoleName.ADMIN)
    key = (await people.owner.api_key("members:write", "members:read"))["key"]
    bearer = {"Authorization": f"Bearer {key}"}
    suspended = await world.http.post(people.place(f"/members/{admin.user_id}/suspend"), headers=bearer)
    assert (suspended.status_code, suspended.json()["code"]) == (403, "above_you")
    removed = await world.http.delete(people.place(f"/members/{ben.user_id}"), headers=bearer)
    assert removed.status_code == 403, "what is dangerous takes a person"


async def test_removing_and_changing_take_a_fresh_proof(people: People, world: World) -> None:
    ben = await people.add()
    world.clock.forward(minutes=9)
    fresh = (
        await world.http.post("/v1/auth/refresh", json={"refresh_token": people.owner.refresh_token})
    ).json()
    world.clock.forward(minutes=2)
    owner = Account(
        people.owner.http, people.owner.email, people.owner.user_id, people.id, fresh["access_token"], ""
    )
    place = people.place(f"/members/{ben.user_id}")
    seen = {"If-Match": (await owner.get(place)).headers["ETag"]}
    for answer in (
        await owner.request("DELETE", place),
        await owner.request("PATCH", place, json={"role_id": ID[RoleName.CLIENT]}, headers=seen),
        await owner.post(people.place("/transfer"), json={"user_id": ben.user_id}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "step_up_required")


async def test_a_suspended_member_is_out_at_once_and_enters_elsewhere(people: People, world: World) -> None:
    ben = await people.add()
    key = (await ben.api_key("clients:read"))["key"]
    bearer = {"Authorization": f"Bearer {key}"}
    assert (await world.http.get("/v1/clients", headers=bearer)).status_code == 200

    await people.owner.post(people.place(f"/members/{ben.user_id}/suspend"))
    assert (await ben.get("/v1/clients")).status_code == 403
    assert (await world.http.get("/v1/clients", headers=bearer)).status_code == 401
    elsewhere = await world.http.get("/v1/me", headers={"Authorization": f"Bearer {ben.access_token}"})
    assert elsewhere.status_code == 200
    assert elsewhere.json()["organization_id"] != people.id

    again = await people.owner.post(people.place(f"/members/{ben.user_id}/resume"))
    assert (again.status_code, again.json()["status"]) == (200, "active")
    assert (await world.http.get("/v1/clients", headers=bearer)).status_code == 200
    assert (await people.log())[-2:] == ["member.suspended", "member.resumed"]


async def test_a_removed_member_is_out_for_good_and_what_they_started_goes_on(
    people: People, world: World
) -> None:
    ben = await people.add()
    key = (await ben.api_key("clients:read"))["key"]
    await people.behind.execute(
        text("INSERT INTO workflows (organization_id, id, name, created_by) VALUES (:org, :id, 'w', :id)"),
        {"org": people.id, "id": ben.user_id},
    )
    removed = await people.owner.request("DELETE", people.place(f"/members/{ben.user_id}"))
    assert removed.status_code == 204
    assert (await ben.get("/v1/me")).status_code == 403
    assert (await people.owner.get(people.place(f"/members/{ben.user_id}"))).status_code == 404
    assert people.mails("member-removed")[-1]["to"] == ben.email

    # Invited again, the old key stays dead.
    await people.invite(ben.email)
    outside = Account(ben.http, ben.email, ben.user_id, "", ben.access_token, "")
    assert (await outside.post("/v1/invitations/accept", json={"token": people.link()})).status_code == 200
    bearer = {"Authorization": f"Bearer {key}"}
    assert (await world.http.get("/v1/clients", headers=bearer)).status_code == 401
    # A worker acts for the organization, not for whoever started an execution.
    async with world.database.transaction(Access(Role.WORKER, UUID(people.id))) as tx:
        assert (await tx.execute(text("SELECT name FROM workflows WHERE name = 'w'"))).scalar_one() == "w"


async def test_leaving_takes_no_permission_but_another_owner(people: People) -> None:
    ben = await people.add(RoleName.CLIENT)
    last = await people.owner.post(people.place("/leave"))
    assert (last.status_code, last.json()["code"]) == (409, "last_owner")
    assert (await ben.post(people.place("/leave"))).status_code == 204
    assert (await ben.get("/v1/me")).status_code == 403
    himself = await people.owner.request("DELETE", people.place(f"/members/{people.owner.user_id}"))
    assert (himself.status_code, himself.json()["code"]) == (409, "not_yourself")


async def test_ownership_passes_in_one_step(people: People) -> None:
    ben = await people.add(permissions_override={"grant": [], "deny": ["audit:read"]})
    other = await people.add(RoleName.ADMIN)
    refused = await other.post(people.place("/transfer"), json={"user_id": other.user_id})
    assert refused.status_code == 403
    done = await people.owner.post(people.place("/transfer"), json={"user_id": ben.user_id})
    assert done.status_code == 200, done.text
    assert done.json()["role"]["name"] == "owner"
    assert done.json()["permissions_override"] == {"grant": [], "deny": []}
    assert (await people.member(people.owner.user_id))["role"]["name"] == "admin"
    assert people.mails("ownership-transferred")[-1]["to"] == ben.email
    again = await people.owner.post(people.place("/transfer"), json={"user_id": other.user_id})
    assert again.status_code == 403


async def test_ownership_passes_to_nobody_who_could_not_use_it(people: People) -> None:
    for target in (await people.add(status="pending"), await people.add(status="suspended")):
        refused = await people.owner.post(people.place("/transfer"), json={"user_id": target.user_id})
        assert (refused.status_code, refused.json()["code"]) == (409, "membership_not_active")
    unknown = await people.owner.post(people.place("/transfer"), json={"user_id": people.id})
    assert unknown.status_code == 404


@pytest.mark.parametrize("how", ["each other", "themselves", "leaving", "transfer"])
async def test_owners_who_go_at_once_leave_one_behind(people: People, how: str) -> None:
    """A race on PostgreSQL: whoever comes second sees what the first one left."""
    owners = [people.inside(people.owner)] + [await people.add(RoleName.OWNER) for _ in range(3)]
    member = {"role_id": ID[RoleName.MEMBER]}
    etags = {}
    for each in owners:
        answer = await people.owner.get(people.place(f"/members/{each.user_id}"))
        etags[each.user_id] = answer.headers["ETag"]

    def going(number: int) -> Coroutine[Any, Any, httpx2.Response]:
        who = owners[number]
        target = owners[(number + 1) % len(owners)] if how == "each other" else who
        if how == "leaving":
            return who.post(people.place("/leave"))
        if how == "transfer":
            return who.post(people.place("/transfer"), json={"user_id": owners[0].user_id})
        headers = {"If-Match": etags[target.user_id]}
        return who.request("PATCH", people.place(f"/members/{target.user_id}"), json=member, headers=headers)

    answers = await asyncio.gather(*(going(number) for number in range(len(owners))))
    left = await people.behind.scalar(
        text(
            "SELECT count(*) FROM user_organizations WHERE organization_id = :org AND role_id = :owner "
            "AND status = 'active'"
        ),
        {"org": people.id, "owner": ID[RoleName.OWNER]},
    )
    assert left >= 1
    assert {answer.status_code for answer in answers} <= {200, 204, 403, 409}, [a.text for a in answers]
    if how in ("themselves", "leaving"):
        assert left == 1
        assert sorted(answer.status_code for answer in answers)[-1] == 409


async def test_who_was_demoted_meanwhile_demotes_nobody(people: People, admin_url: str) -> None:
    """Both requests are under way before either counts; rights are looked at when it is one's turn."""
    second = await people.add(RoleName.OWNER)
    member = {"role_id": ID[RoleName.MEMBER]}
    async with unrestricted(admin_url) as gate:
        await gate.execution_options(isolation_level="READ COMMITTED")
        await gate.execute(
            text("SELECT FROM organizations WHERE id = :org FOR NO KEY UPDATE"), {"org": people.id}
        )
        first = asyncio.create_task(people.change(people.owner, second.user_id, **member))
        other = asyncio.create_task(people.change(second, people.owner.user_id, **member))
        await asyncio.sleep(0.5)
        assert not first.done()
        assert not other.done()
        await gate.rollback()
    assert sorted([(await first).status_code, (await other).status_code]) == [200, 403]


async def test_the_database_itself_keeps_the_last_owner(people: People) -> None:
    """Whatever code or person writes the statement, and however many do so at once."""
    second = await people.add(RoleName.OWNER)
    statement = text(
        "UPDATE user_organizations SET status = 'suspended' WHERE organization_id = :org AND user_id = :id"
    )

    async def suspend(user_id: str) -> bool:
        access = Access(Role.API, UUID(people.id), UUID(people.owner.user_id))
        try:
            async with people.world.database.transaction(access) as tx:
                await tx.execute(statement, {"org": people.id, "id": user_id})
                await asyncio.sleep(0.05)
        except IntegrityError:
            return False
        return True

    done = await asyncio.gather(suspend(people.owner.user_id), suspend(second.user_id))
    assert sorted(done) == [False, True]


async def test_being_there_is_noted_to_the_hour_and_changes_no_etag(people: People) -> None:
    ben = await people.add()
    place = people.place(f"/members/{ben.user_id}")
    before = await people.owner.get(place)
    assert before.json()["last_active_at"] is None
    people.world.clock.forward(minutes=2)
    await ben.get("/v1/me")
    after = await people.owner.get(place)
    assert after.json()["last_active_at"] is not None
    assert after.headers["ETag"] == before.headers["ETag"]
    people.world.clock.forward(minutes=5)
    await ben.get("/v1/me")
    assert (await people.owner.get(place)).json() == after.json()
