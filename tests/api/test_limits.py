"""Brakes on guessing: shared by processes, kept through restarts, never shut for good."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from api.collaborators import Collaborators
from api.limits import ACCOUNT, ADDRESS, CODES, KNOWN_FOR, MAILS_TO, PAIR, Limiter, Limits, Rate
from db.session import Access, Database, Role
from domain.actions import Catalogue
from domain.errors import TooManyRequests
from tests.api.conftest import PROCESSES, SECURITY, Clock, Recorder, keys_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MARA, HERE, ELSEWHERE = "mara@x.example", "203.0.113.9", "198.51.100.4"


@dataclass
class Door:
    """One process's limits, and the clock that all of them share."""

    limits: Limits
    clock: Clock
    database: Database

    async def fails(self, times: float, email: str = MARA, address: str = HERE) -> None:
        for _ in range(int(times)):
            await self.limits.login(email, address)

    async def waits(self, email: str = MARA, address: str = HERE) -> int:
        """Seconds until the next attempt; 0 lets it through, and counts it."""
        try:
            await self.limits.login(email, address)
        except TooManyRequests as refused:
            return refused.retry_after
        return 0

    async def rows(self) -> list[Any]:
        async with self.database.transaction(Access(Role.SYSTEM)) as tx:
            return list((await tx.execute(text("SELECT * FROM login_attempts ORDER BY key"))).mappings())


def door_of(url: str, clock: Clock, pool: int = 4) -> Door:
    database = Database(url, pool_size=pool)
    parts = Collaborators(database, keys_of(database), Catalogue([]), Recorder(), SECURITY, clock, PROCESSES)
    return Door(Limits(parts), clock, database)


@pytest.fixture
async def door(database_url: str) -> AsyncIterator[Door]:
    found = door_of(database_url, Clock())
    yield found
    await found.database.close()


async def test_guessing_waits_twice_as_long_each_time_and_no_longer_than_the_longest(door: Door) -> None:
    await door.fails(PAIR.free)
    waited = []
    for _ in range(9):
        seconds = await door.waits()
        waited.append(seconds)
        door.clock.forward(seconds=seconds)
        await door.fails(1)
    assert waited[:5] == pytest.approx([30, 60, 120, 240, 480], abs=1)
    assert waited == sorted(waited)
    assert waited[-1] == pytest.approx(PAIR.longest, abs=1)


async def test_hammering_does_not_prolong_the_wait(door: Door) -> None:
    await door.fails(PAIR.free)
    for _ in range(20):
        assert 0 < await door.waits() <= PAIR.first
    door.clock.forward(seconds=PAIR.first + 1)
    assert await door.waits() == 0


async def test_time_forgets(door: Door) -> None:
    await door.fails(PAIR.free - 1)
    door.clock.forward(seconds=PAIR.forget * PAIR.free)
    await door.fails(PAIR.free - 1)


async def test_a_restart_forgets_nothing_and_two_processes_count_together(
    door: Door, database_url: str
) -> None:
    other = door_of(database_url, door.clock)
    await door.fails(PAIR.free / 2)
    await other.fails(PAIR.free / 2)
    assert await door.waits() > 0
    await other.database.close()
    restarted = door_of(database_url, door.clock)
    assert await restarted.waits() > 0
    await restarted.database.close()


async def test_many_at_once_get_no_further_than_one_after_the_other(database_url: str) -> None:
    door = door_of(database_url, Clock(), pool=10)
    waits = await asyncio.gather(*(door.waits() for _ in range(60)))
    assert waits.count(0) == PAIR.free
    await door.database.close()


async def test_failing_elsewhere_does_not_lock_the_owner_out(door: Door) -> None:
    """A stranger with thousands of addresses slows the account down; not where its owner has been before."""
    passage = await door.limits.login(MARA, HERE)
    await passage.succeeded()
    for number in range(int(ACCOUNT.free) + 5):
        await door.waits(address=f"198.51.100.{number}")
    assert 0 < await door.waits(address=ELSEWHERE) <= ACCOUNT.longest
    assert await door.waits() == 0
    door.clock.forward(seconds=KNOWN_FOR.total_seconds() + 1)
    for number in range(int(ACCOUNT.free) + 5):
        await door.waits(address=f"198.51.100.{number}")
    assert await door.waits() > 0


async def test_a_password_chosen_through_the_mail_lets_the_owner_in_at_a_new_place(door: Door) -> None:
    for number in range(int(ACCOUNT.free) + 5):
        await door.waits(address=f"198.51.100.{number}")
    await door.fails(0)
    assert await door.waits() > 0
    await door.limits.welcome(MARA, HERE)
    assert await door.waits() == 0


async def test_guessing_many_accounts_from_one_address_is_slowed_too(door: Door) -> None:
    for number in range(int(ADDRESS.free)):
        await door.fails(1, f"mara{number}@x.example")
    assert await door.waits("another@x.example") > 0
    assert await door.waits("another@x.example", ELSEWHERE) == 0


async def test_whoever_has_a_network_of_ipv6_has_one_address(door: Door) -> None:
    for number in range(int(PAIR.free)):
        await door.fails(1, address=f"2001:db8:1:2::{number + 1:x}")
    assert await door.waits(address="2001:db8:1:2:ffff::1") > 0
    assert await door.waits(address="2001:db8:1:3::1") == 0


async def test_a_success_takes_its_attempts_back(door: Door) -> None:
    await door.fails(PAIR.free - 1)
    passage = await door.limits.login(MARA, HERE)
    assert await door.waits() > 0
    await passage.succeeded()
    await door.fails(PAIR.free - 1)


async def test_people_behind_one_address_do_not_hold_each_other_up_by_succeeding(door: Door) -> None:
    for number in range(int(ADDRESS.free) * 2):
        passage = await door.limits.login(f"mara{number}@x.example", HERE)
        await passage.succeeded()
    assert await door.waits() == 0


async def test_probing_registration_for_known_addresses_is_slow(door: Door) -> None:
    for _ in range(10):
        await (await door.limits.registration(HERE)).succeeded()
    for _ in range(5):
        await door.limits.registration(HERE)
    with pytest.raises(TooManyRequests):
        await door.limits.registration(HERE)


async def test_codes_and_mails_have_their_own_measures(door: Door) -> None:
    for _ in range(int(CODES.free)):
        await door.limits.code("mara", "phone")
    with pytest.raises(TooManyRequests):
        await door.limits.code("mara", "phone")
    await door.limits.code("mara", "totp")
    for _ in range(int(MAILS_TO.free)):
        await door.limits.mail("account", MARA, HERE)
    with pytest.raises(TooManyRequests):
        await door.limits.mail("account", MARA.upper(), ELSEWHERE)


async def test_the_table_knows_neither_people_nor_addresses(door: Door) -> None:
    passage = await door.limits.login(MARA, HERE)
    await passage.succeeded()
    await door.limits.mail("account", MARA, HERE)
    stored = str(await door.rows())
    assert "login:" in stored
    assert MARA not in stored
    assert "203.0" not in stored


async def test_an_attempt_is_one_statement_and_a_success_another(door: Door) -> None:
    sent: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    engine = door.database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    passage = await door.limits.login(MARA, HERE)
    assert len(sent) == 1, sent
    await passage.succeeded()
    assert len(sent) == 2, sent


async def test_a_row_says_when_it_says_nothing_any_more(door: Door) -> None:
    await door.fails(PAIR.free + 0)
    rows = await door.rows()
    assert all(row["expires_at"] > row["last_at"] for row in rows)
    latest = max(row["expires_at"] for row in rows)
    assert latest < datetime.now(UTC) + timedelta(seconds=PAIR.forget * (PAIR.free + 1) + PAIR.first)


def test_a_bucket_of_one_process_empties_and_refills_with_time() -> None:
    limiter = Limiter(Rate(2, 30))
    limiter.spend("mara", NOON)
    limiter.spend("mara", NOON)
    with pytest.raises(TooManyRequests) as refused:
        limiter.spend("mara", NOON + timedelta(seconds=10))
    assert refused.value.retry_after == 20
    limiter.spend("mara", NOON + timedelta(seconds=30))
    limiter.spend("somebody else", NOON)
