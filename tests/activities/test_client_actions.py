"""`client.*` on a real PostgreSQL under the worker's own role."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from activities.actions.registry import built_in
from db.engine import create_engine
from db.keys import DataKeys
from db.session import Access, Database, Role
from domain.definitions.faults import Fault
from tests.factories.rows import row
from workers.secret_values import MasterKey

REGISTRY = built_in()


@dataclass
class Tenant:
    """One organization with a member, and an execution that this member started."""

    organization_id: UUID
    user_id: UUID
    execution_id: UUID
    database: Database
    make_context: Any
    keys: DataKeys

    async def run(self, name: str, arguments: dict[str, Any], *, occurrence: str = "/do/0/step#1") -> Any:
        access = Access(Role.WORKER, self.organization_id)
        async with self.database.transaction(access) as connection:
            context = self.make_context(
                connection=connection,
                organization_id=self.organization_id,
                started_by=self.user_id,
                execution_id=self.execution_id,
                occurrence=occurrence,
                keys=self.keys,
            )
            async with connection.begin_nested():
                return await REGISTRY.run(f"client.{name}", "1.0.0", context, arguments)

    async def fault(self, name: str, arguments: dict[str, Any], **options: Any) -> Fault:
        with pytest.raises(Fault) as caught:
            await self.run(name, arguments, **options)
        return caught.value


@pytest.fixture
async def opened(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=2)
    yield database
    await database.close()


async def tenant(admin_url: str, database: Database, make_context: Any) -> Tenant:
    organization, user = uuid4(), uuid4()
    connection = await asyncpg.connect(admin_url.replace("+asyncpg", ""))
    try:
        await connection.execute(
            "SELECT app.register(jsonb_build_object('id', $1::text, 'username', $1::text, 'email', $1::text"
            " || '@a.example', 'password', 'x', 'first_name', 'A', 'last_name', 'B'),"
            " jsonb_build_object('id', $2::text, 'name', $2::text, 'slug', $2::text))",
            str(user),
            str(organization),
        )
    finally:
        await connection.close()
    engine = create_engine(admin_url)
    async with engine.begin() as behind:
        execution = await row(behind, "workflow_executions", organization)
    await engine.dispose()
    keys = DataKeys(database, [MasterKey("test", b"m" * 32)])
    return Tenant(organization, user, execution["id"], database, make_context, keys)


@pytest.fixture
async def ours(admin_url: str, opened: Database, make_context: Any) -> Tenant:
    return await tenant(admin_url, opened, make_context)


@pytest.fixture
async def theirs(admin_url: str, opened: Database, make_context: Any) -> Tenant:
    return await tenant(admin_url, opened, make_context)


async def count(admin_url: str) -> int:
    connection = await asyncpg.connect(admin_url.replace("+asyncpg", ""))
    try:
        found: int = await connection.fetchval("SELECT count(*) FROM clients")
        return found
    finally:
        await connection.close()


async def test_a_client_is_created_read_and_changed(ours: Tenant) -> None:
    made = await ours.run("create", {"name": "Ann", "email": "ann@client.example", "client_type": "business"})
    assert (made["name"], made["client_type"], made["status"]) == ("Ann", "business", "active")
    assert made["created_by"] == str(ours.user_id)
    assert await ours.run("get", {"id": made["id"]}) == made
    changed = await ours.run("update", {"id": made["id"], "email": None, "status": "inactive"})
    assert (changed["email"], changed["status"], changed["name"]) == (None, "inactive", "Ann")
    assert changed["client_type"] == "business"


async def test_repeating_an_occurrence_creates_nothing_new(ours: Tenant, admin_url: str) -> None:
    arguments = {"name": "Ann", "client_number": "C-1"}
    first = await ours.run("create", arguments)
    again = await ours.run("create", arguments)
    assert first == again
    assert await count(admin_url) == 1
    other = await ours.run("create", {"name": "Ann"}, occurrence="/do/0/step#2")
    assert other["id"] != first["id"]


async def test_another_organizations_client_is_unknown(ours: Tenant, theirs: Tenant) -> None:
    made = await ours.run("create", {"name": "Ann"})
    for name, arguments in [("get", {"id": made["id"]}), ("update", {"id": made["id"], "name": "Eve"})]:
        foreign = await theirs.fault(name, arguments)
        unknown = await theirs.fault(name, arguments | {"id": str(uuid4())})
        assert foreign.as_json() == unknown.as_json()
        assert foreign.status == 404
    assert (await ours.run("get", {"id": made["id"]}))["name"] == "Ann"


async def test_a_taken_number_is_a_conflict_and_names_it(ours: Tenant) -> None:
    await ours.run("create", {"name": "Ann", "client_number": "C-1"})
    refusal = await ours.fault("create", {"name": "Bob", "client_number": "C-1"}, occurrence="/do/1/x#1")
    assert refusal.status == 409
    assert "client_number" in (refusal.detail or "")


async def test_a_manager_must_be_a_member(ours: Tenant, theirs: Tenant) -> None:
    made = await ours.run("create", {"name": "Ann", "assigned_manager": str(ours.user_id)})
    assert made["assigned_manager"] == str(ours.user_id)
    refusal = await ours.fault("update", {"id": made["id"], "assigned_manager": str(theirs.user_id)})
    assert refusal.status == 400
    assert "assigned_manager" in (refusal.detail or "")


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("create", {}, "/name is missing"),
        ("create", {"name": ""}, "/name"),
        ("create", {"name": "a\x00b"}, "NUL"),
        ("create", {"name": "Ann", "client_type": "alien"}, "/client_type"),
        ("create", {"name": "Ann", "email": "nobody"}, "not an e-mail address"),
        ("create", {"name": "Ann", "tax_id": "1"}, "/tax_id is not an argument"),
        ("create", {"name": "Ann", "organization_id": str(uuid4())}, "/organization_id is not an argument"),
        ("create", {"name": "Ann", "emial": "a@b.example"}, "did you mean email?"),
        ("create", {"name": "x" * 501}, "500"),
        ("get", {"id": "1"}, "/id"),
        ("update", {"id": str(uuid4())}, "nothing to change"),
        ("update", {"id": str(uuid4()), "name": ""}, "/name"),
    ],
)
async def test_wrong_arguments_are_named_before_the_database(
    name: str, arguments: dict[str, Any], words: str, make_context: Any
) -> None:
    with pytest.raises(Fault) as caught:
        await REGISTRY.run(f"client.{name}", "1.0.0", make_context(), arguments)
    assert (caught.value.status, caught.value.title) == (400, "Arguments refused")
    assert words in (caught.value.detail or "")


async def test_null_cannot_clear_what_must_be_there(ours: Tenant) -> None:
    made = await ours.run("create", {"name": "Ann"})
    for field in ("name", "status", "client_type", "communication_preferences"):
        refusal = await ours.fault("update", {"id": made["id"], field: None})
        assert refusal.status == 400
        assert field in (refusal.detail or "")


async def contact(admin_url: str, tenant: Tenant, client_id: str, **values: Any) -> str:
    row = {"first_name": "Ada", "last_name": "L", "email": "ada@client.example", **values}
    names = ", ".join(row)
    places = ", ".join(f"${n}" for n in range(3, 3 + len(row)))
    connection = await asyncpg.connect(admin_url.replace("+asyncpg", ""))
    try:
        made = await connection.fetchval(
            f"INSERT INTO contacts (organization_id, client_id, {names}) VALUES ($1, $2, {places}) RETURNING id",
            tenant.organization_id,
            UUID(client_id),
            *row.values(),
        )
        return str(made)
    finally:
        await connection.close()


async def test_the_primary_contact_who_receives_communications_is_written_to(
    ours: Tenant, admin_url: str
) -> None:
    client = (await ours.run("create", {"name": "Acme", "email": "office@acme.example"}))["id"]
    arguments = {"id": client}
    found = await ours.run("contact", arguments)
    assert (found["contact_id"], found["address"], found["name"]) == (None, "office@acme.example", "Acme")
    silent = {"is_primary": True, "receives_communications": False, "email": "boss@acme.example"}
    boss = await contact(admin_url, ours, client, **silent)
    assert (await ours.run("contact", arguments))["contact_id"] is None, "the boss is not written to"
    ada = await contact(admin_url, ours, client)
    assert (await ours.run("contact", arguments))["contact_id"] == ada
    refusal = await ours.fault("contact", {**arguments, "purpose": "authorization"})
    assert (refusal.status, "can_authorize" in (refusal.detail or "")) == (409, True)
    signs = await contact(admin_url, ours, client, can_authorize=True, email="eve@acme.example")
    found = await ours.run("contact", {**arguments, "purpose": "authorization"})
    assert (found["contact_id"], found["address"]) == (signs, "eve@acme.example")
    assert boss not in str(found)


async def test_a_client_who_forbids_a_channel_is_not_reached_by_it(ours: Tenant, admin_url: str) -> None:
    wishes = {"email": False, "language": "de"}
    made = await ours.run(
        "create",
        {
            "name": "Acme",
            "email": "a@acme.example",
            "phone": "+49 30 901820",
            "communication_preferences": wishes,
        },
    )
    assert made["communication_preferences"] == wishes
    await contact(admin_url, ours, made["id"])
    refusal = await ours.fault("contact", {"id": made["id"]})
    assert (refusal.status, "communication_preferences" in (refusal.detail or "")) == (409, True)
    called = await ours.run("contact", {"id": made["id"], "channel": "phone"})
    assert (called["address"], called["language"]) == ("+49 30 901820", "de")
    assert (await ours.fault("contact", {"id": str(uuid4())})).status == 404


async def test_what_actions_do_is_told_once(ours: Tenant, admin_url: str) -> None:
    for _ in range(2):
        made = await ours.run("create", {"name": "Ann"})
    await ours.run("update", {"id": made["id"], "city": "Ulm"}, occurrence="/do/1/x#1")
    connection = await asyncpg.connect(admin_url.replace("+asyncpg", ""))
    try:
        told = await connection.fetch("SELECT type, source FROM events ORDER BY number")
    finally:
        await connection.close()
    assert [tuple(row) for row in told] == [
        ("client.created", "/perdure/clients"),
        ("client.changed", "/perdure/clients"),
    ]
