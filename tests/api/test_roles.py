"""Roles of an organization: made of what their maker holds, told apart by name, gone only when nobody has them."""

from typing import Any
from uuid import uuid4

import httpx2

from db.tenants import SHIPPED_ROLES
from domain.permissions import Permission, RoleName
from tests.api.conftest import Account
from tests.api.people import People, people

__all__ = ["people"]


async def make(who: Account, people: People, name: str = "Bookkeeper", *permissions: str) -> httpx2.Response:
    body = {"name": name, "permissions": permissions or ["clients:read", "tasks:read"]}
    return await who.post(people.place("/roles"), json=body)


async def change(who: Account, people: People, id: str, **body: Any) -> httpx2.Response:
    place = people.place(f"/roles/{id}")
    seen = {"If-Match": (await people.owner.get(place)).headers["ETag"]}
    return await who.request("PATCH", place, json=body, headers=seen)


async def remove(who: Account, people: People, id: str) -> httpx2.Response:
    place = people.place(f"/roles/{id}")
    seen = {"If-Match": (await people.owner.get(place)).headers["ETag"]}
    return await who.request("DELETE", place, headers=seen)


async def test_shipped_and_own_roles_are_listed_with_who_has_them(people: People) -> None:
    made = await make(people.owner, people)
    assert made.status_code == 201, made.text
    await people.add()
    listed = (await people.owner.get(people.place("/roles"))).json()["items"]
    assert [each["name"] for each in listed] == [*RoleName, "Bookkeeper"]
    by_name = {each["name"]: each for each in listed}
    assert by_name["owner"]["is_shipped"]
    assert set(by_name["owner"]["permissions"]) == set(Permission)
    assert (by_name["owner"]["members"], by_name["member"]["members"]) == (1, 1)
    assert by_name["Bookkeeper"] == made.json()
    shown = await people.owner.get(made.headers["Location"])
    assert (shown.json(), shown.headers["ETag"]) == (made.json(), made.headers["ETag"])


async def test_every_permission_is_explained(people: People) -> None:
    items = (await people.owner.get("/v1/permissions")).json()["items"]
    assert {each["name"] for each in items} == set(Permission)
    assert next(each for each in items if each["name"] == "organization:delete")["roles"] == ["owner"]


async def test_what_a_role_permits_counts_for_its_members_at_once(people: People) -> None:
    id = (await make(people.owner, people)).json()["id"]
    ben = await people.add()
    assert (await people.change(people.owner, ben.user_id, role_id=id)).status_code == 200
    assert (await ben.get("/v1/me")).json()["permissions"] == ["clients:read", "tasks:read"]
    assert (await change(people.owner, people, id, permissions=["tasks:read"])).status_code == 200
    assert (await ben.get("/v1/clients")).status_code == 403


async def test_nobody_makes_a_role_beyond_themselves_or_changes_one(people: People) -> None:
    deputy = await people.add(
        RoleName.MANAGER, permissions_override={"grant": ["roles:write"], "deny": ["clients:write"]}
    )
    beyond = await make(deputy, people, "Mighty", "organization:delete", "clients:write")
    assert (beyond.status_code, beyond.json()["code"]) == (403, "beyond_you")
    assert "clients:write, organization:delete" in beyond.json()["detail"]
    assert (await make(deputy, people, "Modest", "clients:read")).status_code == 201

    id = (await make(people.owner, people, "Mighty", "members:write")).json()["id"]
    assert (await change(deputy, people, id, permissions=[])).json()["code"] == "beyond_you"
    assert (await remove(deputy, people, id)).json()["code"] == "beyond_you"


async def test_shipped_roles_stay_as_they_are(people: People) -> None:
    id = str(SHIPPED_ROLES[RoleName.MEMBER])
    assert (await change(people.owner, people, id, name="Other")).json()["code"] == "role_shipped"
    assert (await remove(people.owner, people, id)).json()["code"] == "role_shipped"


async def test_names_tell_roles_apart(people: People) -> None:
    assert (await make(people.owner, people)).status_code == 201
    for name in ("bookkeeper", " BOOKKEEPER ", "Owner", "reviewer"):
        refused = await make(people.owner, people, name)
        assert (refused.status_code, refused.json()["code"]) == (409, "role_name_taken"), name
    other = (await make(people.owner, people, "Clerk")).json()["id"]
    assert (await change(people.owner, people, other, name="Bookkeeper")).status_code == 409
    assert (await change(people.owner, people, other, name="clerk")).status_code == 200
    elsewhere = await people.world.account()
    there = f"/v1/organizations/{elsewhere.organization_id}/roles"
    same = await elsewhere.post(there, json={"name": "Bookkeeper", "permissions": []})
    assert same.status_code == 201


async def test_a_role_somebody_has_or_is_promised_stays(people: People) -> None:
    id = (await make(people.owner, people)).json()["id"]
    ben = await people.add()
    await people.change(people.owner, ben.user_id, role_id=id)
    held = await remove(people.owner, people, id)
    assert (held.status_code, held.json()["code"]) == (409, "role_in_use")
    await people.change(people.owner, ben.user_id, role_id=str(SHIPPED_ROLES[RoleName.MEMBER]))
    body = {"email": "nils@neu.example", "role_id": id}
    invited = (await people.owner.post(people.place("/invitations"), json=body)).json()
    assert (await remove(people.owner, people, id)).json()["code"] == "role_in_use"
    place = people.place(f"/invitations/{invited['id']}")
    await people.owner.request("DELETE", place)
    assert (await remove(people.owner, people, id)).status_code == 204
    closed = (await people.owner.get(place)).json()
    assert (closed["status"], closed["role_id"]) == ("revoked", None), "what was stays readable"
    names = [each for each in await people.log() if each.startswith("role.")]
    assert names == ["role.created", "role.removed"]


async def test_an_expired_promise_keeps_no_role(people: People) -> None:
    id = (await make(people.owner, people)).json()["id"]
    body = {"email": "nils@neu.example", "role_id": id}
    await people.owner.post(people.place("/invitations"), json=body)
    people.world.clock.forward(days=8)
    login = {"email": people.owner.email, "password": "tidal ferns at dusk"}
    token = (await people.world.http.post("/v1/auth/login", json=login)).json()["access_token"]
    owner = Account(people.owner.http, people.owner.email, people.owner.user_id, people.id, token, "")
    people.owner = owner
    assert (await remove(owner, people, id)).status_code == 204


async def test_a_role_of_another_organization_is_no_role(people: People) -> None:
    elsewhere = await people.world.account()
    there = f"/v1/organizations/{elsewhere.organization_id}/roles"
    foreign = (await elsewhere.post(there, json={"name": "Spy", "permissions": ["tasks:read"]})).json()["id"]
    ben = await people.add()
    refusals = [await people.change(people.owner, ben.user_id, role_id=id) for id in (foreign, str(uuid4()))]
    assert {answer.status_code for answer in refusals} == {422}
    assert refusals[0].content == refusals[1].content
    assert refusals[0].json()["errors"][0]["pointer"] == "#/role_id"


async def test_an_unknown_permission_is_refused_where_it_stands(people: People) -> None:
    refused = await make(people.owner, people, "Odd", "clients:read", "clients:raed")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/permissions/1")


async def test_a_lost_update_is_told(people: People) -> None:
    id = (await make(people.owner, people)).json()["id"]
    place = people.place(f"/roles/{id}")
    seen = {"If-Match": (await people.owner.get(place)).headers["ETag"]}
    first = await people.owner.request("PATCH", place, json={"description": "Books"}, headers=seen)
    second = await people.owner.request("PATCH", place, json={"description": "Keeps"}, headers=seen)
    gone = await people.owner.request("DELETE", place, headers=seen)
    assert [first.status_code, second.status_code, gone.status_code] == [200, 412, 412]
