"""Registering, signing in, refreshing and ending sessions, API keys: over HTTP, on a real database."""

import asyncio
from uuid import uuid4

import httpx2
import pytest

from tests.api.conftest import PASSWORD, Account, World


async def login(world: World, email: str, password: str = PASSWORD) -> httpx2.Response:
    return await world.http.post("/v1/auth/login", json={"email": email, "password": password})


async def test_registering_makes_an_owner_of_an_organization(world: World, account: Account) -> None:
    me = (await account.get("/v1/me")).json()
    assert me["email"] == account.email
    assert me["organization_id"] == account.organization_id
    assert me["role"] == "owner"
    assert "organization:write" in me["permissions"]
    mine = (await account.get("/v1/organizations")).json()
    assert [(each["id"], each["role"]) for each in mine["items"]] == [(account.organization_id, "owner")]


async def test_nothing_is_kept_when_registration_is_refused(world: World, account: Account) -> None:
    body = {"email": account.email.upper(), "password": PASSWORD, "name": "X", "organization_name": "Y"}
    answer = await world.http.post("/v1/auth/register", json=body)
    assert answer.status_code == 409
    assert answer.json()["code"] == "registration_refused"
    assert account.email not in answer.text.lower()
    weak = {**body, "email": "new@lind.example", "password": "Password1!"}
    answer = await world.http.post("/v1/auth/register", json=weak)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/password"


async def test_login_says_the_same_for_a_wrong_password_and_an_unknown_address(
    world: World, account: Account
) -> None:
    wrong = await login(world, account.email, "not the password")
    unknown = await login(world, "nobody@lind.example", "not the password")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content
    right = await login(world, account.email.upper())
    assert right.status_code == 200
    assert right.json()["token_type"] == "Bearer"


async def test_login_hashes_for_unknown_addresses_too(
    world: World, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes: list[bytes] = []
    import api.passwords

    real = api.passwords.bcrypt.checkpw

    def counting(digest: bytes, stored: bytes) -> bool:
        hashes.append(stored)
        return real(digest, stored)

    monkeypatch.setattr(api.passwords.bcrypt, "checkpw", counting)
    await login(world, account.email, "not the password")
    await login(world, "nobody@lind.example", "not the password")
    assert len(hashes) == 2
    assert {stored[:7] for stored in hashes} == {b"$2b$04$"}


async def test_guessing_is_slowed_and_forgiven_with_time(world: World, account: Account) -> None:
    for _ in range(8):
        assert (await login(world, account.email, "not the password")).status_code == 401
    stopped = await login(world, account.email)
    assert stopped.status_code == 429
    assert 1 <= int(stopped.headers["retry-after"]) <= 60
    world.clock.forward(seconds=61)
    assert (await login(world, account.email)).status_code == 200


async def test_an_access_token_lasts_ten_minutes(world: World, account: Account) -> None:
    world.clock.forward(minutes=9)
    assert (await account.get("/v1/me")).status_code == 200
    world.clock.forward(minutes=2)
    expired = await account.get("/v1/me")
    assert expired.status_code == 401
    assert "expired" in expired.json()["detail"]


async def test_a_refresh_token_works_once_and_its_reuse_ends_the_family(
    world: World, account: Account
) -> None:
    async def refresh(token: str) -> httpx2.Response:
        return await world.http.post("/v1/auth/refresh", json={"refresh_token": token})

    first = await refresh(account.refresh_token)
    assert first.status_code == 200
    second = await refresh(first.json()["refresh_token"])
    newest = {"Authorization": f"Bearer {second.json()['access_token']}"}
    assert (await world.http.get("/v1/me", headers=newest)).status_code == 200
    stolen = await refresh(account.refresh_token)
    assert stolen.status_code == 401
    assert (await refresh(second.json()["refresh_token"])).status_code == 401
    assert (await world.http.get("/v1/me", headers=newest)).status_code == 401
    assert stolen.content == (await refresh("never handed out")).content


async def test_concurrent_refreshes_of_one_client_get_one_and_the_same_token(
    world: World, account: Account
) -> None:
    body = {"refresh_token": account.refresh_token}
    answers = await asyncio.gather(*(world.http.post("/v1/auth/refresh", json=body) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


async def test_logout_ends_access_at_once_and_tells_nothing(world: World, account: Account) -> None:
    body = {"refresh_token": account.refresh_token}
    assert (await world.http.post("/v1/auth/logout", json=body)).status_code == 204
    assert (await account.get("/v1/me")).status_code == 401
    assert (await world.http.post("/v1/auth/logout", json={"refresh_token": "x"})).status_code == 204


async def test_a_session_can_be_ended_from_another(world: World, account: Account) -> None:
    other = (await login(world, account.email)).json()
    listed = (await account.get("/v1/me/sessions")).json()["items"]
    assert len(listed) == 2
    assert sum(each["current"] for each in listed) == 1
    foreign = next(each for each in listed if not each["current"])
    assert (await account.request("DELETE", f"/v1/me/sessions/{foreign['id']}")).status_code == 204
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    assert (await world.http.get("/v1/me", headers=headers)).status_code == 401
    assert (await account.get("/v1/me")).status_code == 200
    stranger = await world.account()
    theirs = await stranger.request("DELETE", f"/v1/me/sessions/{listed[0]['id']}")
    unknown = await stranger.request("DELETE", f"/v1/me/sessions/{uuid4()}")
    assert theirs.status_code == unknown.status_code == 404
    assert theirs.content == unknown.content


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", "Basic bWFyYTp4", "Bearer a.b.c", "Bearer perdure_live_x",
     "Bearer " + "é" * 10,
     "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", "bearer perdure_live_" + "0" * 63],
)  # fmt: skip
async def test_anything_that_is_no_token_of_ours_is_a_401(world: World, header: str) -> None:
    answer = await world.http.get("/v1/me", headers=[(b"Authorization", header.encode("utf-8"))])
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_an_api_key_acts_within_its_scopes_until_revoked(world: World, account: Account) -> None:
    created = await account.api_key("executions:read", "organization:read")
    key = {"Authorization": f"Bearer {created['key']}"}
    me = (await world.http.get("/v1/me", headers=key)).json()
    assert me["actor"] == "api_key"
    assert me["permissions"] == ["executions:read", "organization:read"]
    path = f"/v1/organizations/{account.organization_id}"
    assert (await world.http.get(path, headers=key)).status_code == 200
    refused = await world.http.patch(path, headers={**key, "If-Match": '"1"'}, json={"name": "Other"})
    assert refused.status_code == 403
    assert "organization:write" in refused.json()["detail"]
    listed = (await account.get("/v1/me/api-keys")).json()["items"]
    assert listed[0]["id"] == created["id"]
    assert listed[0]["last_used_at"] is not None
    assert "secret" not in str(listed)
    assert created["key"] not in str(listed)
    assert (await account.request("DELETE", f"/v1/me/api-keys/{created['id']}")).status_code == 204
    assert (await world.http.get("/v1/me", headers=key)).status_code == 401


async def test_a_wrong_secret_or_another_organization_does_not_open(world: World, account: Account) -> None:
    created = await account.api_key("executions:read")
    from api.tokens import ApiKey

    forged = ApiKey(ApiKey.parse(created["key"]).key_id, ApiKey.new().secret)
    answer = await world.http.get("/v1/me", headers={"Authorization": f"Bearer {forged}"})
    assert answer.status_code == 401
    other = await world.account()
    headers = {"Authorization": f"Bearer {created['key']}", "X-Organization-Id": other.organization_id}
    assert (await world.http.get("/v1/me", headers=headers)).status_code == 403


async def test_a_key_expires(world: World, account: Account) -> None:
    expires = (world.clock() + _minutes(5)).isoformat()
    body = {"name": "short", "scopes": ["tasks:read"], "expires_at": expires}
    created = (await account.post("/v1/me/api-keys", json=body)).json()
    key = {"Authorization": f"Bearer {created['key']}"}
    assert (await world.http.get("/v1/me", headers=key)).status_code == 200
    world.clock.forward(minutes=6)
    assert (await world.http.get("/v1/me", headers=key)).status_code == 401
    late = {**body, "expires_at": "2000-01-01T00:00:00Z"}
    assert (await (await _again(world, account)).post("/v1/me/api-keys", json=late)).status_code == 422


async def test_a_key_cannot_make_keys_or_hold_more_than_its_maker(world: World, account: Account) -> None:
    created = await account.api_key("api_keys:write", "api_keys:read")
    key = {"Authorization": f"Bearer {created['key']}"}
    body = {"name": "more", "scopes": ["api_keys:write"]}
    assert (await world.http.post("/v1/me/api-keys", headers=key, json=body)).status_code == 403
    unknown = await account.post("/v1/me/api-keys", json={"name": "x", "scopes": ["everything:*"]})
    assert unknown.status_code == 422
    assert unknown.json()["errors"][0]["pointer"] == "#/scopes/0"


async def test_a_foreign_organization_answers_like_an_unknown_one(world: World, account: Account) -> None:
    other = await world.account()
    answers = [
        await account.get("/v1/me", headers={"X-Organization-Id": wanted})
        for wanted in (other.organization_id, str(uuid4()), "not-a-uuid")
    ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert len({answer.content for answer in answers}) == 1


async def test_an_organization_is_changed_only_by_who_saw_it(world: World, account: Account) -> None:
    path = f"/v1/organizations/{account.organization_id}"
    seen = await account.get(path)
    tag = seen.headers["etag"]
    assert (await account.request("PATCH", path, json={"name": "New"})).status_code == 428
    changed = await account.request("PATCH", path, json={"name": "New"}, headers={"If-Match": tag})
    assert changed.status_code == 200
    assert changed.json()["name"] == "New"
    assert changed.headers["etag"] != tag
    lost = await account.request("PATCH", path, json={"name": "Newer"}, headers={"If-Match": tag})
    assert lost.status_code == 412
    assert lost.json()["code"] == "stale"
    assert (await account.get(path)).json()["name"] == "New"
    for bad in ('"x"', "*", "3", '""', '"-1"'):
        answer = await account.request("PATCH", path, json={"name": "N"}, headers={"If-Match": bad})
        assert answer.status_code == 422, bad
    empty = await account.request("PATCH", path, json={"name": None}, headers={"If-Match": tag})
    assert empty.status_code == 422
    assert empty.json()["errors"][0]["pointer"] == "#/name"


def _minutes(number: int):  # type: ignore[no-untyped-def]  # a timedelta, local to this file
    from datetime import timedelta

    return timedelta(minutes=number)


async def _again(world: World, account: Account) -> Account:
    from dataclasses import replace

    tokens = (await login(world, account.email)).json()
    return replace(account, access_token=tokens["access_token"])
