"""Rotation while everything runs: nothing becomes unreadable, nothing stays under an old key, shredding is final."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import LargeBinary, Table, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from db.clients import Client
from db.keys import FRESH_SECONDS, DataKeys
from db.rotation import Rotation
from db.sealed import SEALED_COLUMNS, place
from db.secrets import SecretVersion
from db.session import Database
from db.tables import metadata
from db.tenants import PLATFORM
from domain.errors import Conflict
from domain.keys import MasterKeyMissing, Unreadable
from tests.factories import rows
from workers.secret_values import MasterKey

OLD = MasterKey("old", b"1" * 32)
NEW = MasterKey("new", b"2" * 32)
COLUMNS = [column.name for column in SEALED_COLUMNS]
#: Bytes that no data key sealed.
UNSEALED = {"clients.tax_id_index", "encryption_keys.wrapped_key"}


def test_no_sealed_column_is_forgotten() -> None:
    columns = [column for table in metadata.sorted_tables for column in table.columns]
    assert {str(column) for column in columns if column.info.get("sealed")} == set(COLUMNS)
    binary = {str(column) for column in columns if isinstance(column.type, LargeBinary)}
    assert binary <= set(COLUMNS) | UNSEALED, "is it sealed? then it is `Sealed`, and `db.sealed` names it"


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Database]:
    store = Database(database_url, pool_size=6)
    yield store
    await store.close()


@pytest.fixture
async def acme(admin: AsyncEngine) -> UUID:
    async with admin.begin() as connection:
        id: UUID = (await rows.organization(connection))["id"]
    return id


def sealer(table: Table, organization_id: UUID) -> UUID:
    """Whose key seals the table's columns: the organization's, or the platform's for what belongs to people."""
    return organization_id if "organization_id" in table.c or table.name == "organizations" else PLATFORM


def counted(count: int) -> dict[str, int]:
    """So many values in every sealed column; an organization has one row about itself."""
    return {name: 1 if name.startswith("organizations.") else count for name in COLUMNS}


async def filled(admin: AsyncEngine, keys: DataKeys, organization_id: UUID, count: int) -> None:
    """So many of everything that is sealed, `value 0` and so on."""
    async with admin.begin() as connection:
        for table in dict.fromkeys(column.table for column in SEALED_COLUMNS):
            owner = sealer(table, organization_id)
            if table.name == "organizations":
                values = await sealed_values(keys, owner, table, organization_id, b"value 0")
                await connection.execute(update(table).where(table.c.id == organization_id).values(values))
                continue
            for number in range(count):
                id, content = uuid4(), b"value %d" % number
                values = await sealed_values(keys, owner, table, id, content)
                if table.name == "clients":
                    values["company_name"] = content.decode()
                await rows.row(connection, table.name, organization_id, id=id, **values)


async def sealed_values(
    keys: DataKeys, owner: UUID, table: Table, id: UUID, content: bytes
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for column in SEALED_COLUMNS:
        if column.table is table:
            sealed = await keys.seal(owner, content, place(table.name, column.column, id))
            values[column.column] = column.written(sealed)
            if column.index is not None:
                values[column.index] = await keys.fingerprint(owner, content, column.name)
    return values


async def test_a_new_data_key_seals_every_column_again(
    admin: AsyncEngine, store: Database, acme: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.rotation.BATCH", 3)
    keys = DataKeys(store, [OLD])
    await filled(admin, keys, acme, 10)
    before = await keys.current_key_id(acme)
    done = await Rotation(store, keys).data()
    assert done.as_json() == {
        "organizations": 2,
        "data_keys_made": 2,
        "values_sealed_again": counted(10),
        "unreadable": [],
    }
    fresh = DataKeys(store, [OLD])
    assert await fresh.current_key_id(acme) != before
    async with admin.connect() as connection:
        for column in SEALED_COLUMNS:
            table = column.table
            owner = sealer(table, acme)
            filled_in = select(table.c.id, table.c[column.column]).where(table.c[column.column].is_not(None))
            stored = (await connection.execute(filled_in)).all()
            assert len(stored) == counted(10)[column.name]
            for id, value in stored:
                sealed = column.read(value)
                assert UUID(bytes=sealed[1:17]) == await fresh.current_key_id(owner)
                where = place(table.name, column.column, id)
                assert (await fresh.open(owner, sealed, where)).startswith(b"value ")
        index = await fresh.fingerprint(acme, b"value 7", "clients.tax_id")
        found = await connection.scalars(select(Client.company_name).where(Client.tax_id_index == index))
        assert list(found) == ["value 7"]
    # What was interrupted goes on: there is nothing left, and no key is made for finding that out.
    again = await Rotation(store, keys).data(renew=False)
    assert (again.keys, again.values, again.unreadable) == (0, {}, [])


async def test_an_unreadable_value_is_told_and_does_not_hold_up_the_others(
    admin: AsyncEngine, store: Database, acme: UUID
) -> None:
    keys = DataKeys(store, [OLD])
    await filled(admin, keys, acme, 3)
    async with admin.begin() as connection:
        for table, column, broken in (
            ("secret_versions", "value", "'\\x01'"),
            ("clients", "tax_id", "'plain'"),
        ):
            changed = (
                f"UPDATE {table} SET {column} = {broken} WHERE id = (SELECT min(id::text)::uuid FROM {table})"
            )
            await connection.execute(text(changed))
    done = await Rotation(store, keys).data()
    assert done.values == {**counted(3), "secret_versions.value": 2, "clients.tax_id": 2}
    assert sorted(each.split("/")[0] for each in done.unreadable) == [
        "clients.tax_id",
        "secret_versions.value",
    ]


async def test_only_the_wanted_organization_gets_a_new_key(
    admin: AsyncEngine, store: Database, acme: UUID
) -> None:
    async with admin.begin() as connection:
        other = (await rows.organization(connection))["id"]
    keys = DataKeys(store, [OLD])
    before = await keys.current_key_id(acme), await keys.current_key_id(other)
    done = await Rotation(store, keys).data(acme)
    fresh = DataKeys(store, [OLD])
    assert done.organizations == 1
    assert await fresh.current_key_id(acme) != before[0]
    assert await fresh.current_key_id(other) == before[1]


async def test_master_and_data_keys_change_while_four_tasks_seal_and_open(
    admin: AsyncEngine, store: Database, acme: UUID
) -> None:
    hours = _Hours()
    # Another process than the rotation's own, which knows both master keys, as a rolling restart leaves it.
    working = DataKeys(store, [OLD, NEW], monotonic=hours)
    await filled(admin, working, acme, 30)
    opened: list[int] = [0, 0, 0, 0]
    used: set[bytes] = set()
    stopping = asyncio.Event()

    async def work(number: int) -> None:
        kept: list[bytes] = []
        while not stopping.is_set():
            content = b"%d:%d" % (number, opened[number])
            kept.append(await working.seal(acme, content, f"place/{number}"))
            used.add(kept[-1][1:17])
            for sealed in (kept[0], kept[-1], kept[len(kept) // 2]):
                assert (await working.open(acme, sealed, f"place/{number}")).startswith(b"%d:" % number)
            opened[number] += 1
            if opened[number] % 25 == 0:
                hours.now += FRESH_SECONDS / 10
            await asyncio.sleep(0)

    workers = [asyncio.create_task(work(number)) for number in range(4)]
    rotating = DataKeys(store, [NEW, OLD])
    rotation = Rotation(store, rotating)
    try:
        assert await rotation.master() == 2, "the organization's key, and the platform's"
        for _ in range(3):
            done = await rotation.data()
            assert done.values == counted(30)
            seen = list(opened)
            ends = asyncio.get_running_loop().time() + 20
            while min(now - then for now, then in zip(opened, seen, strict=True)) < 300:
                assert not any(task.done() for task in workers)
                assert asyncio.get_running_loop().time() < ends, opened
                await asyncio.sleep(0.01)
    finally:
        stopping.set()
        await asyncio.gather(*workers)
    assert await rotation.master() == 0
    assert len(used) == 4, "the first key and each of the three new ones sealed something"
    # The old master key is dispensable now.
    only_new = DataKeys(store, [NEW])
    await only_new.prefetch()
    assert await only_new.missing_masters() == {}


@pytest.mark.parametrize("given", [MasterKey("old", b"x" * 32), NEW])
async def test_with_a_wrong_master_key_nothing_is_changed(
    admin: AsyncEngine, store: Database, acme: UUID, given: MasterKey
) -> None:
    async with admin.begin() as connection:
        other = (await rows.organization(connection))["id"]
    await filled(admin, DataKeys(store, [OLD]), acme, 2)
    await DataKeys(store, [OLD]).seal(other, b"x", "x")
    before = await _everything(admin)
    rotation = Rotation(store, DataKeys(store, [given]))
    for attempt in (
        rotation.master(),
        rotation.data(),
        rotation.data(renew=False),
        rotation.data(acme),
    ):
        with pytest.raises(MasterKeyMissing):
            await attempt
        assert await _everything(admin) == before, attempt


async def test_the_wrong_key_of_one_organization_holds_up_all(
    admin: AsyncEngine, store: Database, acme: UUID
) -> None:
    async with admin.begin() as connection:
        other = (await rows.organization(connection))["id"]
    await DataKeys(store, [OLD]).seal(acme, b"x", "x")
    await DataKeys(store, [MasterKey("second", b"3" * 32)]).seal(other, b"x", "x")
    before = await _everything(admin)
    for given in ([OLD, MasterKey("second", b"4" * 32)], [NEW, OLD]):
        for attempt in (
            Rotation(store, DataKeys(store, given)).data,
            Rotation(store, DataKeys(store, given)).master,
        ):
            with pytest.raises(MasterKeyMissing, match="'second'"):
                await attempt()
            assert await _everything(admin) == before


async def _everything(admin: AsyncEngine) -> list[str]:
    async with admin.connect() as connection:
        return [
            row
            for table in ("encryption_keys", *(column.table.name for column in SEALED_COLUMNS))
            for row in await connection.scalars(
                text(f"SELECT to_jsonb(t)::text FROM {table} AS t ORDER BY 1")
            )
        ]


class _Hours:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_shredding_is_final_and_says_so(admin: AsyncEngine, store: Database, acme: UUID) -> None:
    keys = DataKeys(store, [OLD])
    async with admin.begin() as connection:
        other = (await rows.organization(connection))["id"]
    await filled(admin, keys, acme, 2)
    theirs = await keys.seal(other, b"theirs", "x")
    assert await Rotation(store, keys).shred(acme) == 1
    async with admin.connect() as connection:
        stored = (await connection.execute(select(SecretVersion.id, SecretVersion.value))).all()
    with pytest.raises(Conflict, match="belongs to people"):
        await Rotation(store, keys).shred(PLATFORM)
    for ring in (keys, DataKeys(store, [OLD])):
        for id, sealed in stored:
            with pytest.raises(Unreadable, match="was shredded"):
                await ring.open(acme, sealed, place("secret_versions", "value", id))
        assert await ring.open(other, theirs, "x") == b"theirs"


async def test_keys_of_a_lost_master_key_are_given_up_by_name(store: Database, acme: UUID) -> None:
    lost = DataKeys(store, [OLD])
    await lost.seal(acme, b"x", "x")
    keys = DataKeys(store, [NEW])
    assert await Rotation(store, keys).give_up("old") == 1
    await keys.prefetch()
    assert await keys.open(acme, await keys.seal(acme, b"y", "x"), "x") == b"y"


async def test_a_sealed_value_copied_to_another_row_does_not_open(
    admin: AsyncEngine, store: Database, acme: UUID
) -> None:
    keys = DataKeys(store, [OLD])
    await filled(admin, keys, acme, 2)
    async with admin.begin() as connection:
        await connection.execute(
            text("UPDATE secret_versions SET value = (SELECT value FROM secret_versions ORDER BY id LIMIT 1)")
        )
        stored = (await connection.execute(select(SecretVersion).order_by(SecretVersion.id))).mappings().all()
    homes = [place("secret_versions", "value", row["id"]) for row in stored]
    assert await keys.open(acme, stored[0]["value"], homes[0])
    with pytest.raises(Unreadable):
        await keys.open(acme, stored[1]["value"], homes[1])
