"""The audit triggers: on every table worth it, one line per change, by whom and from where, and never a secret."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Integer,
    LargeBinary,
    Numeric,
    Text,
    Uuid,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.auditing import AUDITED, EXEMPT, Concerns
from db.clients import Client
from db.session import Access, Database, Origin, Role
from db.tables import metadata
from db.tenants import PLATFORM, Organization
from domain.tenants import ActorType, MembershipStatus
from tests.db.test_catalogue import UNREADABLE
from tests.factories import rows

LOG = metadata.tables["activity_logs"]
CANARY = "canary-7f3a"
TRIGGERS = text(
    "SELECT c.relname AS name, t.tgargs, t.tgenabled, t.tgtype FROM pg_trigger AS t "
    "JOIN pg_class AS c ON c.oid = t.tgrelid WHERE t.tgname = 'audit' AND NOT c.relispartition"
)
#: After each row that is inserted, deleted or updated.
EACH_ROW = 1 | 4 | 8 | 16
#: Text and JSON that may be quoted although no closed set bounds it.
QUOTED = {
    ("organizations", "slug"): "is in every address of the organization",
    ("organizations", "domain"): "is public by nature",
    ("organizations", "timezone"): "is a name of the IANA's list",
    ("organizations", "country"): "is a country",
    ("organizations", "settings"): "is what an auditor looks for first; a closed model without secrets",
    ("user_organizations", "permissions_override"): "is what somebody may do",
    ("roles", "name"): "is a role's name",
    ("roles", "permissions"): "is what somebody may do",
    ("api_keys", "key_id"): "is the public part of a key",
    ("api_keys", "scopes"): "is what a key may do",
    ("encryption_keys", "master_key_id"): "is a name in the settings of the installation",
    ("tasks", "kind"): "is the name of the action that asks for the task",
    ("workflows", "process"): "is the name of one of the product's own definitions",
    ("organization_agents", "agent_slug"): "is a name in the catalogue of agents",
    ("user_agent_access", "agent_slug"): "is a name in the catalogue of agents",
    ("agent_sessions", "agent_slug"): "is a name in the catalogue of agents",
}


async def lines(connection: AsyncConnection, **where: Any) -> list[Any]:
    statement = select(LOG).order_by(LOG.c.created_at)
    for name, value in where.items():
        statement = statement.where(LOG.c[name] == value)
    return list((await connection.execute(statement)).mappings())


def test_every_table_is_audited_or_says_why_not() -> None:
    both = AUDITED.keys() & EXEMPT.keys()
    missing = metadata.tables.keys() - AUDITED.keys() - EXEMPT.keys()
    assert (both, missing) == (set(), set()), (
        "list the table in db/auditing.py and, unless it is exempt, end its migration with CREATE TRIGGER audit"
    )
    assert AUDITED.keys() | EXEMPT.keys() <= metadata.tables.keys(), "a table is listed that is gone"


async def test_the_triggers_of_the_database_are_those_of_the_list(admin: AsyncEngine) -> None:
    async with admin.connect() as connection:
        found = {row.name: row for row in await connection.execute(TRIGGERS)}
    assert {name: tuple(row.tgargs.decode().split("\0")[:-1]) for name, row in found.items()} == {
        name: audited.arguments() for name, audited in AUDITED.items()
    }
    assert {(row.tgenabled, row.tgtype) for row in found.values()} == {(b"O", EACH_ROW)}


def _is_closed(column: Column[Any]) -> bool:
    """A word of a closed set: it cannot hold what somebody typed."""
    checks = (str(getattr(it, "sqltext", "")) for it in column.table.constraints)
    return isinstance(column.type, Enum) or any(check.startswith(f"{column.name} IN (") for check in checks)


@pytest.mark.parametrize("table", AUDITED)
def test_only_ids_moments_numbers_flags_and_closed_words_are_quoted(table: str) -> None:
    columns, audited = metadata.tables[table].c, AUDITED[table]
    for name in {*audited.key, *audited.shown, *audited.silent, *audited.sealed, audited.owner}:
        assert name in columns, f"{table} has no column {name}"
    for name in audited.shown:
        column = columns[name]
        assert "sealed" not in column.info
        assert (table, name) not in UNREADABLE
        assert not any(word in name for word in ("sha256", "hash", "token", "secret")), name
        harmless = isinstance(column.type, Uuid | DateTime | Date | Boolean | Integer | Numeric)
        assert harmless or _is_closed(column) or (table, name) in QUOTED, f"{table}.{name} may hold anything"
    sealed = {column.name for column in columns if column.info.get("sealed")}
    assert sealed <= set(audited.sealed) | set(audited.silent), f"say in sealed= that {sealed} are sealed"


def _filled(table: str) -> dict[str, Any]:
    """The canary, different each time, in every column that is not quoted and would take it."""
    values: dict[str, Any] = {}
    for column in metadata.tables[table].columns:
        if (
            column.foreign_keys
            or column.computed
            or column.name in AUDITED[table].shown
            or _is_closed(column)
        ):
            continue
        if column.name in SHAPED:
            values |= {column.name: shaped} if (shaped := SHAPED[column.name]()) else {}
        elif isinstance(column.type, LargeBinary):
            values[column.name] = f"{CANARY}{uuid4()}".encode()
        elif isinstance(column.type, Text):
            values[column.name] = f"{CANARY}-{uuid4().hex}"
        elif isinstance(column.type, JSONB):
            values[column.name] = {CANARY: uuid4().hex}
        elif isinstance(column.type, ARRAY) and isinstance(column.type.item_type, Text):
            values[column.name] = [CANARY, uuid4().hex]
    return values


#: Columns whose checks want something else than any text.
SHAPED: dict[str, Callable[[], str | None]] = {
    "file_hash": lambda: uuid4().hex * 2,
    "email": lambda: f"{CANARY}-{uuid4().hex}@example.test",
    "session_id": lambda: None,
    "gallery": lambda: None,
    "currency": lambda: None,
    "sha256": lambda: None,
}


@pytest.mark.parametrize("table", AUDITED)
async def test_what_is_not_quoted_is_told_by_name_alone(admin: AsyncEngine, table: str) -> None:
    """A canary in every column that takes one, set, replaced and removed: it must not be found in the log."""
    target, audited = metadata.tables[table], AUDITED[table]
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        concerned = {"user_id": acme["created_by"]} if audited.concerns is Concerns.USER else {}
        if table == "users":
            made = await rows.user(connection)
            await rows.member(connection, acme["id"], user_id=made["id"])
        else:
            made = await rows.row(connection, table, acme["id"], **concerned)
        for _ in range(2):
            if changed := _filled(table):
                await connection.execute(update(target).where(target.c.id == made["id"]).values(changed))
        told = await lines(connection, resource=table, resource_id=str(made["id"]))
        with suppress(IntegrityError):  # somebody else refers to it
            async with connection.begin_nested():
                await connection.execute(delete(target).where(target.c.id == made["id"]))
        everything = await connection.scalars(text("SELECT activity_logs::text FROM activity_logs"))
        assert [line for line in everything if CANARY in line] == []
    visible = set(changed) - {*audited.silent}
    expected = [] if table == "users" else ["insert"]
    assert [line["action"] for line in told] == expected + (["update"] * 2 if visible else [])
    if visible:
        assert set(told[-1]["metadata"]["columns"]) == visible
        assert told[-1]["metadata"]["old"] == told[-1]["metadata"]["new"] == {}


async def test_a_change_is_one_line_with_the_old_and_the_new_of_what_may_be_quoted(
    admin: AsyncEngine, narrow: Database
) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        client = await rows.client(connection, acme["id"])
    key = uuid4()
    access = Access(
        Role.API,
        acme["id"],
        acme["created_by"],
        actor=ActorType.API_KEY,
        origin=Origin(ip="203.0.113.7", agent='curl "8"', api_key_id=key),
    )
    async with narrow.transaction(access) as tx:
        await tx.execute(
            update(Client).where(Client.id == client["id"]).values(status="inactive", name="New")
        )
        await tx.execute(
            update(Client).where(Client.id == client["id"]).values(status="inactive", name="New")
        )
        _, line = await lines(tx, resource="clients")
    assert line["metadata"] == {
        "columns": ["name", "status"],
        "old": {"status": "active"},
        "new": {"status": "inactive"},
        "origin": {"api_key_id": str(key)},
    }
    told = {
        name: line[name]
        for name in ("action", "actor_type", "user_id", "resource_id", "ip_address", "user_agent")
    }
    assert told == {
        "action": "update",
        "actor_type": "api_key",
        "user_id": acme["created_by"],
        "resource_id": str(client["id"]),
        "ip_address": "203.0.113.7",
        "user_agent": 'curl "8"',
    }


@pytest.mark.parametrize(
    ("role", "actor", "expected"),
    [
        (Role.API, None, "user"),
        (Role.API, ActorType.API_KEY, "api_key"),
        (Role.WORKER, None, "worker"),
        (Role.WORKER, ActorType.SYSTEM, "system"),
    ],
)
async def test_the_log_names_who_acts(
    admin: AsyncEngine, narrow: Database, role: Role, actor: ActorType | None, expected: str
) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
    user_id = acme["created_by"] if role is Role.API else None
    execution = uuid4()
    access = Access(role, acme["id"], user_id, actor=actor, origin=Origin(execution_id=execution))
    async with narrow.transaction(access) as tx:
        await tx.execute(
            insert(Client).values(organization_id=acme["id"], name="x", created_by=acme["created_by"])
        )
        (line,) = await lines(tx, resource="clients")
    assert (line["actor_type"], line["user_id"]) == (expected, user_id)
    assert line["metadata"]["origin"] == {"execution_id": str(execution)}
    assert line["metadata"]["new"]["created_by"] == str(acme["created_by"])


async def test_whoever_is_nobody_is_the_system(admin: AsyncEngine, app: AsyncEngine) -> None:
    """Without a context, and where the API calls a definer function before anybody has entered."""
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        await rows.client(connection, acme["id"])
        assert {line["actor_type"] for line in await lines(connection)} == {"system"}
    async with app.begin() as connection:
        await connection.execute(text("SELECT app.enter('app_api', NULL, NULL)"))
        await connection.execute(
            text("SELECT app.register(cast(:user AS jsonb), cast(:organization AS jsonb))"),
            {
                "user": f'{{"username": "{uuid4()}", "email": "{uuid4()}@x.test", "password": "hash"}}',
                "organization": '{"name": "Found", "slug": "found"}',
            },
        )
    async with admin.begin() as connection:
        *_, line = await lines(connection, resource="user_organizations")
    assert line["organization_id"] != acme["id"]
    assert (line["actor_type"], line["user_id"]) == ("system", None)


async def test_bookkeeping_is_no_change(admin: AsyncEngine) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        for table in ("api_keys", "user_organizations", "clients"):
            made = await rows.row(connection, table, acme["id"])
            silent = {name: text("now()") for name in AUDITED[table].silent} or {"updated_at": text("now()")}
            target = metadata.tables[table]
            await connection.execute(update(target).where(target.c.id == made["id"]).values(silent))
        assert await lines(connection, action="update", resource="api_keys") == []
        assert await lines(connection, action="update", resource="user_organizations") == []
        assert await lines(connection, action="update", resource="clients") == []


async def test_sealing_anew_is_no_change_but_setting_a_sealed_value_is(
    admin: AsyncEngine, narrow: Database
) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        await rows.client(connection, acme["id"], tax_id="sealed once")
    for actor in (ActorType.SYSTEM, None):
        async with narrow.transaction(Access(Role.WORKER, acme["id"], actor=actor)) as tx:
            await tx.execute(update(Client).values(tax_id=f"sealed by {actor}"))
    async with admin.begin() as connection:
        await connection.execute(update(Client).values(tax_id="by hand"))  # who says nothing hides nothing
        told = await lines(connection, resource="clients", action="update")
    assert [(line["actor_type"], line["metadata"]["columns"]) for line in told] == [
        ("worker", ["tax_id"]),
        ("system", ["tax_id"]),
    ]


async def test_what_happens_to_a_person_is_told_to_every_organization_they_belong_to(
    admin: AsyncEngine, narrow: Database
) -> None:
    async with admin.begin() as connection:
        here, there, left = [await rows.organization(connection) for _ in range(3)]
        ada = await rows.user(connection)
        await rows.member(connection, here["id"], user_id=ada["id"])
        await rows.member(connection, there["id"], user_id=ada["id"])
        await rows.member(connection, left["id"], user_id=ada["id"], status=MembershipStatus.SUSPENDED)
    async with narrow.transaction(Access(Role.API, here["id"], ada["id"])) as tx:
        await tx.execute(text("UPDATE users SET phone = '+49 30 1', first_name = 'Ada' WHERE id = app.me()"))
    async with admin.begin() as connection:
        told = await lines(connection, resource="users", resource_id=str(ada["id"]))
    assert {line["organization_id"] for line in told} == {here["id"], there["id"]}
    assert [line["metadata"]["columns"] for line in told] == [["first_name", "phone"]] * 2
    assert {line["user_id"] for line in told} == {ada["id"]}


async def test_an_organization_that_is_removed_is_told_to_the_platform_alone(admin: AsyncEngine) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        await rows.client(connection, acme["id"])
        await connection.execute(update(metadata.tables["users"]).values(default_organization_id=None))
        await connection.execute(delete(Organization).where(Organization.id == acme["id"]))
        told = await lines(connection)
    assert [
        (line["organization_id"], line["action"], line["resource"], line["resource_id"]) for line in told
    ] == [(PLATFORM, "delete", "organizations", str(acme["id"]))]


async def test_a_row_without_an_id_is_named_by_its_key(admin: AsyncEngine) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        await connection.execute(
            text("CREATE TABLE keyless (organization_id uuid, area text, code int, PRIMARY KEY (area, code))")
        )
        await connection.execute(
            text(
                "CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON keyless FOR EACH ROW EXECUTE FUNCTION "
                "audit_trigger('organization', 'organization_id', '{area,code}', '{code}', '{}', '{}')"
            )
        )
        values = {"org": acme["id"]}
        await connection.execute(text("INSERT INTO keyless VALUES (:org, 'north', 7)"), values)
        await connection.execute(text("UPDATE keyless SET code = 8"))
        await connection.execute(text("DELETE FROM keyless"))
        told = await lines(connection, resource="keyless")
    assert [(line["action"], line["resource_id"]) for line in told] == [
        ("insert", "north/7"),
        ("update", "north/8"),
        ("delete", "north/8"),
    ]
    assert told[1]["metadata"] == {"columns": ["code"], "old": {"code": 7}, "new": {"code": 8}}
    assert told[2]["metadata"] == {"old": {"code": 8}}


@pytest.mark.parametrize("role", ["app_owner", "app_api", "app_worker", "app_system"])
async def test_what_is_written_stays_whoever_asks(admin: AsyncEngine, role: str) -> None:
    """Even the role that owns the table: FORCE shows it no row that it could change."""
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        await rows.client(connection, acme["id"])
        before = await lines(connection)
    for forged in (
        "UPDATE activity_logs SET action = 'x'",
        "DELETE FROM activity_logs",
        "TRUNCATE activity_logs",
    ):
        if (role, forged.split()[0]) == ("app_owner", "TRUNCATE"):
            continue  # whoever owns a table may also drop it; nobody who serves a request can become this role
        async with admin.connect() as connection:
            await connection.execute(
                text("SELECT set_config('app.org_id', :org, true)"), {"org": str(acme["id"])}
            )
            await connection.execute(text(f"SET LOCAL ROLE {role}"))
            with suppress(ProgrammingError):  # permission denied
                assert (await connection.execute(text(forged))).rowcount == 0
            await connection.commit()
    async with admin.begin() as connection:
        assert await lines(connection) == before


async def test_nobody_forges_a_line_of_another_organization(admin: AsyncEngine, narrow: Database) -> None:
    async with admin.begin() as connection:
        acme, other = [await rows.organization(connection) for _ in range(2)]
    forged = insert(LOG).values(organization_id=other["id"], actor_type="worker", action="x", resource="y")
    with pytest.raises(DBAPIError, match="row-level security"):
        async with narrow.transaction(Access(Role.API, acme["id"], acme["created_by"])) as tx:
            await tx.execute(forged)


async def test_ten_thousand_clients_at_once_are_told_one_by_one_and_soon(
    admin: AsyncEngine, narrow: Database
) -> None:
    """About 60 µs each on a quiet machine, three times what the row itself costs: 100 000 take six seconds longer."""
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
    bulk = text(
        "INSERT INTO clients (organization_id, name, created_by) "
        "SELECT :org, 'Client ' || n, :user FROM generate_series(1, 10000) AS n"
    )
    values = {"org": acme["id"], "user": acme["created_by"]}
    access = Access(Role.API, acme["id"], acme["created_by"])
    took: dict[str, list[float]] = {"ENABLE": [], "DISABLE": []}
    for word in ("ENABLE", "DISABLE") * 2:  # in turn: others use this machine too
        async with admin.begin() as connection:
            await connection.execute(text(f"ALTER TABLE clients {word} TRIGGER audit"))
        async with narrow.transaction(access) as tx:
            began = time.perf_counter()
            await tx.execute(bulk, values)
            took[word].append(time.perf_counter() - began)
    async with admin.begin() as connection:
        assert len(await lines(connection, resource="clients")) == 20_000
    audited, plain = min(took["ENABLE"]), min(took["DISABLE"])
    assert audited < 8 * plain, f"{plain:.2f} s without, {audited:.2f} s with the log"
