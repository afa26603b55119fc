"""Searching clients: through an index although rows are hidden from others, and never in another organization."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.clients import CLIENT_WORDS
from db.clientsearch import ClientFilter, ContactFilter, clients, contacts, words_of
from db.engine import create_engine
from db.session import Access, Database, Role
from tests.factories import rows

#: Enough that a sequential scan would be the wrong plan, in several organizations.
EACH = 20_000
ORGANIZATIONS = 3
INNER = f"SELECT id FROM public.clients WHERE organization_id = $1 AND ({CLIENT_WORDS}) ILIKE $2"


@dataclass(frozen=True)
class Crowd:
    admin: AsyncEngine
    database: Database
    organizations: list[Any]

    def access(self, number: int) -> Access:
        organization = self.organizations[number]
        return Access(Role.API, organization["id"], organization["created_by"])

    async def found(self, number: int, q: str) -> list[Any]:
        async with self.database.transaction(self.access(number)) as tx:
            return list((await tx.execute(clients(ClientFilter(q=q)))).mappings())


@pytest.fixture
async def crowd(request: pytest.FixtureRequest, admin_url: str, database_url: str) -> AsyncIterator[Crowd]:
    """The same names in each of three organizations, and one that only the second has."""
    each = getattr(request, "param", 100)
    admin, database = create_engine(admin_url), Database(database_url, pool_size=2)
    async with admin.begin() as connection:
        made = [await rows.organization(connection) for _ in range(ORGANIZATIONS)]
        # Neither audit nor foreign keys are what is tested here, and they take their time.
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        for organization in made:
            await connection.execute(
                text(
                    "INSERT INTO clients (organization_id, name, client_number, email) "
                    "SELECT :organization, 'Client ' || md5(n::text), 'N-' || n, "
                    "'person' || n || '@' || substr(md5((n * 7)::text), 1, 8) || '.example' "
                    "FROM generate_series(1, :each) AS n"
                ),
                {"organization": organization["id"], "each": each},
            )
        await rows.client(connection, made[1]["id"], name="Zebrafink & Söhne", email="only@second.example")
    async with admin.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE clients"))
    yield Crowd(admin, database, made)
    await database.close()
    await admin.dispose()


async def uses(connection: AsyncConnection) -> int:
    await connection.execute(text("SELECT pg_stat_force_next_flush()"))
    statement = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'ix_clients_words'"
    return int(await connection.scalar(text(statement)) or 0)


async def no_index_serves_without_the_function(crowd: Crowd) -> None:
    """ILIKE is not leakproof, so row level security comes first."""
    async with crowd.database.transaction(crowd.access(0)) as tx:
        statement = f"EXPLAIN SELECT id FROM clients WHERE ({CLIENT_WORDS}) ILIKE '%1f0e3d%'"
        plan = "\n".join((await tx.exec_driver_sql(statement)).scalars())
    assert "ix_clients_words" not in plan or "Index Cond: (organization_id" in plan
    assert "~~*" not in plan.partition("Index Cond")[2].partition("Filter")[0]


@pytest.mark.parametrize("crowd", [EACH], indirect=True)
async def test_a_search_among_sixty_thousand_clients_uses_the_index(crowd: Crowd) -> None:
    organization = crowd.organizations[0]["id"]
    async with crowd.admin.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        plan = "\n".join(
            (
                await connection.exec_driver_sql(
                    f"EXPLAIN (ANALYZE) {INNER}".replace("$1", f"'{organization}'").replace(
                        "$2", "'%1f0e3d%'"
                    )
                )
            ).scalars()
        )
        assert "ix_clients_words" in plan, plan
        assert "Seq Scan" not in plan
        before = await uses(connection)
        assert len(await crowd.found(0, "1f0e3d")) >= 1
        await asyncio.sleep(0.1)
        async with crowd.database.transaction(crowd.access(0)) as tx:
            await tx.execute(text("SELECT pg_stat_force_next_flush()"))
        for _ in range(100):
            if await uses(connection) > before:
                break
            await asyncio.sleep(0.05)
        assert await uses(connection) > before, "the function itself did not use the index"
    await no_index_serves_without_the_function(crowd)


async def test_no_organization_finds_what_is_anothers(crowd: Crowd) -> None:
    assert [len(await crowd.found(n, "zebrafink")) for n in range(ORGANIZATIONS)] == [0, 1, 0]
    # Of the function itself, before row level security looks at the rows again.
    async with crowd.database.transaction(crowd.access(0)) as tx:
        assert (await tx.execute(text("SELECT app.search_clients(ARRAY['%zebra%'])"))).all() == []
        assert len((await tx.execute(text("SELECT app.search_clients(ARRAY['%person17@%'])"))).all()) == 1
    everything = [await crowd.found(n, "person17@") for n in range(ORGANIZATIONS)]
    assert [len(found) for found in everything] == [1, 1, 1]
    assert len({row["id"] for found in everything for row in found}) == ORGANIZATIONS
    async with crowd.database.transaction(Access(Role.API, None, crowd.organizations[1]["created_by"])) as tx:
        # Nobody who has not entered finds anything, not even through the function.
        assert (await tx.execute(text("SELECT app.search_clients(ARRAY['%zebra%'])"))).all() == []


async def test_every_word_has_to_be_there_and_signs_mean_themselves(crowd: Crowd) -> None:
    assert len(await crowd.found(1, "SÖHNE zebra second.example")) == 1
    assert len(await crowd.found(1, "söhne zebra first.example")) == 0
    assert await crowd.found(1, "zebra%fink") == []
    assert len(await crowd.found(1, "& z")) == 1
    assert words_of("a_ 100% b\\") == ["%100\\%%", "%a\\_%", "%b\\\\%"]


async def test_a_worker_has_no_part_in_the_search(crowd: Crowd) -> None:
    organization = crowd.organizations[0]
    with pytest.raises(DBAPIError, match="permission denied"):
        async with crowd.database.transaction(Access(Role.WORKER, organization["id"])) as tx:
            await tx.execute(text("SELECT app.search_clients(ARRAY['%a%'])"))


async def test_contacts_are_searched_the_same_way(admin_url: str, database_url: str) -> None:
    admin, database = create_engine(admin_url), Database(database_url, pool_size=1)
    async with admin.begin() as connection:
        ours, other = await rows.organization(connection), await rows.organization(connection)
        for each in (ours, other):
            await rows.row(connection, "contacts", each["id"], first_name="Ada", last_name="Lovelace")
    for each in (ours, other):
        async with database.transaction(Access(Role.API, each["id"], each["created_by"])) as tx:
            found = (await tx.execute(contacts(ContactFilter(q="love ADA")))).mappings().all()
            assert [row["organization_id"] for row in found] == [each["id"]]
    await database.close()
    await admin.dispose()
