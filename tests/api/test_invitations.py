"""Inviting people: one link, one use, the same answer whoever the address belongs to."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text

from db.tenants import SHIPPED_ROLES
from domain.permissions import RoleName
from tests.api.conftest import PASSWORD, World
from tests.api.people import People, people

__all__ = ["people"]

NEW = {"name": "Nils Neu", "password": "seven quiet otters"}


async def test_somebody_new_registers_through_the_link_and_is_in(people: People, world: World) -> None:
    await people.invite("Nils@Neu.example", RoleName.MANAGER)
    link = people.link()
    seen = (await world.http.post("/v1/invitations/look", json={"token": link})).json()
    assert seen["organization"] == "Lind & Co"
    assert seen["inviter"] == "Mara Lind"
    assert (seen["email"], seen["role"], seen["has_account"]) == ("nils@neu.example", "manager", False)

    answer = await world.http.post("/v1/invitations/register", json={"token": link, **NEW})
    assert answer.status_code == 201, answer.text
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    me = (await world.http.get("/v1/me", headers=bearer)).json()
    assert (me["email"], me["organization_id"], me["role"]) == ("nils@neu.example", people.id, "manager")
    verified = await people.behind.scalar(
        text("SELECT email_verified FROM users WHERE email = 'nils@neu.example'")
    )
    assert verified, "the link has proven the address: nobody asks a second time"
    member = await people.member(answer.json()["user_id"])
    assert (member["invited_by"], member["status"]) == (people.owner.user_id, "active")
    assert await people.log() == ["member.invited", "member.joined"]


async def test_somebody_with_an_account_accepts_with_it(people: People, world: World) -> None:
    ada = await world.account("Ada Ltd")
    await people.invite(ada.email)
    link = people.link()
    refused = await world.http.post("/v1/invitations/register", json={"token": link, **NEW})
    assert (refused.status_code, refused.json()["code"]) == (409, "account_exists")

    joined = await ada.post("/v1/invitations/accept", json={"token": link})
    assert joined.status_code == 200, joined.text
    assert joined.json() == {"organization_id": people.id, "organization": "Lind & Co", "role": "member"}
    inside = people.inside(ada)
    assert (await inside.get("/v1/me")).json()["role"] == "member"
    assert (await ada.get("/v1/me")).json()["organization_id"] == ada.organization_id, "the default stays"
    listed = (await ada.get("/v1/organizations")).json()["items"]
    assert {each["name"] for each in listed} == {"Ada Ltd", "Lind & Co"}


async def test_the_answer_does_not_tell_whether_an_address_has_an_account(
    people: People, world: World
) -> None:
    ada = await world.account("Ada Ltd")
    known, unknown = await people.invite(ada.email), await people.invite("nobody@lind.example")
    for made in (known, unknown):
        for name in ("id", "email", "sent_at", "expires_at", "created_at", "updated_at"):
            made.pop(name)
    assert known == unknown
    mails = people.mails("invitation")
    assert mails[0]["values"].keys() == mails[1]["values"].keys()


async def test_a_link_works_once_even_for_two_at_once(people: People, world: World) -> None:
    await people.invite("nils@neu.example")
    body = {"token": people.link(), **NEW}
    answers = await asyncio.gather(
        *(world.http.post("/v1/invitations/register", json=body) for _ in range(3))
    )
    assert sorted(answer.status_code for answer in answers).count(201) == 1
    assert all(answer.status_code in (201, 409, 422) for answer in answers), [a.text for a in answers]
    again = await world.http.post("/v1/invitations/register", json=body)
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "token_refused")
    assert again.json()["errors"][0]["pointer"] == "#/token"


async def test_expired_revoked_resent_and_unknown_links_are_refused_alike(
    people: People, world: World
) -> None:
    made = await people.invite("nils@neu.example")
    first = people.link()
    resent = await people.owner.post(people.place(f"/invitations/{made['id']}/resend"))
    assert (resent.status_code, resent.json()["mails"]) == (200, 2)
    second = people.link()
    assert first != second
    await people.owner.request("DELETE", people.place(f"/invitations/{made['id']}"))
    await people.invite("nils@neu.example")
    third = people.link()
    world.clock.forward(days=7, seconds=1)
    refusals = [
        await world.http.post("/v1/invitations/look", json={"token": token})
        for token in (first, second, third, "never-made")
    ]
    assert {answer.status_code for answer in refusals} == {422}
    assert len({answer.content for answer in refusals}) == 1


async def test_only_the_invited_address_accepts(people: People, world: World) -> None:
    await people.invite("nils@neu.example")
    mallory = await world.account("Mallory Ltd")
    refused = await mallory.post("/v1/invitations/accept", json={"token": people.link()})
    assert (refused.status_code, refused.json()["code"]) == (403, "other_address")
    key = (await mallory.api_key("clients:read"))["key"]
    by_key = await world.http.post(
        "/v1/invitations/accept",
        json={"token": people.link()},
        headers={"Authorization": f"Bearer {key}"},
    )
    assert by_key.status_code == 403


async def test_an_open_invitation_a_member_and_a_bad_address_are_refused_precisely(people: People) -> None:
    colleague = await people.add()
    await people.invite("nils@neu.example")
    role = str(SHIPPED_ROLES[RoleName.MEMBER])

    async def refused(email: str, role_id: str = role) -> tuple[int, str, str | None]:
        answer = await people.owner.post(
            people.place("/invitations"), json={"email": email, "role_id": role_id}
        )
        problem = answer.json()
        errors = problem.get("errors") or [{"pointer": None}]
        return answer.status_code, problem["code"], errors[0]["pointer"]

    assert await refused("NILS@neu.example") == (409, "already_invited", None)
    assert await refused(colleague.email.upper()) == (409, "already_member", None)
    assert await refused("nils@neu.example\r\nBcc: all@lind.example") == (422, "invalid", "#/email")
    assert await refused("fresh@neu.example", str(uuid4())) == (422, "invalid", "#/role_id")


async def test_only_addresses_of_allowed_domains_are_invited_and_admitted(
    people: People, world: World
) -> None:
    await people.invite("nils@neu.example")
    settings = people.place("/settings")
    seen = (await people.owner.get(settings)).headers["ETag"]
    body = {"allowed_email_domains": ["lind.example"]}
    await people.owner.request("PUT", settings, json=body, headers={"If-Match": seen})
    invited = await people.owner.post(
        people.place("/invitations"),
        json={"email": "new@neu.example", "role_id": str(SHIPPED_ROLES[RoleName.MEMBER])},
    )
    assert (invited.status_code, invited.json()["errors"][0]["pointer"]) == (422, "#/email")
    late = await world.http.post("/v1/invitations/register", json={"token": people.link(), **NEW})
    assert (late.status_code, late.json()["code"]) == (403, "email_domain_not_allowed")


async def test_an_invitation_lifts_no_suspension(people: People) -> None:
    ada = await people.add()
    # Invited as an unknown address would be, before they became a member another way.
    await people.behind.execute(
        text(
            "UPDATE user_organizations SET status = 'pending' WHERE user_id = :id AND organization_id = :org"
        ),
        {"id": ada.user_id, "org": people.id},
    )
    await people.invite(ada.email)
    await people.behind.execute(
        text(
            "UPDATE user_organizations SET status = 'suspended' WHERE user_id = :id AND organization_id = :org"
        ),
        {"id": ada.user_id, "org": people.id},
    )
    outside = type(ada).__mro__[1](ada.http, ada.email, ada.user_id, "", ada.access_token, "")
    refused = await outside.post("/v1/invitations/accept", json={"token": people.link()})
    assert (refused.status_code, refused.json()["code"]) == (403, "membership_suspended")


@pytest.mark.parametrize("role", [RoleName.OWNER, RoleName.ADMIN])
async def test_nobody_holds_out_more_than_they_have(people: People, role: RoleName) -> None:
    manager = await people.add(
        RoleName.MANAGER, permissions_override={"grant": ["members:write"], "deny": ["secrets:write"]}
    )
    body = {"email": "nils@neu.example", "role_id": str(SHIPPED_ROLES[role])}
    refused = await manager.post(people.place("/invitations"), json=body)
    assert refused.status_code == 403
    assert refused.json()["code"] in ("beyond_you", "owners_only")
    body["role_id"] = str(SHIPPED_ROLES[RoleName.MANAGER])
    assert (await manager.post(people.place("/invitations"), json=body)).json()["code"] == "beyond_you"
    body["role_id"] = str(SHIPPED_ROLES[RoleName.MEMBER])
    assert (await manager.post(people.place("/invitations"), json=body)).status_code == 201


async def test_invitations_end_with_the_rights_of_who_sent_them(people: People, world: World) -> None:
    admin = await people.add(RoleName.ADMIN)
    for email, role in (("a@neu.example", RoleName.ADMIN), ("b@neu.example", RoleName.CLIENT)):
        body = {"email": email, "role_id": str(SHIPPED_ROLES[role])}
        assert (await admin.post(people.place("/invitations"), json=body)).status_code == 201

    async def open_() -> set[str]:
        answer = await people.owner.get(people.place("/invitations?status=open"))
        return {each["email"] for each in answer.json()["items"]}

    member = str(SHIPPED_ROLES[RoleName.MEMBER])
    assert (await people.change(people.owner, admin.user_id, role_id=member)).status_code == 200
    assert await open_() == {"b@neu.example"}
    removed = await people.owner.request("DELETE", people.place(f"/members/{admin.user_id}"))
    assert removed.status_code == 204
    assert await open_() == set()
    assert (await world.http.post("/v1/invitations/look", json={"token": people.link()})).status_code == 422


async def test_invitations_end_with_what_the_role_of_who_sent_them_permits(people: People) -> None:
    async def made(name: str, *permissions: str) -> str:
        body = {"name": name, "permissions": permissions}
        return str((await people.owner.post(people.place("/roles"), json=body)).json()["id"])

    recruiter = await made("Recruiter", "members:read", "members:write", "clients:read", "clients:write")
    writer, reader = await made("Writer", "clients:write"), await made("Reader", "clients:read")
    colleague = await people.add()
    assert (await people.change(people.owner, colleague.user_id, role_id=recruiter)).status_code == 200
    for email, role in (("a@neu.example", writer), ("b@neu.example", reader)):
        body = {"email": email, "role_id": role}
        assert (await colleague.post(people.place("/invitations"), json=body)).status_code == 201
    place = people.place(f"/roles/{recruiter}")
    seen = {"If-Match": (await people.owner.get(place)).headers["ETag"]}
    fewer = {"permissions": ["members:read", "members:write", "clients:read"]}
    assert (await people.owner.request("PATCH", place, json=fewer, headers=seen)).status_code == 200
    left = (await people.owner.get(people.place("/invitations?status=open"))).json()["items"]
    assert [each["email"] for each in left] == ["b@neu.example"]


async def test_the_list_finds_filters_and_pages(people: People) -> None:
    for number in range(3):
        await people.invite(f"guest{number}@neu.example")
    made = await people.invite("other@lind.example")
    await people.owner.request("DELETE", people.place(f"/invitations/{made['id']}"))
    again = await people.owner.request("DELETE", people.place(f"/invitations/{made['id']}"))
    assert again.status_code == 204

    async def emails(query: str) -> list[str]:
        answer = await people.owner.get(people.place(f"/invitations?{query}"))
        assert answer.status_code == 200, answer.text
        return [each["email"] for each in answer.json()["items"]]

    assert await emails("status=revoked") == ["other@lind.example"]
    assert await emails("q=guest&limit=2") == ["guest2@neu.example", "guest1@neu.example"]
    assert len(await emails("")) == 4


async def test_an_address_is_mailed_a_few_times_only(people: People) -> None:
    made = await people.invite("nils@neu.example")
    statuses = [
        (await people.owner.post(people.place(f"/invitations/{made['id']}/resend"))).status_code
        for _ in range(6)
    ]
    assert statuses[0] == 200
    assert statuses[-1] == 429


async def test_a_repeated_request_invites_once(people: People) -> None:
    body = {"email": "nils@neu.example", "role_id": str(SHIPPED_ROLES[RoleName.MEMBER])}
    headers = {"Idempotency-Key": "once"}
    first = await people.owner.post(people.place("/invitations"), json=body, headers=headers)
    second = await people.owner.post(people.place("/invitations"), json=body, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replay"] == "true"
    assert len(people.mails("invitation")) == 1


async def test_a_weak_password_is_refused_and_uses_nothing_up(people: People, world: World) -> None:
    await people.invite("nils@neu.example")
    weak = {"token": people.link(), "name": "Nils", "password": "password"}
    refused = await world.http.post("/v1/invitations/register", json=weak)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/password")
    good = await world.http.post("/v1/invitations/register", json={**weak, "password": PASSWORD})
    assert good.status_code == 201
