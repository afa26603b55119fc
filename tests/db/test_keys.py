"""Data keys: one for each organization, bound to their place, found and forgotten across processes."""

import asyncio
import multiprocessing
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.keys import FRESH_SECONDS, DataKeys
from db.session import Database
from db.tenants import EncryptionKey
from domain.errors import NotFound
from domain.keys import MasterKeyMissing, Unreadable, WrongMasterKey
from tests.factories import rows
from tests.faults.proxy import FaultProxy
from workers.secret_values import MasterKey

FIRST = MasterKey("first", b"1" * 32)
SECOND = MasterKey("second", b"2" * 32)
PLACE = "secrets.value/1"


@dataclass
class Hours:
    """A monotonic clock that tests move."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Database]:
    store = Database(database_url, pool_size=4)
    yield store
    await store.close()


@pytest.fixture
async def acme(admin: AsyncEngine) -> UUID:
    async with admin.begin() as connection:
        id: UUID = (await rows.organization(connection))["id"]
    return id


@pytest.fixture
async def other(admin: AsyncEngine) -> UUID:
    async with admin.begin() as connection:
        id: UUID = (await rows.organization(connection))["id"]
    return id


async def test_what_is_sealed_opens_again_and_differs_every_time(store: Database, acme: UUID) -> None:
    keys = DataKeys(store, [FIRST])
    one, two = await keys.seal(acme, b"content", PLACE), await keys.seal(acme, b"content", PLACE)
    assert one != two
    assert b"content" not in one
    assert await keys.open(acme, one, PLACE) == await keys.open(acme, two, PLACE) == b"content"
    assert await keys.open(acme, await keys.seal(acme, b"", PLACE), PLACE) == b""


async def test_sealed_bytes_open_nowhere_else(store: Database, acme: UUID, other: UUID) -> None:
    keys = DataKeys(store, [FIRST])
    sealed = await keys.seal(acme, b"content", PLACE)
    with pytest.raises(Unreadable, match="another organization or place"):
        await keys.open(acme, sealed, "secrets.value/2")
    with pytest.raises(Unreadable, match="shredded, or the value belongs to another organization"):
        await keys.open(other, sealed, PLACE)
    # Not even with a forged key id: the key is another one.
    theirs = await keys.seal(other, b"theirs", PLACE)
    with pytest.raises(Unreadable):
        await keys.open(other, theirs[:17] + sealed[17:], PLACE)


async def test_every_single_byte_is_authenticated(store: Database, acme: UUID) -> None:
    keys = DataKeys(store, [FIRST])
    sealed = await keys.seal(acme, b"content", PLACE)
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(Unreadable):
            await keys.open(acme, bytes(changed), PLACE)
    for length in (0, 1, 28, len(sealed) - 1):
        with pytest.raises(Unreadable):
            await keys.open(acme, sealed[:length], PLACE)


async def test_the_key_stands_wrapped_in_the_database_and_for_its_organization_only(
    admin: AsyncEngine, store: Database, acme: UUID, other: UUID
) -> None:
    keys = DataKeys(store, [FIRST])
    sealed = await keys.seal(acme, b"content", PLACE)
    await keys.seal(other, b"theirs", PLACE)
    async with admin.begin() as connection:
        # Somebody who can write rows gives another organization the wrapped key: it does not unwrap there.
        await connection.execute(
            text(
                "UPDATE encryption_keys AS k SET wrapped_key = a.wrapped_key FROM encryption_keys AS a "
                "WHERE a.organization_id = :acme AND k.organization_id = :other"
            ),
            {"acme": acme, "other": other},
        )
    fresh = DataKeys(store, [FIRST])
    assert await fresh.open(acme, sealed, PLACE) == b"content"
    with pytest.raises(WrongMasterKey, match="does not open the data key"):
        await fresh.seal(other, b"x", PLACE)


async def test_an_unknown_organization_has_no_key(store: Database) -> None:
    with pytest.raises(NotFound):
        await DataKeys(store, [FIRST]).seal(uuid4(), b"x", PLACE)


async def test_another_process_reads_what_was_sealed_and_uses_the_same_key(
    store: Database, acme: UUID
) -> None:
    here, there = DataKeys(store, [FIRST]), DataKeys(store, [FIRST])
    sealed = await here.seal(acme, b"content", PLACE)
    assert (await there.seal(acme, b"x", PLACE))[1:17] == sealed[1:17]
    assert await there.open(acme, sealed, PLACE) == b"content"


def _first_use(url: str, organization_id: UUID, at: float, answers: "multiprocessing.Queue[bytes]") -> None:
    async def run() -> bytes:
        database = Database(url, pool_size=1)
        keys = DataKeys(database, [FIRST])
        await asyncio.sleep(max(0.0, at - time.time()))
        sealed = await keys.seal(organization_id, str(os.getpid()).encode(), PLACE)
        await database.close()
        return sealed

    answers.put(asyncio.run(run()))


async def test_processes_that_need_the_first_key_at_once_make_one(
    store: Database, database_url: str, acme: UUID, admin: AsyncEngine
) -> None:
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[bytes] = context.Queue()
    at = time.time() + 3
    children = [context.Process(target=_first_use, args=(database_url, acme, at, answers)) for _ in range(2)]
    for child in children:
        child.start()
    sealed = [await asyncio.to_thread(answers.get, True, 30) for _ in children]
    for child in children:
        await asyncio.to_thread(child.join)
    # And twenty tasks of this process, each with its own memory.
    sealed += await asyncio.gather(*(DataKeys(store, [FIRST]).seal(acme, b"x", PLACE) for _ in range(20)))
    assert len({each[1:17] for each in sealed}) == 1
    async with admin.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM encryption_keys")) == 1
    opened = {await DataKeys(store, [FIRST]).open(acme, each, PLACE) for each in sealed[:2]}
    assert opened == {str(child.pid).encode() for child in children}


async def test_a_loaded_key_needs_no_statement(
    store: Database, acme: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = DataKeys(store, [FIRST])
    await keys.seal(acme, b"x", PLACE)

    def forbidden(*_: object) -> None:
        raise AssertionError("a statement")

    monkeypatch.setattr(store, "transaction", forbidden)
    sealing = keys.seal(acme, b"content", PLACE)
    # It ends without yielding to the loop even once.
    with pytest.raises(StopIteration) as ended:
        sealing.send(None)  # type: ignore[attr-defined]  # a coroutine, driven by hand
    opening = keys.open(acme, ended.value.value, PLACE)
    with pytest.raises(StopIteration) as opened:
        opening.send(None)  # type: ignore[attr-defined]
    assert opened.value.value == b"content"


@pytest.mark.parametrize("weather", ["silent", "gone"])
async def test_a_loaded_key_serves_while_postgresql_is_away(
    database_url: str, acme: UUID, weather: str
) -> None:
    address = make_url(database_url)
    assert address.port is not None
    async with FaultProxy("postgres", address.port) as proxy:
        through = address.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        database, hours = Database(through, pool_size=1), Hours()
        keys = DataKeys(database, [FIRST], monotonic=hours)
        sealed = await keys.seal(acme, b"content", PLACE)
        hours.now += FRESH_SECONDS
        if weather == "silent":
            async with proxy.stalled():
                started = time.monotonic()
                assert await keys.open(acme, sealed, PLACE) == b"content"
                assert 0.5 < time.monotonic() - started < 3, "asked, and asked in vain"
                await keys.seal(acme, b"more", PLACE)
                assert time.monotonic() - started < 3.1, "the next one is not held up"
    if weather == "gone":
        assert await keys.open(acme, await keys.seal(acme, b"more", PLACE), PLACE) == b"more"
    await database.close()


async def test_a_rotation_elsewhere_is_noticed_within_a_minute(
    admin: AsyncEngine, store: Database, acme: UUID
) -> None:
    hours = Hours()
    here = DataKeys(store, [FIRST], monotonic=hours)
    old = await here.seal(acme, b"old", PLACE)
    await _rotate(admin, acme)
    there = DataKeys(store, [FIRST])
    new = await there.seal(acme, b"new", PLACE)
    assert new[1:17] != old[1:17]
    assert await here.open(acme, new, PLACE) == b"new", "an unknown key is looked for at once"
    assert (await here.seal(acme, b"x", PLACE))[1:17] == new[1:17], "and is then the current one"
    await _rotate(admin, acme)
    assert (await here.seal(acme, b"x", PLACE))[1:17] == new[1:17]
    hours.now += FRESH_SECONDS
    assert (await here.seal(acme, b"x", PLACE))[1:17] not in (new[1:17], old[1:17])
    assert await here.open(acme, old, PLACE) == b"old", "retired keys still open"


async def test_a_shredded_key_is_forgotten_within_a_minute(
    admin: AsyncEngine, store: Database, acme: UUID
) -> None:
    hours = Hours()
    keys = DataKeys(store, [FIRST], monotonic=hours)
    sealed = await keys.seal(acme, b"content", PLACE)
    async with admin.begin() as connection:
        await connection.execute(text("DELETE FROM encryption_keys"))
    assert await keys.open(acme, sealed, PLACE) == b"content"
    hours.now += FRESH_SECONDS
    with pytest.raises(Unreadable, match="shredded"):
        await keys.open(acme, sealed, PLACE)


async def test_a_master_key_that_is_missing_is_named_with_its_mend(
    store: Database, acme: UUID, other: UUID
) -> None:
    sealed = await DataKeys(store, [FIRST]).seal(acme, b"content", PLACE)
    without = DataKeys(store, [SECOND])
    for attempt in (without.prefetch(), without.open(acme, sealed, PLACE), without.seal(acme, b"x", PLACE)):
        with pytest.raises(MasterKeyMissing, match=r"'first'.*Put it back"):
            await attempt
    assert await without.missing_masters() == {"first": 1}
    assert await without.open(other, await without.seal(other, b"x", PLACE), PLACE) == b"x"
    both = DataKeys(store, [SECOND, FIRST])
    await both.prefetch()
    assert await both.open(acme, sealed, PLACE) == b"content"


async def test_a_master_key_of_the_same_name_is_not_the_same_key(store: Database, acme: UUID) -> None:
    sealed = await DataKeys(store, [FIRST]).seal(acme, b"content", PLACE)
    wrong = DataKeys(store, [MasterKey("first", b"x" * 32)])
    for attempt in (wrong.open(acme, sealed, PLACE), wrong.seal(acme, b"x", PLACE), wrong.prefetch()):
        # Nothing was forged and nothing is lost: where this was Unreadable, authentic webhooks were refused.
        with pytest.raises(WrongMasterKey, match=r"'first'.*not the key that bore it"):
            await attempt
    for attempt in (wrong.verify(), wrong.verify(acme)):
        with pytest.raises(MasterKeyMissing):
            await attempt
    assert await DataKeys(store, [FIRST]).verify() == 1


async def test_equal_values_are_found_by_a_fingerprint_that_says_nothing(
    admin: AsyncEngine, store: Database, acme: UUID, other: UUID
) -> None:
    keys = DataKeys(store, [FIRST])
    one = await keys.fingerprint(acme, b"12-3456789", "clients.tax_id")
    assert one == await keys.fingerprint(acme, b"12-3456789", "clients.tax_id")
    assert one not in (
        await keys.fingerprint(acme, b"12-3456788", "clients.tax_id"),
        await keys.fingerprint(acme, b"12-3456789", "users.national_id"),
        await keys.fingerprint(other, b"12-3456789", "clients.tax_id"),
    )
    await _rotate(admin, acme)
    keys.forget(acme)
    assert await keys.fingerprint(acme, b"12-3456789", "clients.tax_id") != one
    assert one in await keys.fingerprints(acme, b"12-3456789", "clients.tax_id")


async def _rotate(admin: AsyncEngine, organization_id: UUID) -> None:
    async with admin.begin() as connection:
        await connection.execute(text("UPDATE encryption_keys SET status = 'retired', retired_at = now()"))
        row = DataKeys(Database("postgresql://nobody@127.0.0.1/none"), [FIRST]).new_row(organization_id)
        await connection.execute(insert(EncryptionKey).values(row))
