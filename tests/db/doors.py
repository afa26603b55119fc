"""What runs with more rights than its caller and yet answers by the organization that was entered.

Row security does not bind definer functions, materialized views or partitions that are asked by name. So each of them
is asked here from a foreign context; a definer that reads `app.org()` and is not listed fails a test.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Access, Role, enter
from db.tenants import PLATFORM
from domain.errors import Forbidden
from tests.db.world import World

#: Relations that no policy protects, wherever they are, and partitions, which have none of their own.
UNPROTECTED = text(
    "SELECT c.oid::regclass::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') "
    "AND (c.relkind IN ('v', 'm') OR c.relispartition AND c.relkind = 'r') ORDER BY 1"
)
DENIED = {"42501"}


@dataclass(frozen=True, slots=True)
class Door:
    """A definer function, how it is asked, and what an organization may hear from it."""

    function: str
    asks: str
    expected: Callable[[World, UUID], set[Any]]


def _ids(table: str) -> Callable[[World, UUID], set[Any]]:
    def of(world: World, organization_id: UUID) -> set[Any]:
        rows = world.everything[table]
        return {row["id"] for row in rows if row["organization_id"] == organization_id}

    return of


def _clients(world: World, organization_id: UUID) -> set[Any]:
    return {len(_ids("clients")(world, organization_id))}


def _touched(world: World, organization_id: UUID) -> set[Any]:
    founders = {each["id"]: each["created_by"] for each in (world.a, world.b)}
    return {
        line["task_id"]
        for line in world.everything["task_events"]
        if line["organization_id"] == organization_id and line["user_id"] == founders[organization_id]
    }


def _awaiting(world: World, organization_id: UUID) -> set[Any]:
    rows = world.everything["tasks"]
    return {
        row["id"]
        for row in rows
        if row["organization_id"] == organization_id
        and any(name.startswith("client:") for name in row["assignees"])
    }


def _founder(world: World, organization_id: UUID) -> set[Any]:
    """Who started every execution there is."""
    return {each["created_by"] for each in (world.a, world.b) if each["id"] == organization_id}


#: Asked by the API inside an organization.
DOORS = (
    Door("find_documents", "SELECT app.find_documents('{}', 1000)", _ids("documents")),
    Door("search_clients", "SELECT app.search_clients(ARRAY['%'])", _ids("clients")),
    Door("search_contacts", "SELECT app.search_contacts(ARRAY['%'])", _ids("contacts")),
    Door("barred_from_task", "SELECT b.user_id FROM tasks, app.barred_from_task(id) AS b", _founder),
    Door("my_tasks", "SELECT app.my_tasks()", _touched),
    Door("awaiting_client", "SELECT app.awaiting_client(id) FROM clients", _awaiting),
    Door("organization_stats", "SELECT client_count FROM app.organization_stats()", _clients),
)
#: Asked by workers; they answer inside the platform's own organization alone.
AT_HOME = {
    "code_of": "SELECT phone FROM app.code_of(:verify_phone, now())",
    "email_change_of": "SELECT email FROM app.email_change_of(:change_email, now())",
    "reset_of": "SELECT email FROM app.reset_of(:reset_password, now())",
    "registration_of": "SELECT email FROM app.registration_of(:registration, now())",
    "newest_registration": "SELECT id FROM app.newest_registration(:email, now())",
}
#: They are asked together with these.
TABLES = {"organizations", "activity_logs"}
LISTED = {door.function for door in DOORS} | AT_HOME.keys() | {"add_registration", "decide_task"}


async def findings(connection: AsyncConnection, world: World) -> list[str]:
    """Every answer that an organization should not have heard, and every one it should have and did not."""
    found = []
    for tenant in (world.a, world.b):
        for door in DOORS:
            heard = await _ask(connection, Access(Role.API, tenant["id"], tenant["created_by"]), door.asks)
            expected = door.expected(world, tenant["id"])
            if heard != expected:
                found.append(f"app.{door.function} tells {tenant['name']} something else than its own")
    for name, asks in AT_HOME.items():
        given = {key: value for key, value in world.asked.items() if f":{key}" in asks}
        if await _ask(connection, Access(Role.WORKER, world.a["id"]), asks, given):
            found.append(f"app.{name} answers a worker of an organization")
        if not await _ask(connection, Access(Role.WORKER, PLATFORM), asks, given):
            found.append(f"app.{name} does not answer the platform")
    found += await _deciding(connection, world)
    return [*found, *await _registering(connection, world), *await _by_name(connection, world)]


async def _ask(
    connection: AsyncConnection, access: Access, asks: str, given: dict[str, Any] | None = None
) -> set[Any]:
    try:
        async with connection.begin() as transaction:
            await enter(connection, access)
            heard = set(await connection.scalars(text(asks), given or {}))
            await transaction.rollback()
    except Forbidden:
        return set()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in DENIED:
            raise
        return set()
    return heard


async def _deciding(connection: AsyncConnection, world: World) -> list[str]:
    """A task of another organization is nothing that could be decided; one's own is."""
    given = text(
        "SELECT app.decide_task(:id, jsonb_build_object('user_id', CAST(:me AS text), 'at', now(), "
        "'outcome', 'rejected', 'decision', jsonb_build_object('outcome', 'rejected')))"
    )
    found = []
    for tenant, other in ((world.a, world.b), (world.b, world.a)):
        access = Access(Role.API, tenant["id"], tenant["created_by"])
        for owner, expected in ((tenant, {"decided"}), (other, {"closed"})):
            id = _anybodys(world, owner["id"])
            values = {"id": id, "me": str(tenant["created_by"])}
            try:
                async with connection.begin() as transaction:
                    await enter(connection, access)
                    heard = set(await connection.scalars(given, values))
                    await transaction.rollback()
            except Forbidden:
                heard = set()
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in DENIED:
                    raise
                heard = set()
            if heard != expected:
                found.append(f"app.decide_task answers {heard} for a task of {owner['name']}")
    return found


def _anybodys(world: World, organization_id: UUID) -> UUID:
    """An open task that everybody may decide who sees every one."""
    found: UUID = next(
        row["id"]
        for row in world.everything["tasks"]
        if row["organization_id"] == organization_id
        and row["status"] == "open"
        and not row["assignees"]
        and row["claimed_by"] is None
    )
    return found


async def _registering(connection: AsyncConnection, world: World) -> list[str]:
    added = {}
    for organization_id in (world.a["id"], PLATFORM):
        async with connection.begin() as transaction:
            await enter(connection, Access(Role.WORKER, organization_id))
            id = uuid4()
            await connection.execute(
                text(
                    "SELECT app.add_registration(jsonb_build_object('id', CAST(:id AS text), 'email', 'e@x.test', "
                    "'password', 'p', 'organization_name', 'o', 'slug', 'o', 'token_sha256', CAST(:id AS text), "
                    "'expires_at', now()))"
                ),
                {"id": str(id)},
            )
            await enter(connection, Access(Role.SYSTEM))
            count = text("SELECT count(*) FROM registrations WHERE id = :id")
            added[organization_id] = await connection.scalar(count, {"id": id})
            await transaction.rollback()
    return [] if added == {world.a["id"]: 0, PLATFORM: 1} else ["app.add_registration adds where it must not"]


async def _by_name(connection: AsyncConnection, world: World) -> list[str]:
    """Views see with their owner's eyes, and a partition that is asked by name has no policy of its parent's."""
    async with connection.begin():
        names = list(await connection.scalars(UNPROTECTED))
    found = []
    for name in names:
        for role in (Role.API, Role.WORKER):
            try:
                async with connection.begin():
                    await enter(connection, Access(role, world.a["id"], world.a["created_by"]))
                    await connection.scalar(text(f"SELECT count(*) FROM {name}"))
                found.append(f"{role} reads {name} by name")
            except Forbidden:
                pass
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in DENIED:
                    raise
    return found
