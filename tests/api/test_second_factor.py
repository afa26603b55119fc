"""The second factor over HTTP: enrolling, signing in with it, its limits, and what an organization demands."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pyotp
import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import create_engine
from db.factors import BackupCode, TrustedDevice, UserMfa
from db.identity import Session, User
from db.tenants import ActivityLog, Organization
from tests.api.conftest import Account, World
from tests.api.factor import Enrolled, answer, challenge, enrol, log_in, signed_in
from tests.api.racing import meeting


@pytest.fixture
async def behind(admin_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that no policy restricts."""
    engine = create_engine(admin_url)
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")
    await engine.dispose()


@pytest.fixture
async def mara(world: World, account: Account) -> Enrolled:
    return await enrol(world, account)


def mails(world: World) -> list[str]:
    """The templates of the mails queued so far."""
    inputs = [entry.payload.get("input") or {} for entry in world.dispatcher.entries]
    return [each["template"] for each in inputs if "template" in each]


async def demand(behind: AsyncConnection, account: Account, **settings: object) -> None:
    statement = update(Organization).where(Organization.id == UUID(account.organization_id))
    await behind.execute(statement.values(settings=settings or {"mfa_required": True}))


async def test_enrolling_shows_the_secret_once_and_keeps_it_sealed(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    begun = await account.post("/v1/me/mfa/totp")
    shown = begun.json()
    assert shown["otpauth_uri"].startswith("otpauth://totp/Perdure:")
    assert shown["qr_svg"].startswith("<svg")
    assert shown["qr_svg"].rstrip().endswith("</svg>")
    assert "<script" not in shown["qr_svg"]
    state = (await account.get("/v1/me/mfa")).json()
    assert (state["enabled"], state["backup_codes_left"]) == (False, 0), (
        "nothing counts before the first code"
    )
    code = pyotp.TOTP(shown["secret"]).at(world.clock())
    enabled = await account.post("/v1/me/mfa/totp/confirm", json={"code": code})
    codes = enabled.json()["backup_codes"]
    assert len(set(codes)) == 10
    state = (await account.get("/v1/me/mfa")).json()
    assert (state["enabled"], state["backup_codes_left"]) == (True, 10)
    row = (await behind.execute(select(UserMfa))).mappings().one()
    assert shown["secret"] not in str(dict(row))
    assert row["pending_secret"] is None
    hashes = (await behind.scalars(select(BackupCode.secret_hash))).all()
    assert all(kept.startswith("v1$$2b$") for kept in hashes)
    assert not any(code.replace("-", "")[4:] in str(hashes) for code in codes)
    assert mails(world) == ["mfa-enrolled"]
    actions = (
        await behind.scalars(select(ActivityLog.action).where(ActivityLog.action == "mfa.enrolled"))
    ).all()
    assert actions == ["mfa.enrolled"]


async def test_a_wrong_or_late_first_code_enables_nothing(world: World, account: Account) -> None:
    nothing = await account.post("/v1/me/mfa/totp/confirm", json={"code": "000000"})
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_pending")
    secret = (await account.post("/v1/me/mfa/totp")).json()["secret"]
    right = pyotp.TOTP(secret).at(world.clock())
    wrong = "000000" if right != "000000" else "000001"
    refused = await account.post("/v1/me/mfa/totp/confirm", json={"code": wrong})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "#/code"
    for text in ("", "12345", "١٢٣٤٥٦", "abcdef", "1234567", "k" * 64):
        assert (await account.post("/v1/me/mfa/totp/confirm", json={"code": text})).status_code == 422
    world.clock.forward(minutes=16)
    tokens = (await log_in(world, account.email)).json()
    late = await signed_in(account, tokens).post(
        "/v1/me/mfa/totp/confirm", json={"code": pyotp.TOTP(secret).at(world.clock())}
    )
    assert late.status_code == 409
    assert (await signed_in(account, tokens).get("/v1/me/mfa")).json()["enabled"] is False


async def test_the_code_comes_after_the_password_and_works_once(world: World, mara: Enrolled) -> None:
    token = await challenge(world, mara.account.email)
    replayed = await answer(world, token, mara.code())
    assert (replayed.status_code, replayed.json()["code"]) == (401, "wrong_code"), (
        "the enrolment used this code"
    )
    code = mara.next_code()
    tokens = await answer(world, token, code)
    assert tokens.status_code == 200
    assert (await signed_in(mara.account, tokens.json()).get("/v1/me")).status_code == 200
    spent = await answer(world, token, mara.next_code())
    assert (spent.status_code, spent.json()["code"]) == (401, "challenge_over")
    again = await answer(world, await challenge(world, mara.account.email), code)
    assert again.status_code == 401, "a code seen over a shoulder"


async def test_of_two_who_send_one_code_at_once_one_is_let_in(world: World, mara: Enrolled) -> None:
    tokens = [await challenge(world, mara.account.email) for _ in range(2)]
    code = mara.next_code()
    answers = await asyncio.gather(*(answer(world, token, code) for token in tokens))
    assert sorted(each.status_code for each in answers) == [200, 401]
    backup = mara.backup_codes[0]
    tokens = [await challenge(world, mara.account.email) for _ in range(2)]
    answers = await asyncio.gather(*(answer(world, token, backup) for token in tokens))
    assert sorted(each.status_code for each in answers) == [200, 401]


async def test_of_two_codes_for_one_challenge_at_once_one_counts_and_the_other_is_not_used_up(
    world: World, mara: Enrolled, admin_url: str
) -> None:
    token, backup = await challenge(world, mara.account.email), mara.backup_codes[0]
    both = (answer(world, token, mara.next_code()), answer(world, token, backup))
    answers = await meeting(admin_url, "SELECT FROM user_mfa FOR UPDATE", *both)
    assert sorted(each.status_code for each in answers) == [200, 401]
    refused = next(each for each in answers if each.status_code == 401)
    assert refused.json()["code"] == "challenge_over"
    left = (await mara.account.get("/v1/me/mfa")).json()["backup_codes_left"]
    assert left == (10 if answers[1] is refused else 9)


async def test_a_code_is_good_for_its_step_and_one_to_either_side(world: World, mara: Enrolled) -> None:
    world.clock.forward(minutes=5)
    totp = pyotp.TOTP(mara.secret)
    token = await challenge(world, mara.account.email)
    for steps, status in ((-3, 401), (3, 401), (-1, 200)):
        sent = totp.at(world.clock(), counter_offset=steps)
        assert (await answer(world, token, sent)).status_code == status, steps


async def test_five_wrong_codes_end_the_challenge_and_ten_slow_the_account(
    world: World, mara: Enrolled
) -> None:
    token = await challenge(world, mara.account.email)
    for _ in range(5):
        assert (await answer(world, token, "zzzz-zzzz-zzzz-zzzz")).json()["code"] == "wrong_code"
    over = await answer(world, token, mara.next_code())
    assert (over.status_code, over.json()["code"]) == (401, "challenge_over")
    for _ in range(2):
        token = await challenge(world, mara.account.email)
        stopped = [(await answer(world, token, "zzzz-zzzz-zzzz-zzzz")).status_code for _ in range(5)]
    assert 429 in stopped
    slowed = await answer(world, await challenge(world, mara.account.email), mara.next_code())
    assert slowed.status_code == 429
    world.clock.forward(seconds=int(slowed.headers["retry-after"]) + 1)
    patient = await answer(world, await challenge(world, mara.account.email), mara.next_code())
    assert patient.status_code == 200, "nobody is kept out for ever"


async def test_a_challenge_lasts_five_minutes(world: World, mara: Enrolled) -> None:
    token = await challenge(world, mara.account.email)
    world.clock.forward(minutes=5, seconds=1)
    late = await answer(world, token, mara.next_code())
    assert (late.status_code, late.json()["code"]) == (401, "challenge_over")
    assert late.content == (await answer(world, "never handed out", mara.code())).content


async def test_the_password_alone_opens_nothing(world: World, mara: Enrolled) -> None:
    answered = (await log_in(world, mara.account.email)).json()
    assert "access_token" not in answered
    bearer = {"Authorization": f"Bearer {answered['mfa_token']}"}
    assert (await world.http.get("/v1/me", headers=bearer)).status_code == 401
    refreshed = await world.http.post("/v1/auth/refresh", json={"refresh_token": answered["mfa_token"]})
    assert refreshed.status_code == 401


async def test_a_backup_code_works_once_however_it_is_typed_and_few_are_told(
    world: World, mara: Enrolled
) -> None:
    typed = mara.backup_codes[0].upper().replace("-", " ")
    for expected in (200, 401):
        token = await challenge(world, mara.account.email)
        assert (await answer(world, token, typed)).status_code == expected
    for code in mara.backup_codes[1:7]:
        assert (await answer(world, await challenge(world, mara.account.email), code)).status_code == 200
    assert mails(world).count("backup-codes-low") == 1
    state = (await mara.account.get("/v1/me/mfa")).json()
    assert state["backup_codes_left"] == 3
    renewed = await mara.account.post("/v1/me/mfa/backup-codes")
    assert len(renewed.json()["backup_codes"]) == 10
    old = await answer(world, await challenge(world, mara.account.email), mara.backup_codes[8])
    assert old.status_code == 401, "codes made before stop working"
    new = renewed.json()["backup_codes"][0]
    assert (await answer(world, await challenge(world, mara.account.email), new)).status_code == 200


async def test_another_persons_code_is_worth_nothing(world: World, mara: Enrolled) -> None:
    other = await enrol(world, await world.account())
    token = await challenge(world, mara.account.email)
    assert (await answer(world, token, other.backup_codes[0])).status_code == 401
    assert (await answer(world, token, other.next_code())).status_code == 401


async def test_enrolling_ends_the_sessions_that_the_password_alone_opened(
    world: World, account: Account
) -> None:
    elsewhere = signed_in(account, (await log_in(world, account.email)).json())
    await enrol(world, account)
    assert (await elsewhere.get("/v1/me")).status_code == 401
    assert (await account.get("/v1/me")).status_code == 200


async def test_another_authenticator_takes_the_place_of_the_first(world: World, mara: Enrolled) -> None:
    world.clock.forward(seconds=60)
    await mara.account.post("/v1/me/mfa/totp")
    still = await answer(world, await challenge(world, mara.account.email), mara.code())
    assert still.status_code == 200, "the first works until the second has proven itself"
    second = await enrol(world, mara.account)
    gone = await answer(world, await challenge(world, mara.account.email), mara.next_code())
    assert gone.status_code == 401
    assert (
        await answer(world, await challenge(world, mara.account.email), second.next_code())
    ).status_code == 200


async def test_a_trusted_device_skips_the_code_at_login_and_confirms_nothing(
    world: World, mara: Enrolled, behind: AsyncConnection
) -> None:
    trusting = await answer(
        world,
        await challenge(world, mara.account.email),
        mara.next_code(),
        trust_device=True,
        device_name="Work laptop",
    )
    secret = trusting.json()["device_token"]
    assert "new-device" in mails(world)
    stored = (await behind.execute(select(TrustedDevice))).mappings().one()
    assert secret not in str(dict(stored))
    tokens = (await log_in(world, mara.account.email, device_token=secret)).json()
    trusted = signed_in(mara.account, tokens)
    assert (await trusted.get("/v1/me")).status_code == 200
    for method, path in (
        ("POST", "/v1/me/mfa/totp"),
        ("DELETE", "/v1/me/mfa"),
        ("POST", "/v1/me/mfa/backup-codes"),
    ):
        refused = await trusted.request(method, path)
        assert (refused.status_code, refused.json()["code"]) == (403, "step_up_required"), path
    listed = (await trusted.get("/v1/me/devices")).json()["items"]
    assert [each["name"] for each in listed] == ["Work laptop"]
    stranger = await enrol(world, await world.account())
    assert "mfa_required" in (await log_in(world, stranger.account.email, device_token=secret)).json()
    assert (await trusted.request("DELETE", f"/v1/me/devices/{listed[0]['id']}")).status_code == 204
    assert "mfa_required" in (await log_in(world, mara.account.email, device_token=secret)).json()


async def test_trust_ends_after_thirty_days_however_often_it_is_used(world: World, mara: Enrolled) -> None:
    token = await challenge(world, mara.account.email)
    secret = (await answer(world, token, mara.next_code(), trust_device=True)).json()["device_token"]
    for _ in range(2):
        world.clock.forward(days=14)
        assert "access_token" in (await log_in(world, mara.account.email, device_token=secret)).json()
    world.clock.forward(days=3)
    assert "mfa_required" in (await log_in(world, mara.account.email, device_token=secret)).json()


async def test_a_policy_leaves_only_enrolment_to_who_has_no_second_factor(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    key = {"Authorization": f"Bearer {(await account.api_key('clients:read'))['key']}"}
    await demand(behind, account)
    for path in ("/v1/clients", "/v1/me/sessions", "/v1/organizations", "/v1/me/devices"):
        refused = await account.get(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "mfa_enrolment_required"), path
    assert (await world.http.get("/v1/clients", headers=key)).json()["code"] == "mfa_enrolment_required"
    assert (await account.request("PATCH", "/v1/me", json={"city": "Kiel"})).status_code == 403
    me = (await account.get("/v1/me")).json()
    assert me["mfa_enrolment_required"] is True
    assert (await account.get("/v1/me/mfa")).json()["demanded"] is True
    await enrol(world, account)
    assert (await account.get("/v1/clients")).status_code == 200
    assert (await world.http.get("/v1/clients", headers=key)).status_code == 200
    assert await behind.scalar(select(UserMfa.mfa_enforced)) is True
    refused = await account.request("DELETE", "/v1/me/mfa")
    assert (refused.status_code, refused.json()["code"]) == (409, "mfa_demanded")
    await demand(behind, account, mfa_required=False)
    assert await behind.scalar(select(UserMfa.mfa_enforced)) is False
    assert (await account.request("DELETE", "/v1/me/mfa")).status_code == 204
    assert mails(world)[-1] == "mfa-removed"
    assert "access_token" in (await log_in(world, account.email)).json()


async def test_nobody_reads_or_resets_another_ones_second_factor(
    world: World, mara: Enrolled, behind: AsyncConnection
) -> None:
    """Not even the owner of their organization: no route names a person, and the tables show only one's own."""
    from db.factors import Factors
    from db.session import Access, Role
    from tests.factories.rows import member

    owner = mara.account
    added = await member(behind, UUID(owner.organization_id))
    async with world.database.transaction(
        Access(Role.API, UUID(owner.organization_id), added["user_id"])
    ) as tx:
        assert await Factors(tx, UUID(owner.user_id)).get() is None
        assert await Factors(tx, UUID(owner.user_id)).disable() is False
    paths = world.app.openapi()["paths"]
    assert [path for path in paths if "mfa" in path and "{" in path] == []
    assert (await owner.get("/v1/me/mfa")).json()["enabled"] is True


async def test_a_closed_account_finishes_no_login(
    world: World, mara: Enrolled, behind: AsyncConnection
) -> None:
    token = await challenge(world, mara.account.email)
    await behind.execute(update(User).values(is_active=False))
    assert (await answer(world, token, mara.next_code())).json()["code"] == "challenge_over"


async def test_an_unused_session_is_woken_in_no_other_organization(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    other = await account.post("/v1/organizations", json={"name": "Without a limit"})
    await demand(behind, account, session_idle_minutes=5)
    world.clock.forward(minutes=6)
    elsewhere = {"X-Organization-Id": other.json()["id"]}
    assert (await account.get("/v1/me", headers=elsewhere)).json()["code"] == "session_idle"
    assert (await account.get("/v1/me")).json()["code"] == "session_idle"


@pytest.mark.parametrize("unreadable", [30.5e300, -1, 0.5, "5"])
async def test_a_limit_that_no_release_writes_locks_nobody_out(
    account: Account, behind: AsyncConnection, unreadable: object
) -> None:
    await demand(behind, account, session_idle_minutes=unreadable)
    assert (await account.get("/v1/me")).status_code == 200


async def test_an_unused_session_ends_as_the_organization_says(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    await demand(behind, account, session_idle_minutes=30)
    tokens = {"refresh_token": account.refresh_token}

    async def refreshed() -> dict[str, str]:
        body = {"refresh_token": tokens["refresh_token"]}
        answered = await world.http.post("/v1/auth/refresh", json=body)
        return dict(answered.json())

    for _ in range(4):  # busy for an hour: every request is a sign of life
        world.clock.forward(minutes=15)
        tokens = await refreshed()
        assert (await signed_in(account, tokens).get("/v1/me")).status_code == 200
    for _ in range(2):  # a program that only refreshes does not count as somebody there
        world.clock.forward(minutes=16)
        tokens = await refreshed()
    idle = await signed_in(account, tokens).get("/v1/me")
    assert (idle.status_code, idle.json()["code"]) == (401, "session_idle")
    seen = await behind.scalar(select(Session.last_seen_at).order_by(Session.last_seen_at.desc()).limit(1))
    assert seen is not None
