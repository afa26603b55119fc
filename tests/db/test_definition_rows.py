"""Workflows and versions in the database: what was published stays as it was."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError

from db.definitions import Versions, WorkflowFilters, Workflows, WorkflowVersion
from db.engine import create_engine
from db.session import Access, Database, Role
from domain.errors import NotFound, Stale
from tests.factories import rows


class Shelf:
    def __init__(self, database: Database, organization: Any, other: Any) -> None:
        self.database = database
        self.owned = {"organization_id": organization["id"], "created_by": organization["created_by"]}
        self.access = Access(Role.API, organization["id"], organization["created_by"])
        self.elsewhere = Access(Role.API, other["id"], other["created_by"])

    async def workflow(self, **values: Any) -> UUID:
        id = uuid4()
        async with self.database.transaction(self.access) as tx:
            await Workflows(tx).insert(id, {"name": "A", "definition": {"do": []}, **self.owned, **values})
        return id

    async def version(self, workflow_id: UUID, number: int) -> UUID:
        id = uuid4()
        async with self.database.transaction(self.access) as tx:
            await Versions(tx).insert(
                {
                    "id": id,
                    "organization_id": self.owned["organization_id"],
                    "workflow_id": workflow_id,
                    "number": number,
                    "document": {"do": [number]},
                    "compiled": {"engine": 1},
                    "sha256": f"sha-{number}",
                    "published_by": self.owned["created_by"],
                }
            )
        return id


@pytest.fixture
async def shelf(database_url: str, admin_url: str) -> AsyncIterator[Shelf]:
    admin, database = create_engine(admin_url), Database(database_url, pool_size=4)
    try:
        async with admin.begin() as connection:
            acme, other = await rows.organization(connection), await rows.organization(connection)
        yield Shelf(database, acme, other)
    finally:
        await database.close()
        await admin.dispose()


async def test_every_write_counts_the_revision_up(shelf: Shelf) -> None:
    id = await shelf.workflow()
    async with shelf.database.transaction(shelf.access) as tx:
        workflows = Workflows(tx)
        assert (await workflows.change(id, {"name": "B"}, revision=1))["revision"] == 2
        assert (await workflows.change(id, {"name": "C"}))["revision"] == 3
        for revision in (1, 2, 4, 2**40):
            with pytest.raises(Stale):
                await workflows.change(id, {"name": "D"}, revision=revision)
        with pytest.raises(NotFound):
            await workflows.change(uuid4(), {"name": "D"}, revision=1)
        assert (await workflows.get(id))["name"] == "C"
        assert await workflows.standing(id) == ("draft", None)
    async with shelf.database.transaction(shelf.elsewhere) as tx:
        for reading in (Workflows(tx).get(id), Workflows(tx).lock(id), Workflows(tx).standing(id)):
            with pytest.raises(NotFound):
                await reading


async def test_versions_are_found_by_number_and_id_and_never_change(shelf: Shelf) -> None:
    id = await shelf.workflow()
    first, second = await shelf.version(id, 1), await shelf.version(id, 2)
    async with shelf.database.transaction(shelf.access) as tx:
        versions = Versions(tx)
        assert (await versions.get(id, 1))["id"] == first
        assert (await versions.find(second))["document"] == {"do": [2]}
        assert (await versions.summary(second))["sha256"] == "sha-2"
        assert "compiled" not in await versions.summary(second)
        assert await versions.numbers([first, second, uuid4()]) == {first: 1, second: 2}
        newest = await versions.page(id, before=None, limit=1)
        rest = await versions.page(id, before=(newest[0]["created_at"], newest[0]["id"]), limit=5)
        assert [row["number"] for row in (*newest, *rest)] == [2, 1]
    for statement in (update(WorkflowVersion).values(number=9), delete(WorkflowVersion)):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with shelf.database.transaction(shelf.access) as tx:
                await tx.execute(statement)
    async with shelf.database.transaction(shelf.elsewhere) as tx:
        with pytest.raises(NotFound):
            await Versions(tx).find(first)


async def test_pages_hold_no_documents_and_take_wildcards_literally(shelf: Shelf) -> None:
    for name in ("50% off", "Half off", "a_b"):
        await shelf.workflow(name=name)
    async with shelf.database.transaction(shelf.access) as tx:

        async def names(q: str) -> list[str]:
            page = await Workflows(tx).page(WorkflowFilters(q=q), before=None, limit=10)
            assert all("definition" not in row for row in page)
            return [row["name"] for row in page]

        assert await names("%") == ["50% off"]
        assert await names("_") == ["a_b"]
        assert await names("OFF") == ["Half off", "50% off"]
        assert await names("\\") == []
