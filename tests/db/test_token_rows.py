"""Tokens, registrations and attempts in the database: once, in time, for whom they are, and then forgotten."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.attempts import Attempts, Counted
from db.authtokens import AuthTokens, NewToken, Recipients, Registrations
from db.session import Access, Database, Role
from db.tenants import PLATFORM
from domain.blobs import NoBlobs
from domain.onetime import MOST_ATTEMPTS, Purpose
from tests.factories import rows
from workers.sweeps import Sweeper

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SOON = NOW + timedelta(hours=1)
NOBODY, HOME = Access(Role.API), Access(Role.WORKER, PLATFORM)


@pytest.fixture
async def pool(database_url: str) -> Any:
    pool = Database(database_url, pool_size=10)
    yield pool
    await pool.close()


async def person(admin: AsyncEngine, **given: Any) -> UUID:
    async with admin.begin() as connection:
        id: UUID = (await rows.organization(connection))["created_by"]
        if given:
            sets = ", ".join(f"{name} = :{name}" for name in given)
            await connection.execute(text(f"UPDATE users SET {sets} WHERE id = :id"), {"id": id, **given})
    return id


async def issued(pool: Database, sha256: str, **given: Any) -> UUID:
    token = NewToken(
        uuid4(), **{"purpose": Purpose.MFA_CHALLENGE, "expires_at": SOON, **given}, token_sha256=sha256
    )
    async with pool.transaction(NOBODY) as tx:
        await AuthTokens(tx).issue(token)
    return token.id


async def test_of_many_who_consume_a_token_at_once_one_gets_it(pool: Database, admin: AsyncEngine) -> None:
    user_id = await person(admin)
    id = await issued(pool, "a", user_id=user_id, target="there")

    async def consume() -> Any:
        async with pool.transaction(NOBODY) as tx:
            return await AuthTokens(tx).consume("a", Purpose.MFA_CHALLENGE, NOW)

    got = [row for row in await asyncio.gather(*(consume() for _ in range(10))) if row is not None]
    assert [dict(row) for row in got] == [{"id": id, "user_id": user_id, "target": "there"}]


@pytest.mark.parametrize(
    ("sha256", "purpose", "moment"),
    [
        ("b", Purpose.MFA_CHALLENGE, NOW),
        ("a", Purpose.RESET_PASSWORD, NOW),
        ("a", Purpose.MFA_CHALLENGE, SOON),
    ],
)
async def test_a_token_is_found_by_its_hash_and_purpose_in_its_time(
    pool: Database, admin: AsyncEngine, sha256: str, purpose: Purpose, moment: datetime
) -> None:
    await issued(pool, "a", user_id=await person(admin))
    async with pool.transaction(NOBODY) as tx:
        tokens = AuthTokens(tx)
        assert await tokens.find(sha256, purpose, moment) is None
        assert await tokens.attempt(sha256, purpose, moment) is None
        assert await tokens.consume(sha256, purpose, moment) is None
        assert await tokens.find("a", Purpose.MFA_CHALLENGE, NOW) is not None


async def test_a_token_that_is_nobodys_yet_cannot_be_used(pool: Database) -> None:
    await issued(pool, "a", purpose=Purpose.RESET_PASSWORD, target="ada@example.com")
    async with pool.transaction(NOBODY) as tx:
        tokens = AuthTokens(tx)
        assert await tokens.find("a", Purpose.RESET_PASSWORD, NOW) is None
        assert await tokens.consume("a", Purpose.RESET_PASSWORD, NOW) is None
        assert await tokens.reset_password("a", "v1$", NOW) is None


async def test_attempts_at_once_are_counted_each(pool: Database, admin: AsyncEngine) -> None:
    await issued(pool, "a", user_id=await person(admin))

    async def attempt() -> bool:
        async with pool.transaction(NOBODY) as tx:
            return await AuthTokens(tx).attempt("a", Purpose.MFA_CHALLENGE, NOW) is not None

    assert sum(await asyncio.gather(*(attempt() for _ in range(12)))) == MOST_ATTEMPTS


async def test_only_the_platform_itself_learns_who_has_an_account(pool: Database, admin: AsyncEngine) -> None:
    """A worker that acts for a customer asks the same functions and hears nothing."""
    user_id = await person(admin, email="ada@example.com")
    registration = {
        "id": str(uuid4()),
        "email": "ada@example.com",
        "password": "v1$",
        "organization_name": "Acme",
        "slug": "acme",
        "token_sha256": "r",
        "expires_at": SOON.isoformat(),
    }
    reset = await issued(pool, "a", purpose=Purpose.RESET_PASSWORD, target="ada@example.com")
    change = await issued(pool, "b", purpose=Purpose.CHANGE_EMAIL, user_id=user_id, target="new@example.com")
    phone = await issued(pool, "c", purpose=Purpose.VERIFY_PHONE, user_id=user_id, target="+4930901820")
    async with pool.transaction(HOME) as tx:
        await Registrations(tx).add(registration)
    async with admin.begin() as connection:
        tenant = (await rows.organization(connection))["id"]

    async def heard(access: Access) -> list[Any]:
        async with pool.transaction(access) as tx:
            recipients = Recipients(tx)
            return [
                await recipients.of_registration(UUID(registration["id"]), NOW),
                await recipients.newest_registration("ADA@example.com", NOW),
                await recipients.of_reset(reset, NOW),
                await recipients.of_email_change(change, NOW),
                await recipients.of_code(phone, NOW),
            ]

    assert await heard(Access(Role.WORKER, tenant)) == [None] * 5
    assert all(await heard(HOME))
    async with pool.transaction(Access(Role.WORKER, tenant)) as tx:
        await Registrations(tx).add({**registration, "id": str(uuid4()), "token_sha256": "elsewhere"})
    async with admin.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM registrations")) == 1


@pytest.mark.parametrize(
    "call",
    [
        "app.reset_of(gen_random_uuid(), now())",
        "app.registration_of(gen_random_uuid(), now())",
        "app.newest_registration('ada@example.com', now())",
        "app.email_change_of(gen_random_uuid(), now())",
    ],
)
async def test_the_api_cannot_ask_whose_address_it_is(pool: Database, call: str) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with pool.transaction(NOBODY) as tx:
            await tx.execute(text(f"SELECT * FROM {call}"))


@pytest.mark.parametrize("table", ["auth_tokens", "registrations", "login_attempts"])
@pytest.mark.parametrize("access", [NOBODY, HOME])
async def test_the_tables_stay_closed(pool: Database, table: str, access: Access) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with pool.transaction(access) as tx:
            await tx.execute(text(f"SELECT * FROM {table}"))


async def test_what_is_over_is_swept_and_nothing_else(pool: Database, admin: AsyncEngine) -> None:
    async with admin.begin() as connection:
        for past in (True, False):
            at = NOW - timedelta(days=2) if past else SOON
            for table, values in (
                ("auth_tokens", {"token_sha256": str(past)}),
                ("registrations", {"token_sha256": str(past)}),
                ("login_attempts", {"key": str(past)}),
            ):
                await rows.row(connection, table, expires_at=at, **values)
    gone = await Sweeper(pool, NoBlobs(), lambda: NOW).sweep()
    assert (gone["tokens"], gone["registrations"], gone["login attempts"]) == (1, 1, 1)
    async with admin.connect() as connection:
        for table in ("auth_tokens", "registrations"):
            left = await connection.scalars(text(f"SELECT token_sha256 FROM {table}"))
            assert left.all() == ["False"]
        assert (await connection.scalars(text("SELECT key FROM login_attempts"))).all() == ["False"]


async def test_attempts_that_share_keys_in_any_order_never_wait_for_each_other_in_a_ring(
    pool: Database,
) -> None:
    keys = [Counted(key, 10_000, 1, 1, 1) for key in "abcdef"]
    attempts = Attempts(pool)
    orders = [keys, keys[::-1], keys[3:] + keys[:3]]
    waits = await asyncio.gather(
        *(attempts.count(orders[number % 3], None, NOW) for number in range(120)),
        *(attempts.forgive(orders[number % 3], None, SOON) for number in range(60)),
    )
    assert set(waits[:120]) == {0}


async def test_a_clock_that_goes_back_forgives_nothing(pool: Database) -> None:
    attempts, key = Attempts(pool), [Counted("k", 3, 60, 60, 60)]
    for number in range(3):
        assert await attempts.count(key, None, NOW - timedelta(seconds=number)) == 0
    assert await attempts.count(key, None, NOW - timedelta(seconds=9)) > 0
