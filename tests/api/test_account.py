"""One's own account: step-up, password, profile, default organization, keys that are rotated, every session ended."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import create_engine
from db.identity import User
from db.sealed import open_text, place
from db.tenants import PLATFORM, ActivityLog
from domain.onetime import Purpose, derive
from tests.api.conftest import PASSWORD, SECURITY, Account, World, keys_of
from tests.api.factor import Enrolled, answer, challenge, enrol, log_in, signed_in
from tests.api.racing import meeting
from tests.factories.rows import row

NEW = "gravel under the tide"


@pytest.fixture
async def behind(admin_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that no policy restricts."""
    engine = create_engine(admin_url)
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")
    await engine.dispose()


async def later(world: World, account: Account) -> Account:
    """The same login, eleven minutes after it was confirmed."""
    world.clock.forward(minutes=11)
    body = {"refresh_token": account.refresh_token}
    refreshed = await world.http.post("/v1/auth/refresh", json=body)
    return signed_in(account, refreshed.json())


async def change(account: Account, **values: Any) -> httpx2.Response:
    tag = (await account.get("/v1/me")).headers["etag"]
    return await account.request("PATCH", "/v1/me", json=values, headers={"If-Match": tag})


async def test_ten_minutes_after_the_login_what_is_dangerous_is_confirmed_again(
    world: World, account: Account
) -> None:
    assert (await account.post("/v1/me/mfa/totp")).status_code == 200, "the login counts"
    stale = await later(world, account)
    refused = await stale.post("/v1/me/mfa/totp")
    assert (refused.status_code, refused.json()["code"]) == (403, "step_up_required")
    wrong = await stale.post("/v1/auth/step-up", json={"password": "not it"})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "confirmation_refused")
    assert (await stale.post("/v1/me/mfa/totp")).status_code == 403
    assert (await stale.post("/v1/auth/step-up", json={"password": PASSWORD})).status_code == 200
    assert (await stale.post("/v1/me/mfa/totp")).status_code == 200
    renewed = signed_in(
        stale, (await world.http.post("/v1/auth/refresh", json={"refresh_token": stale.refresh_token})).json()
    )
    assert (await renewed.post("/v1/me/mfa/totp")).status_code == 200, "refreshing keeps it"
    for body in ({}, {"password": "x", "code": "1"}):
        assert (await stale.post("/v1/auth/step-up", json=body)).status_code == 422


async def test_whoever_has_a_second_factor_confirms_with_it(world: World, account: Account) -> None:
    mara = await enrol(world, account)
    stale = await later(world, account)
    alone = await stale.post("/v1/auth/step-up", json={"password": PASSWORD})
    assert (alone.status_code, alone.json()["code"]) == (403, "code_required")
    wrong = await stale.post("/v1/auth/step-up", json={"code": "zzzz-zzzz-zzzz-zzzz"})
    assert wrong.status_code == 403
    code = mara.next_code()
    assert (await stale.post("/v1/auth/step-up", json={"code": code})).status_code == 200
    assert (await stale.post("/v1/me/mfa/backup-codes")).status_code == 200
    assert (await stale.post("/v1/auth/step-up", json={"code": code})).status_code == 403, "a code works once"


async def test_guesses_at_a_confirmation_are_slowed(world: World, account: Account) -> None:
    answers = [await account.post("/v1/auth/step-up", json={"password": f"guess {n}"}) for n in range(12)]
    assert [each.status_code for each in answers].count(429) >= 1


async def test_a_key_confirms_nothing(world: World, account: Account) -> None:
    key = {"Authorization": f"Bearer {(await account.api_key('api_keys:write'))['key']}"}
    for path in ("/v1/auth/step-up", "/v1/me/mfa/totp", "/v1/auth/logout-everywhere"):
        body = {"json": {"password": PASSWORD}} if "step" in path else {}
        assert (await world.http.post(path, headers=key, **body)).status_code == 403, path
    profile = (await world.http.get("/v1/me", headers=key)).json()
    assert profile["profile"] is None


async def test_a_new_password_needs_the_old_one_and_ends_what_the_old_one_opened(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    other = signed_in(account, (await log_in(world, account.email)).json())
    wrong = await account.request("PUT", "/v1/me/password", json={"old_password": "no", "new_password": NEW})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["pointer"] == "#/old_password"
    for weak in ("short", "password1", account.email, PASSWORD):
        refused = await account.request(
            "PUT", "/v1/me/password", json={"old_password": PASSWORD, "new_password": weak}
        )
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/new_password"), weak
    assert (await other.get("/v1/me")).status_code == 200, "nothing happened so far"
    body = {"old_password": PASSWORD, "new_password": NEW}
    assert (await account.request("PUT", "/v1/me/password", json=body)).status_code == 204
    assert (await other.get("/v1/me")).status_code == 401
    assert (await account.get("/v1/me")).status_code == 200
    assert (await log_in(world, account.email)).status_code == 401
    body = {"email": account.email, "password": NEW}
    assert (await world.http.post("/v1/auth/login", json=body)).status_code == 200
    sent = [entry.payload["input"]["template"] for entry in world.dispatcher.entries]
    assert sent == ["password-changed"]


async def test_the_old_password_on_a_trusted_device_is_not_enough_for_a_new_one(
    world: World, account: Account
) -> None:
    mara: Enrolled = await enrol(world, account)
    token = await challenge(world, account.email)
    secret = (await answer(world, token, mara.next_code(), trust_device=True)).json()["device_token"]
    trusting = signed_in(account, (await log_in(world, account.email, device_token=secret)).json())
    body = {"old_password": PASSWORD, "new_password": NEW}
    refused = await trusting.request("PUT", "/v1/me/password", json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, "step_up_required")
    proof = {"code": mara.next_code()}
    assert (await trusting.post("/v1/auth/step-up", json=proof)).status_code == 200
    assert (await trusting.request("PUT", "/v1/me/password", json=body)).status_code == 204


async def test_a_new_password_trusts_no_device(world: World, account: Account) -> None:
    mara: Enrolled = await enrol(world, account)
    token = await challenge(world, account.email)
    secret = (await answer(world, token, mara.next_code(), trust_device=True)).json()["device_token"]
    body = {"old_password": PASSWORD, "new_password": NEW}
    assert (await account.request("PUT", "/v1/me/password", json=body)).status_code == 204
    login = {"email": account.email, "password": NEW, "device_token": secret}
    assert "mfa_required" in (await world.http.post("/v1/auth/login", json=login)).json()


async def test_a_new_password_ends_what_waits_to_be_used_once(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    """Else whoever had the old one and asked for an address of theirs has the account a day later."""
    asked = await account.post("/v1/me/email", json={"email": "thief@evil.example"})
    assert asked.status_code == 202
    id = (
        await behind.execute(text("SELECT id FROM auth_tokens WHERE purpose = 'change_email'"))
    ).scalar_one()
    body = {"old_password": PASSWORD, "new_password": NEW}
    assert (await account.request("PUT", "/v1/me/password", json=body)).status_code == 204
    token = derive(SECURITY.token_secret, Purpose.CHANGE_EMAIL, id)
    late = await world.http.post("/v1/auth/confirm-email", json={"token": token})
    assert (late.status_code, late.json()["code"]) == (422, "token_refused")
    assert (await account.get("/v1/me")).json()["email"] == account.email


async def test_of_two_changes_of_the_password_at_once_one_wins(account: Account) -> None:
    bodies = [{"old_password": PASSWORD, "new_password": f"{NEW} {n}"} for n in range(2)]
    answers = await asyncio.gather(*(account.request("PUT", "/v1/me/password", json=body) for body in bodies))
    assert sorted(each.status_code for each in answers) == [204, 422]


async def test_signing_out_everywhere_ends_every_session_and_cookie(world: World, account: Account) -> None:
    others = [signed_in(account, (await log_in(world, account.email)).json()) for _ in range(2)]
    stranger = await world.account()
    assert (await account.post("/v1/auth/logout-everywhere")).status_code == 204
    for each in (account, *others):
        assert (await each.get("/v1/me")).status_code == 401
        body = {"refresh_token": each.refresh_token}
        assert (await world.http.post("/v1/auth/refresh", json=body)).status_code == 401
    assert (await stranger.get("/v1/me")).status_code == 200


async def test_a_profile_is_changed_by_who_saw_it(account: Account) -> None:
    changed = await change(
        account,
        first_name="Mara",
        last_name="Lindqvist",
        username="Mara.Lind",
        phone="+49 30 901820",
        country="germany",
        date_of_birth="1990-05-17",
        avatar_url="example.com/mara.png",
    )
    assert changed.status_code == 200, changed.text
    me = changed.json()
    assert me["name"] == "Mara Lindqvist"
    profile = me["profile"]
    assert (profile["username"], profile["country"], profile["phone"]) == ("mara.lind", "DE", "+49 30 901820")
    assert profile["avatar_url"] == "https://example.com/mara.png"
    assert (await account.request("PATCH", "/v1/me", json={"city": "Kiel"})).status_code == 428
    stale = await account.request("PATCH", "/v1/me", json={"city": "Kiel"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    cleared = await change(account, last_name=None)
    assert cleared.json()["name"] == "Mara"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"first_name": None},
        {"username": "a@b.example"},
        {"username": "x"},
        {"phone": "0171 23"},
        {"phone": "call me"},
        {"date_of_birth": "1890-01-01"},
        {"date_of_birth": "2999-01-01"},
        {"avatar_url": "javascript:alert(1)"},
        {"country": "Atlantis"},
        {"country_code": "49"},
        {"national_id": "12345"},
        {"national_id": None, "national_id_type": "passport"},
        {"email": "other@lind.example"},
        {"kyc_status": "verified"},
        {"role_id": "00000000-0000-7000-8000-000000000001"},
    ],
    ids=str,
)
async def test_what_no_profile_holds_is_refused(account: Account, wrong: dict[str, Any]) -> None:
    refused = await change(account, **wrong)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"]


async def test_a_new_number_is_not_verified(account: Account, behind: AsyncConnection) -> None:
    await change(account, phone="+49 30 901820")
    mine = update(User).where(User.id == UUID(account.user_id))
    await behind.execute(mine.values(phone_verified=True))
    same = await change(account, phone="+49 30 901820", city="Kiel")
    assert same.json()["profile"]["phone_verified"] is True
    moved = await change(account, phone="+49 30 901821")
    assert moved.json()["profile"]["phone_verified"] is False


async def test_a_user_name_is_ones_own(world: World, account: Account) -> None:
    await change(account, username="mara.lind")
    taken = await change(await world.account(), username="MARA.LIND")
    assert (taken.status_code, taken.json()["code"]) == (409, "username_taken")


async def test_a_national_id_is_sealed_for_its_row_and_never_shown(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    changed = await change(account, national_id="L01X00T47", national_id_type="passport")
    assert changed.status_code == 200, changed.text
    assert "L01X00T47" not in changed.text
    assert changed.json()["profile"]["national_id_type"] == "passport"
    stored = await behind.scalar(select(User.national_id).where(User.id == UUID(account.user_id)))
    assert stored is not None
    assert "L01X00T47" not in stored
    keys, where = keys_of(world.database), place("users", "national_id", UUID(account.user_id))
    assert await open_text(keys, PLATFORM, where, stored) == "L01X00T47"
    logs = (await behind.scalars(select(ActivityLog.log_metadata))).all()
    assert "L01X00T47" not in str(logs)
    assert (await change(account, national_id=None, national_id_type=None)).status_code == 200


async def test_the_default_organization_is_one_of_mine(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    other = await world.account("Second")
    foreign = await account.request(
        "PUT", "/v1/me/default-organization", json={"organization_id": other.organization_id}
    )
    unknown = await account.request(
        "PUT", "/v1/me/default-organization", json={"organization_id": str(uuid4())}
    )
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.json() == unknown.json()
    membership = {"user_id": UUID(account.user_id), "status": "active"}
    await row(behind, "user_organizations", UUID(other.organization_id), **membership)
    body = {"organization_id": other.organization_id}
    assert (await account.request("PUT", "/v1/me/default-organization", json=body)).status_code == 204
    assert (await account.get("/v1/me")).json()["organization_id"] == other.organization_id


async def test_a_rotated_key_and_its_successor_both_work_for_a_while(world: World, account: Account) -> None:
    old = await account.api_key("executions:read")
    path = f"/v1/me/api-keys/{old['id']}/rotate"
    rotated = await account.post(path, json={"overlap_minutes": 60})
    assert rotated.status_code == 201, rotated.text
    new = rotated.json()
    assert (new["name"], new["scopes"], new["replaces"]) == (old["name"], old["scopes"], old["id"])

    async def status(key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return (await world.http.get("/v1/me", headers=headers)).status_code

    assert [await status(old["key"]), await status(new["key"])] == [200, 200]
    again = await account.post(path, json={})
    assert again.status_code == 409
    world.clock.forward(minutes=61)
    assert [await status(old["key"]), await status(new["key"])] == [401, 200]


async def test_of_two_rotations_at_once_one_makes_a_key(account: Account, admin_url: str) -> None:
    old = await account.api_key("executions:read")
    path = f"/v1/me/api-keys/{old['id']}/rotate"
    both = (account.post(path, json={}) for _ in range(2))
    answers = await meeting(admin_url, "SELECT FROM api_keys FOR UPDATE", *both)
    assert sorted(each.status_code for each in answers) == [201, 409]
    assert len((await account.get("/v1/me/api-keys")).json()["items"]) == 2


async def test_a_rotation_is_replayed_without_the_secret(account: Account) -> None:
    old = await account.api_key("executions:read")
    path, key = f"/v1/me/api-keys/{old['id']}/rotate", {"Idempotency-Key": "once"}
    first = await account.post(path, json={}, headers=key)
    replay = await account.post(path, json={}, headers=key)
    assert replay.status_code == 201
    assert replay.headers["idempotent-replay"] == "true"
    assert (replay.json()["id"], replay.json()["key"]) == (first.json()["id"], None)


async def test_no_rotation_lengthens_a_life_or_wakes_the_dead(world: World, account: Account) -> None:
    soon = (world.clock() + timedelta(minutes=5)).isoformat()
    body = {"name": "short", "scopes": ["tasks:read"], "expires_at": soon}
    short = (await account.post("/v1/me/api-keys", json=body)).json()
    assert (await account.post(f"/v1/me/api-keys/{short['id']}/rotate", json={})).status_code == 201
    listed = (await account.get("/v1/me/api-keys")).json()["items"]
    kept = next(each for each in listed if each["id"] == short["id"])
    assert datetime.fromisoformat(kept["expires_at"]) == datetime.fromisoformat(short["expires_at"])
    dead = await account.api_key("tasks:read")
    await account.request("DELETE", f"/v1/me/api-keys/{dead['id']}")
    assert (await account.post(f"/v1/me/api-keys/{dead['id']}/rotate", json={})).status_code == 409


async def test_what_people_do_to_their_account_is_noted(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    await log_in(world, account.email)
    await account.post("/v1/auth/step-up", json={"password": PASSWORD})
    await change(account, city="Kiel")
    created = await account.api_key("tasks:read")
    await account.request("DELETE", f"/v1/me/api-keys/{created['id']}")
    noted = await behind.execute(select(ActivityLog.action, ActivityLog.user_id, ActivityLog.ip_address))
    ours = {action: (str(user), address) for action, user, address in noted if "." in action}
    expected = {
        "session.opened",
        "session.confirmed",
        "profile.changed",
        "api_key.created",
        "api_key.revoked",
    }
    assert expected <= ours.keys()
    assert {ours[action] for action in expected} == {(account.user_id, "127.0.0.1")}
