"""Further organizations, deleting one and taking that back."""

import asyncio
from datetime import datetime

import httpx2
import pytest

from db.tenants import MOST_ORGANIZATIONS, RESTORABLE_FOR
from domain.permissions import RoleName
from domain.processes.erasure import ERASE_ORGANIZATION
from domain.processes.organizations import STANDSTILL
from tests.api.conftest import Account, World
from tests.api.people import Colleague, People, people

__all__ = ["people"]


def within(who: Account, organization_id: str) -> Colleague:
    return Colleague(who.http, who.email, who.user_id, organization_id, who.access_token, who.refresh_token)


async def create(who: Account, key: str | None = None, **body: object) -> httpx2.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await who.post("/v1/organizations", json={"name": "Second & Sons", **body}, headers=headers)


async def test_a_person_creates_a_further_organization_and_owns_it(people: People) -> None:
    made = await create(people.owner, timezone="Europe/Berlin", country="DE")
    assert made.status_code == 201, made.text
    second = within(people.owner, made.json()["id"])
    assert made.headers["Location"] == f"/v1/organizations/{second.organization_id}"
    me = (await second.get("/v1/me")).json()
    assert (me["organization_id"], me["role"]) == (second.organization_id, "owner")
    shown = await second.get(made.headers["Location"])
    assert shown.json() == made.json()
    assert shown.headers["ETag"] == made.headers["ETag"]
    assert (shown.json()["timezone"], shown.json()["country"]) == ("Europe/Berlin", "DE")
    # The default stays; the other one is entered by its name in the header alone.
    assert (await people.owner.get("/v1/me")).json()["organization_id"] == people.id
    assert (await people.owner.get(made.headers["Location"])).status_code == 404


@pytest.mark.parametrize("name", ["Mars/Olympus", "localtime", "", "Europe", "A" * 5_000])
async def test_a_time_zone_is_one_that_every_machine_knows(people: People, name: str) -> None:
    refused = await create(people.owner, timezone=name)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "#/timezone"


async def test_the_same_key_creates_one(people: People) -> None:
    first, second = await create(people.owner, "a"), await create(people.owner, "a")
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replay"] == "true"
    assert (await create(people.owner, "a", name="Other")).json()["code"] == "idempotency_key_reused"


async def test_a_member_of_none_creates_their_first_with_a_key_too(people: People) -> None:
    ada = await people.world.account("Gone soon")
    await ada.request("DELETE", f"/v1/organizations/{ada.organization_id}")
    assert (await ada.get("/v1/me")).json()["organization_id"] is None
    first, second = await create(ada, "a"), await create(ada, "a")
    assert (first.status_code, second.status_code) == (201, 201), second.text
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replay"] == "true"
    assert (await create(ada, "a", name="Other")).json()["code"] == "idempotency_key_reused"


async def test_keys_create_none_and_people_not_any_number(people: People, world: World) -> None:
    key = (await people.owner.api_key("organization:write"))["key"]
    by_key = await world.http.post(
        "/v1/organizations", json={"name": "X"}, headers={"Authorization": f"Bearer {key}"}
    )
    assert by_key.status_code == 403
    answers = await asyncio.gather(*(create(people.owner) for _ in range(MOST_ORGANIZATIONS + 2)))
    codes = [answer.status_code for answer in answers]
    assert codes.count(201) == MOST_ORGANIZATIONS - 1
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {
        "too_many_organizations"
    }


async def test_what_is_verified_about_an_organization_is_not_its_own_to_say(people: People) -> None:
    place = people.place()
    seen = {"If-Match": (await people.owner.get(place)).headers["ETag"]}
    for field in ("domain", "is_verified", "verification_level", "is_active", "slug", "settings"):
        refused = await people.owner.request("PATCH", place, json={field: "x"}, headers=seen)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, f"#/{field}")


async def test_a_deleted_organization_lets_nobody_in(people: People, world: World) -> None:
    ben = await people.add(RoleName.ADMIN)
    key = (await people.owner.api_key("clients:read"))["key"]
    bearer = {"Authorization": f"Bearer {key}"}
    deleted = await people.owner.request("DELETE", people.place())
    assert deleted.status_code == 200, deleted.text
    assert (await ben.get("/v1/me")).status_code == 403
    assert (await world.http.get("/v1/clients", headers=bearer)).status_code == 401
    assert (await people.owner.get("/v1/organizations")).json()["items"] == []
    listed = (await people.owner.get("/v1/organizations?deleted=true")).json()["items"]
    assert [(each["id"], each["restorable_until"]) for each in listed] == [
        (people.id, deleted.json()["restorable_until"])
    ]
    assert (await ben.get("/v1/organizations?deleted=true")).status_code == 403
    started = [entry.payload["definition_name"] for entry in world.dispatcher.entries]
    assert started == [STANDSTILL.name, ERASE_ORGANIZATION.name], "what runs stands still, then it is erased"


async def test_its_owner_alone_restores_it_and_all_is_as_before(people: People, world: World) -> None:
    ben = await people.add(RoleName.ADMIN)
    key = (await people.owner.api_key("clients:read"))["key"]
    await people.owner.request("DELETE", people.place())
    outside = Account(ben.http, ben.email, ben.user_id, "", ben.access_token, "")
    refused = await outside.post(people.place("/restore"))
    unknown = await outside.post(f"/v1/organizations/{ben.user_id}/restore")
    assert (refused.status_code, refused.content) == (404, unknown.content)

    restored = await people.owner.post(people.place("/restore"))
    assert restored.status_code == 200, restored.text
    assert (await ben.get("/v1/me")).json()["role"] == "admin"
    bearer = {"Authorization": f"Bearer {key}"}
    assert (await world.http.get("/v1/clients", headers=bearer)).status_code == 200
    erasure = await people.owner.get(people.place("/erasure"))
    assert erasure.json()["status"] == "cancelled"
    again = await people.owner.post(people.place("/restore"))
    assert (again.status_code, again.json()["code"]) == (409, "organization_not_deleted")
    assert (await people.log())[-2:] == ["organization.deleted", "organization.restored"]


async def test_thirty_days_later_it_is_too_late(people: People, world: World) -> None:
    await people.owner.request("DELETE", people.place())
    world.clock.forward(days=30, seconds=1)
    login = await world.http.post(
        "/v1/auth/login", json={"email": people.owner.email, "password": "tidal ferns at dusk"}
    )
    bearer = {"Authorization": f"Bearer {login.json()['access_token']}"}
    late = await world.http.post(people.place("/restore"), headers=bearer)
    assert (late.status_code, late.json()["code"]) == (409, "too_late_to_restore")
    listed = await world.http.get("/v1/organizations?deleted=true", headers=bearer)
    assert listed.json()["items"] == []


async def test_only_an_owner_deletes(people: People) -> None:
    deputy = await people.add(
        RoleName.ADMIN, permissions_override={"grant": ["organization:delete"], "deny": []}
    )
    admin = await people.add(RoleName.ADMIN)
    assert (await admin.request("DELETE", people.place())).json()["code"] == "forbidden"
    assert (await deputy.request("DELETE", people.place())).json()["code"] == "owners_only"
    erasure = await deputy.post(people.place("/erasure"), json={"name": "Lind & Co", "grace_days": 1})
    assert erasure.json()["code"] == "owners_only"
    assert (await people.owner.get("/v1/me")).json()["organization_id"] == people.id


async def test_an_erasure_planned_for_later_does_not_put_a_deletion_off(people: People) -> None:
    """Nobody restores after thirty days, so nothing may be promised, or kept, beyond them."""
    body = {"name": "Lind & Co", "grace_days": 365}
    planned = await people.owner.post(people.place("/erasure"), json=body)
    assert planned.status_code == 202, planned.text
    deleted = (await people.owner.request("DELETE", people.place())).json()
    restorable = datetime.fromisoformat(deleted["restorable_until"])
    assert restorable - datetime.fromisoformat(deleted["deleted_at"]) == RESTORABLE_FOR
    before = await people.owner.get("/v1/me/erasures/" + planned.json()["id"])
    assert before.json()["status"] == "cancelled"
    await people.owner.post(people.place("/restore"))
    assert (await people.owner.get(people.place("/erasure"))).json()["status"] == "cancelled"


async def test_an_erasure_planned_besides_outlives_a_restoration(people: People) -> None:
    body = {"name": "Lind & Co", "grace_days": 7}
    planned = await people.owner.post(people.place("/erasure"), json=body)
    deleted = await people.owner.request("DELETE", people.place())
    assert deleted.json()["restorable_until"] == planned.json()["scheduled_for"]
    assert (await people.owner.post(people.place("/restore"))).status_code == 200
    kept = await people.owner.get(people.place("/erasure"))
    assert (kept.json()["id"], kept.json()["status"]) == (planned.json()["id"], "scheduled")
