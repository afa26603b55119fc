"""Clients in the database, as actions write them: an occurrence that runs twice creates one client."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.clients import ClientInUse, ClientNumberTaken, Clients, Contacts
from db.clientsearch import ClientFilter
from db.clientsearch import clients as found
from db.engine import create_engine
from db.session import Access, Database, Role
from domain.errors import Invalid, NotFound, Stale
from tests.factories import rows


class Desk:
    def __init__(self, database: Database, ours: Any, other: Any) -> None:
        self.database = database
        self.organization_id: UUID = ours["id"]
        self.stranger: UUID = other["created_by"]
        self.access = Access(Role.API, ours["id"], ours["created_by"])
        self.worker = Access(Role.WORKER, ours["id"])
        self.elsewhere = Access(Role.API, other["id"], self.stranger)

    async def insert_once(self, id: UUID, **values: object) -> bool:
        async with self.database.transaction(self.worker) as tx:
            return await Clients(tx).insert_once(
                id, {"organization_id": self.organization_id, "name": "Ada", **values}
            )


@pytest.fixture
async def desk(database_url: str, admin_url: str) -> AsyncIterator[Desk]:
    admin, database = create_engine(admin_url), Database(database_url, pool_size=4)
    try:
        async with admin.begin() as connection:
            acme, other = await rows.organization(connection), await rows.organization(connection)
        yield Desk(database, acme, other)
    finally:
        await database.close()
        await admin.dispose()


async def test_inserting_an_id_twice_keeps_the_first(desk: Desk) -> None:
    id = uuid4()
    assert await desk.insert_once(id, name="Ada") is True
    assert await desk.insert_once(id, name="Somebody else") is False
    async with desk.database.transaction(desk.access) as tx:
        assert (await Clients(tx).get(id))["name"] == "Ada"
    async with desk.database.transaction(desk.elsewhere) as tx:
        with pytest.raises(NotFound):
            await Clients(tx).get(id)


async def test_a_taken_number_is_refused_and_a_savepoint_survives_it(desk: Desk) -> None:
    await desk.insert_once(uuid4(), client_number="C-1")
    async with desk.database.transaction(desk.access) as tx:
        clients = Clients(tx)
        with pytest.raises(ClientNumberTaken):
            async with tx.begin_nested():
                await clients.insert_once(
                    uuid4(), {"organization_id": desk.organization_id, "name": "B", "client_number": "C-1"}
                )
        assert len((await tx.execute(found(ClientFilter()))).all()) == 1


async def test_a_manager_must_be_a_member(desk: Desk) -> None:
    with pytest.raises(Invalid):
        await desk.insert_once(uuid4(), assigned_manager=desk.stranger)
    id = uuid4()
    await desk.insert_once(id)
    async with desk.database.transaction(desk.access) as tx:
        with pytest.raises(Invalid):
            await Clients(tx).change(id, {"assigned_manager": desk.stranger})


async def test_changes_count_only_from_what_was_seen(desk: Desk) -> None:
    id = uuid4()
    await desk.insert_once(id)
    async with desk.database.transaction(desk.access) as tx:
        seen = (await Clients(tx).get(id))["updated_at"]
    async with desk.database.transaction(desk.access) as tx:
        changed = await Clients(tx).change(id, {"city": "London"}, seen=seen)
        assert changed["updated_at"] > seen
    async with desk.database.transaction(desk.access) as tx:
        clients = Clients(tx)
        with pytest.raises(Stale):
            await clients.change(id, {"city": "Paris"}, seen=seen)
        with pytest.raises(Stale):
            await clients.remove(id, seen=changed["updated_at"] + timedelta(microseconds=1))
        with pytest.raises(NotFound):
            await clients.change(uuid4(), {"city": "Paris"})
        assert (await clients.change(id, {"city": "Rome"}))["city"] == "Rome"
    async with desk.database.transaction(desk.elsewhere) as tx:
        with pytest.raises(NotFound):
            await Clients(tx).remove(id)


async def test_a_client_with_contacts_stays(desk: Desk) -> None:
    id, contact = uuid4(), uuid4()
    await desk.insert_once(id)
    person = {"organization_id": desk.organization_id, "first_name": "A", "last_name": "B", "client_id": id}
    async with desk.database.transaction(desk.access) as tx:
        await Contacts(tx).insert(contact, person)
        with pytest.raises(ClientInUse):
            async with tx.begin_nested():
                await Clients(tx).remove(id)
        with pytest.raises(Invalid):
            async with tx.begin_nested():
                await Contacts(tx).change(contact, {"client_id": uuid4()})
        await Contacts(tx).remove(contact)
        await Clients(tx).remove(id)
