"""app.enter: who gets in, and that nothing of a transaction's context outlives it."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.clients import Client
from db.identity import User
from db.session import Access, Database, Role
from db.tenants import Membership, Organization
from domain.errors import Forbidden
from domain.tenants import MembershipStatus
from tests.factories import rows

CONTEXT = text(
    "SELECT current_user, coalesce(current_setting('app.org_id', true), ''), "
    "coalesce(current_setting('app.user_id', true), ''), coalesce(current_setting('app.actor', true), ''), "
    "coalesce(current_setting('app.origin', true), '')"
)
LEFT_ALONE = ("perdure_app", "", "", "", "")
SYSTEM = Access(Role.SYSTEM)


async def test_a_member_becomes_role_organization_and_user(admin: AsyncEngine, narrow: Database) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
    access = Access(Role.API, acme["id"], acme["created_by"])
    async with narrow.transaction(access) as tx:
        context = (await tx.execute(CONTEXT)).one()
    assert tuple(context) == ("app_api", str(acme["id"]), str(acme["created_by"]), "user", "")


async def test_who_entered_as_the_release_before_does_is_known_by_the_role(
    admin: AsyncEngine, app: AsyncEngine
) -> None:
    """Three arguments, as long as processes of both releases run."""
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
    async with app.begin() as connection:
        await connection.execute(text("SELECT app.enter('app_worker', :org, NULL)"), {"org": acme["id"]})
        assert tuple((await connection.execute(CONTEXT)).one())[3:] == ("worker", "")


@pytest.mark.parametrize("role", [Role.API, Role.WORKER, Role.SYSTEM])
async def test_a_user_without_membership_is_refused_in_every_role(
    admin: AsyncEngine, narrow: Database, role: Role
) -> None:
    async with admin.begin() as connection:
        acme, other = await rows.organization(connection), await rows.organization(connection)
    with pytest.raises(Forbidden):
        async with narrow.transaction(Access(role, other["id"], acme["created_by"])):
            pytest.fail("entered")


@pytest.mark.parametrize("status", [MembershipStatus.PENDING, MembershipStatus.SUSPENDED])
async def test_only_an_active_membership_counts(
    admin: AsyncEngine, narrow: Database, status: MembershipStatus
) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        ada = await rows.member(connection, acme["id"], status=status)
    with pytest.raises(Forbidden):
        async with narrow.transaction(Access(Role.API, acme["id"], ada["user_id"])):
            pytest.fail("entered")


@pytest.mark.parametrize("table", [User, Organization])
async def test_a_closed_account_or_organization_lets_nobody_in(
    admin: AsyncEngine, narrow: Database, table: type[User] | type[Organization]
) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        await connection.execute(update(table).values(is_active=False))
    with pytest.raises(Forbidden):
        async with narrow.transaction(Access(Role.API, acme["id"], acme["created_by"])):
            pytest.fail("entered")


async def test_an_unknown_user_is_refused_also_without_an_organization(narrow: Database) -> None:
    with pytest.raises(Forbidden):
        async with narrow.transaction(Access(Role.API, None, uuid4())):
            pytest.fail("entered")


async def test_a_worker_must_name_its_organization(narrow: Database) -> None:
    with pytest.raises(DBAPIError, match="a worker acts for one organization"):
        async with narrow.transaction(Access(Role.WORKER)):
            pytest.fail("entered")


async def test_the_api_must_name_the_member_it_acts_for(admin: AsyncEngine, narrow: Database) -> None:
    """A route that forgets the user must not thereby skip the check of the membership."""
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
    with pytest.raises(DBAPIError, match="as one of its members"):
        async with narrow.transaction(Access(Role.API, acme["id"])):
            pytest.fail("entered")


async def test_the_login_itself_may_nothing_and_become_nobody_else(app: AsyncEngine) -> None:
    async with app.connect() as connection:
        with pytest.raises(DBAPIError, match="permission denied"):
            await connection.execute(select(Client))
        await connection.rollback()
        with pytest.raises(DBAPIError, match="permission denied to set role"):
            await connection.execute(text("SET ROLE app_owner"))
        await connection.rollback()
        with pytest.raises(DBAPIError, match="not a role of the application"):
            await connection.execute(text("SELECT app.enter('app_owner', NULL, NULL)"))


async def test_the_system_writes_for_two_organizations_only_as_system(
    admin: AsyncEngine, narrow: Database
) -> None:
    """A coalesced write needs the system role; as a worker it reaches one organization's rows."""
    async with admin.begin() as connection:
        tenants = [await rows.organization(connection) for _ in range(2)]
        executions = [await rows.execution(connection, tenant["id"]) for tenant in tenants]
    touch = text("UPDATE workflow_executions SET updated_at = now() WHERE id = ANY(:ids)")
    ids = {"ids": [execution["id"] for execution in executions]}
    async with narrow.transaction(Access(Role.SYSTEM)) as tx:
        assert (await tx.execute(touch, ids)).rowcount == len(tenants)
    async with narrow.transaction(Access(Role.WORKER, tenants[0]["id"])) as tx:
        assert (await tx.execute(touch, ids)).rowcount == 1


async def test_nothing_remains_after_commit_rollback_or_refusal(
    admin: AsyncEngine, app: AsyncEngine, narrow: Database
) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
    access = Access(Role.API, acme["id"], acme["created_by"])
    async with narrow.transaction(access) as tx:
        await tx.execute(select(Client))
    assert await left(narrow) == LEFT_ALONE
    with pytest.raises(DBAPIError):
        async with narrow.transaction(access) as tx:
            await tx.execute(text("SELECT 1/0"))
    assert await left(narrow) == LEFT_ALONE
    with pytest.raises(Forbidden):
        async with narrow.transaction(Access(Role.API, uuid4(), acme["created_by"])):
            pass
    assert await left(narrow) == LEFT_ALONE


async def test_connections_that_died_in_the_pool_are_replaced_unnoticed(
    admin: AsyncEngine, database_url: str
) -> None:
    """As after a restart of the server: the transaction that finds out begins again on a new connection."""
    database = Database(database_url, pool_size=3)
    async with database.transaction(SYSTEM), database.transaction(SYSTEM), database.transaction(SYSTEM):
        pass
    async with admin.begin() as connection:
        killed = await connection.scalars(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE usename = 'perdure_app' AND datname = current_database()"
            )
        )
        assert list(killed) == [True, True, True]
    for _ in range(4):
        async with database.transaction(SYSTEM) as tx:
            assert await tx.scalar(text("SELECT current_user")) == "app_system"
    await database.close()


async def test_what_fails_inside_the_transaction_is_not_repeated(
    database_url: str, admin: AsyncEngine
) -> None:
    """Once the caller's statements began, a lost connection is the caller's to know."""
    database = Database(database_url, pool_size=1)
    begun = []

    async def lose_it() -> None:
        async with database.transaction(SYSTEM) as tx:
            begun.append(await tx.scalar(text("SELECT pg_backend_pid()")))
            async with admin.begin() as connection:
                await connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": begun[-1]})
            await tx.execute(text("SELECT 1"))

    with pytest.raises(DBAPIError):
        await lose_it()
    assert len(begun) == 1
    await database.close()


async def left(database: Database) -> tuple[str, ...]:
    """What the pool's only connection says about itself between transactions."""
    async with database._engine.connect() as connection:
        return tuple((await connection.execute(CONTEXT)).one())


async def test_five_hundred_interleaved_tasks_never_see_each_other_on_one_connection(
    admin: AsyncEngine, narrow: Database
) -> None:
    async with admin.begin() as connection:
        tenants = [await rows.organization(connection) for _ in range(2)]
        for tenant in tenants:
            await rows.client(connection, tenant["id"])
    await left(narrow)  # opens the connection, so that no early cancellation hits that instead
    chance = random.Random(20261122)
    backends: set[int] = set()
    seen = [0]

    async def visit(access: Access, ending: str) -> None:
        async with narrow.transaction(access) as tx:
            backends.add(await tx.scalar(text("SELECT pg_backend_pid()")) or 0)
            await expect_only(tx, access.organization_id)
            seen[0] += 1
            if ending == "error":
                await tx.execute(text("SELECT 1/0"))
            if ending == "fault":
                raise RuntimeError("the caller failed")
            if ending == "cancel":
                async with asyncio.timeout(0.005):
                    await tx.execute(text("SELECT pg_sleep(10)"))

    async def run(access: Access, ending: str) -> None:
        with suppress(DBAPIError, RuntimeError, TimeoutError):
            async with asyncio.timeout(chance.random() / 2 if ending == "leave" else None):
                await visit(access, ending)

    await asyncio.gather(*(run(*choice) for choice in choices(chance, list(tenants), 500)))
    assert seen[0] > 400, "most tasks must have come through"
    assert len(backends) < 100, "connections must have been reused, or nothing was tested"
    assert await left(narrow) == LEFT_ALONE


def choices(chance: random.Random, tenants: list[rows.Row], amount: int) -> Iterator[tuple[Access, str]]:
    accesses = [
        Access(Role.API),
        *(Access(Role.WORKER, tenant["id"]) for tenant in tenants),
        *(Access(Role.API, tenant["id"], tenant["created_by"]) for tenant in tenants),
    ]
    for _ in range(amount):
        ending = chance.choices(["well", "error", "fault", "cancel", "leave"], [65, 12, 12, 6, 5])[0]
        yield chance.choice(accesses), ending


async def expect_only(tx: AsyncConnection, organization_id: UUID | None) -> None:
    for column in (Client.organization_id, Membership.organization_id, Organization.id):
        found = set((await tx.scalars(select(column))).all())
        assert found == ({organization_id} if organization_id else set())
