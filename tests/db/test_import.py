"""The importer, on a database built from the customer's document and filled with what that layout lets in."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import bcrypt
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.passwords import Passwords
from db.engine import create_engine
from db.keys import DataKeys
from db.sealed import from_text, place
from db.session import Database
from db.tenants import PLATFORM
from tests.conftest import Cluster, aside
from tests.db import earlier
from tests.db.customer import DOCUMENT
from workers.devstack.databases import OWNER, SUPERUSER
from workers.importing import source, target
from workers.importing.importer import Import
from workers.importing.report import Fate, Report
from workers.secret_values import MasterKey

pytestmark = pytest.mark.skipif(
    not DOCUMENT.exists(), reason="the customer's document lies beside the repository, and is not there"
)
MASTERS = [MasterKey("test", b"m" * 32)]
ROOT = Path(__file__).resolve().parents[2]
#: Ids as the customer's layout allows them: mostly UUIDs, and whatever somebody once typed.
ACME, BETA = str(uuid4()), "beta-ltd"
ADA, BOB, CY, DORA = str(uuid4()), "bob", "cy", "dora"
SECRETS = ("123-45-6789", "sk_live_51H", "JBSWY3DPEHPK3PXP", "DE123456789", "reset-me-now", "verify-me-now")


class Earlier:
    """The customer's database, open for more."""

    def __init__(self, connection: asyncpg.Connection, url: str) -> None:
        self.connection = connection
        self.url = url

    async def put(self, table: str, **values: Any) -> str:
        values.setdefault("id", str(uuid4()))
        named = ", ".join(f'"{name}"' for name in values)
        places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        await self.connection.execute(
            f'INSERT INTO "{table}" ({named}) VALUES ({places})',
            *(json.dumps(value) if isinstance(value, dict) else value for value in values.values()),
        )
        return str(values["id"])

    async def user(self, id: str, email: str, **values: Any) -> str:
        return await self.put(
            "users",
            **{"id": id, "username": id, "email": email, "password": hashed("tidal ferns"), "role_id": "r-member"}
            | values,
        )  # fmt: skip

    async def client(self, organization: str, by: str, **values: Any) -> str:
        return await self.put("clients", organization_id=organization, name="Client", created_by=by, **values)

    async def workflow(self, organization: str, by: str, **values: Any) -> str:
        return await self.put(
            "workflows", organization_id=organization, name="Flow", definition={"nodes": []}, created_by=by, **values
        )  # fmt: skip

    async def document(self, organization: str, by: str, **values: Any) -> str:
        filled = {"filename": "a.pdf", "original_filename": "a.pdf", "file_path": "/a", "file_size": 10,
                  "mime_type": "application/pdf", **values}  # fmt: skip
        return await self.put("documents", organization_id=organization, uploaded_by=by, **filled)


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


@pytest.fixture(scope="module")
def template(postgres: Cluster) -> Iterator[str]:
    """The name of a database that was built from the document."""
    name = f"earlier_{uuid4().hex[:10]}"

    async def make() -> list[str]:
        root = await asyncpg.connect(postgres.url("postgres", SUPERUSER))
        await root.execute(f"CREATE DATABASE {name}")
        await root.close()
        return await earlier.build(postgres.url(name, SUPERUSER))

    assert aside(make()) == []
    yield name
    postgres.drop(name)


@pytest.fixture
async def customer(postgres: Cluster, template: str) -> AsyncIterator[Earlier]:
    """Acme with Ada, its owner, and Bob; Beta with Cy, its administrator."""
    name = f"customer_{uuid4().hex[:10]}"
    root = await asyncpg.connect(postgres.url("postgres", SUPERUSER))
    await root.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    url = postgres.url(name, SUPERUSER)
    connection = await asyncpg.connect(url)
    made = Earlier(connection, url)
    for role in ("owner", "admin", "member", "super_admin"):
        await made.put("roles", id=f"r-{role}", name=role)
    await made.put("organizations", id=ACME, name="Acme", slug="acme", tax_id=SECRETS[3], created_by=ADA)
    await made.put("organizations", id=BETA, name="Beta", slug="beta")
    await made.user(ADA, "ada@acme.example", national_id=SECRETS[0], password_reset_token=SECRETS[4],
                    email_verification_token=SECRETS[5], default_organization_id=ACME)  # fmt: skip
    await made.user(BOB, "bob@acme.example", organization_id=ACME)
    await made.user(CY, "cy@beta.example", organization_id=BETA, role_id="r-admin")
    await made.put("user_organizations", user_id=ADA, organization_id=ACME, role_id="r-owner")
    yield made
    await connection.close()
    await root.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await root.close()


@pytest.fixture
async def owner(postgres: Cluster, database: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(postgres.url(database, OWNER), pool_size=1)
    yield engine
    await engine.dispose()


async def brought(customer: Earlier, engine: AsyncEngine, **options: Any) -> Report:
    is_rehearsal = options.pop("is_rehearsal", False)
    options = {"zone": ZoneInfo("UTC"), **options}
    async with (
        source.opened(customer.url) as found,
        target.entered(engine, is_rehearsal=is_rehearsal) as into,
    ):
        return await Import(found, into, MASTERS, **options).run()


def refusals(report: Report, table: str) -> dict[str | None, str]:
    return {entry.id: entry.reason for entry in report.entries
            if entry.table == table and entry.fate is Fate.REFUSED}  # fmt: skip


def changes(report: Report, table: str) -> set[tuple[str | None, str | None]]:
    return {(entry.id, entry.column) for entry in report.entries
            if entry.table == table and entry.fate is Fate.CHANGED}  # fmt: skip


async def rows(admin: AsyncEngine, query: str) -> list[Any]:
    async with admin.connect() as connection:
        return list((await connection.exec_driver_sql(query)).all())


async def one(admin: AsyncEngine, query: str) -> Any:
    found = await rows(admin, query)
    assert len(found) == 1, found
    return found[0]


async def test_ids_stay_or_are_derived_and_people_become_members(
    customer: Earlier, owner: AsyncEngine, admin: AsyncEngine
) -> None:
    report = await brought(customer, owner)
    people = dict(await rows(admin, "SELECT email, id FROM users WHERE email LIKE '%.example'"))
    assert people["ada@acme.example"] == UUID(ADA)
    assert people["bob@acme.example"] != UUID(ADA)
    known = dict(await rows(admin, "SELECT source_id, id FROM legacy_ids WHERE source_table = 'users'"))
    assert known == {ADA: UUID(ADA), BOB: people["bob@acme.example"], CY: people["cy@beta.example"]}
    members = {
        tuple(row)
        for row in await rows(
            admin,
            "SELECT u.email, o.slug, r.name, m.status FROM user_organizations m JOIN users u ON u.id = m.user_id "
            "JOIN organizations o ON o.id = m.organization_id JOIN roles r ON r.id = m.role_id",
        )
    }
    assert members == {
        ("ada@acme.example", "acme", "owner", "active"),
        ("bob@acme.example", "acme", "member", "active"),
        ("cy@beta.example", "beta", "owner", "active"),  # nobody owned it, so its administrator does
    }
    assert await one(admin, f"SELECT default_organization_id FROM users WHERE id = '{ADA}'") == (UUID(ACME),)
    assert report.counts["users.organization_id"].imported == 2


async def test_secrets_arrive_sealed_and_tokens_do_not_arrive(
    customer: Earlier, owner: AsyncEngine, admin: AsyncEngine, database_url: str
) -> None:
    client = await customer.client(ACME, ADA, tax_id=SECRETS[3])
    gateway = await customer.put("payment_gateway_configs", organization_id=ACME, gateway="Stripe",
                                 credentials={"secret_key": SECRETS[1]}, created_by=ADA)  # fmt: skip
    factor = await customer.put("user_mfa", user_id=ADA, mfa_enabled=True, totp_secret=SECRETS[2].lower(),
                                backup_codes=["one", "two"])  # fmt: skip
    report = await brought(customer, owner)

    database = Database(database_url, pool_size=2)
    keys = DataKeys(database, MASTERS)
    national_id, reset, verify = await one(
        admin,
        f"SELECT national_id, password_reset_token, email_verification_token FROM users WHERE id = '{ADA}'",
    )
    assert (reset, verify) == (None, None)
    opened = await keys.open(PLATFORM, from_text(national_id), place("users", "national_id", UUID(ADA)))
    assert opened.decode() == SECRETS[0]
    acme = UUID(ACME)
    (sealed,) = await one(admin, f"SELECT credentials FROM payment_gateway_configs WHERE id = '{gateway}'")
    opened = await keys.open(acme, sealed, place("payment_gateway_configs", "credentials", UUID(gateway)))
    assert json.loads(opened) == {"secret_key": SECRETS[1]}
    tax_id, index = await one(admin, f"SELECT tax_id, tax_id_index FROM clients WHERE id = '{client}'")
    assert (
        await keys.open(acme, from_text(tax_id), place("clients", "tax_id", UUID(client))) == b"DE123456789"
    )
    assert index in await keys.fingerprints(acme, b"DE123456789", "clients.tax_id")
    secret, enabled = await one(admin, f"SELECT totp_secret, mfa_enabled FROM user_mfa WHERE id = '{factor}'")
    opened = await keys.open(PLATFORM, from_text(secret), place("user_mfa", "totp_secret", UUID(factor)))
    assert (opened.decode(), enabled) == (SECRETS[2], True)
    await database.close()

    tables = (
        "users",
        "user_mfa",
        "clients",
        "payment_gateway_configs",
        "organizations",
        "activity_logs",
        "legacy_ids",
    )
    held = [str(await rows(admin, f'SELECT t::text FROM "{table}" t')) for table in tables]
    everything = " ".join([*held, json.dumps(report.as_json())])
    assert [secret for secret in SECRETS if secret in everything] == []


async def test_a_bcrypt_hash_is_accepted_and_due_for_renewal(
    customer: Earlier, owner: AsyncEngine, admin: AsyncEngine
) -> None:
    await customer.user("plain", "plain@acme.example", password="hunter2")
    await customer.user("dear", "dear@acme.example", password="$2b$31$" + "a" * 53)
    report = await brought(customer, owner)
    assert {("plain", "password"), ("dear", "password")} <= changes(report, "users")
    stored = dict(await rows(admin, "SELECT email, password FROM users WHERE email LIKE '%acme.example'"))
    passwords = Passwords(b"p" * 32, cost=5)
    assert await passwords.verify("tidal ferns", stored["ada@acme.example"])
    assert not await passwords.verify("tidal ferns!", stored["ada@acme.example"])
    assert passwords.outdated(stored["ada@acme.example"])
    assert not await passwords.verify("hunter2", stored["plain@acme.example"])
    passwords.close()


async def test_two_people_of_one_address_are_both_there(
    customer: Earlier, owner: AsyncEngine, admin: AsyncEngine
) -> None:
    await customer.user("ada-2", "ADA@acme.example", username=ADA.upper())
    await customer.client(ACME, "ada-2")
    report = await brought(customer, owner)
    assert {("ada-2", "email"), ("ada-2", "username")} <= changes(report, "users")
    email, active = await one(
        admin,
        "SELECT u.email, u.is_active FROM users u JOIN legacy_ids l ON l.id = u.id WHERE l.source_id = 'ada-2'",
    )
    assert email.endswith("@import.invalid")
    assert not active
    assert report.counts["clients"].imported == 1, "what the account made is there with it"


async def test_links_across_organizations_are_refused_one_by_one(
    customer: Earlier, owner: AsyncEngine, admin: AsyncEngine
) -> None:
    mine, theirs = await customer.client(ACME, ADA), await customer.client(BETA, CY)
    flow, foreign = await customer.workflow(ACME, ADA), await customer.workflow(BETA, CY)
    good = await customer.document(ACME, ADA, client_id=mine)
    bad = await customer.document(ACME, ADA, client_id=theirs)
    run = await customer.put("workflow_executions", workflow_id=flow, organization_id=ACME, trigger_event="x")
    stray = await customer.put(
        "workflow_executions", workflow_id=foreign, organization_id=ACME, trigger_event="x"
    )
    await customer.put("ai_agents", slug="luca", name="Luca", category="assistant", frontend_entry="./Luca.tsx",
                       backend_entry="./luca.js")  # fmt: skip
    guest = await customer.put(
        "agent_sessions", agent_slug="luca", session_id="s1", user_id=CY, organization_id=ACME
    )
    said = await customer.put("agent_messages", session_id="s1", role="user", content="hello")
    unknown = await customer.put("agent_sessions", agent_slug="nobody", session_id="s2", user_id=ADA,
                                 organization_id=ACME)  # fmt: skip
    grant = await customer.put(
        "document_permissions", document_id=good, permission_type="view", granted_by=ADA
    )
    managed = await customer.client(ACME, ADA, assigned_manager=CY)
    report = await brought(customer, owner)
    assert refusals(report, "documents") == {bad: "it names a client of another organization"}
    assert refusals(report, "workflow_executions") == {stray: "it names a workflow of another organization"}
    assert refusals(report, "agent_sessions").keys() == {guest, unknown}
    assert refusals(report, "agent_messages") == {said: "the session it belongs to was refused"}
    assert "names nobody" in refusals(report, "document_permissions")[grant]
    assert (managed, "assigned_manager") in changes(report, "clients")
    status, version = await one(
        admin, f"SELECT status, workflow_version_id FROM workflow_executions WHERE id = '{run}'"
    )
    assert status == "failed"
    assert version is not None
    assert all(entry.mend for entry in report.entries)


async def test_what_no_column_of_ours_would_hold(
    customer: Earlier, owner: AsyncEngine, admin: AsyncEngine
) -> None:
    flow = await customer.workflow(ACME, ADA, status="Active", assigned_users=[BOB, "nobody"])
    await customer.put("workflow_executions", id="mad", workflow_id=flow, organization_id=ACME, trigger_event="x",
                       status="success", progress=900)  # fmt: skip
    await customer.put("workflow_executions", id="odd", workflow_id=flow, organization_id=ACME, trigger_event="x",
                       status="purple")  # fmt: skip
    await customer.connection.execute("ALTER TABLE clients ALTER credit_limit TYPE numeric")
    await customer.connection.execute(
        "INSERT INTO clients (id, organization_id, name, created_by, credit_limit, created_at) VALUES "
        f"('nan', '{ACME}', 'N', '{ADA}', 'NaN', now()), ('never', '{ACME}', 'N', '{ADA}', 1, 'infinity'), "
        f"('bc', '{ACME}', 'N', '{ADA}', 1, '0044-03-15 BC'), ('rich', '{ACME}', 'N', '{ADA}', 1e12, now())"
    )
    await customer.client(ACME, ADA, id="listed", billing_address=json.dumps([1]),
                          communication_preferences=json.dumps([1]))  # fmt: skip
    await customer.document(ACME, ADA, id="loop-a")
    await customer.document(ACME, ADA, id="loop-b", parent_document_id="loop-a")
    await customer.connection.execute(
        "UPDATE documents SET parent_document_id = 'loop-b' WHERE id = 'loop-a'"
    )
    first = await customer.document(ACME, ADA, is_current_version=False)
    second = await customer.document(ACME, ADA, version=2, parent_document_id=first, is_current_version=False)
    third = await customer.document(ACME, ADA, version=3, parent_document_id=second)
    await customer.user("no-role", "no-role@acme.example", organization_id=ACME, role_id="gone")
    await customer.user("boss", "boss@acme.example", organization_id=ACME, role_id="r-super_admin")
    report = await brought(customer, owner)
    assert ("mad", "progress") in changes(report, "workflow_executions")
    assert refusals(report, "workflow_executions").keys() == {"odd"}
    assert refusals(report, "clients").keys() == {"nan", "never", "bc", "rich"}
    assert ("listed", "communication_preferences") in changes(report, "clients")
    assert refusals(report, "documents") == dict.fromkeys(("loop-a", "loop-b"), "its parents form a circle")
    assert await one(admin, f"SELECT parent_document_id, version FROM documents WHERE id = '{third}'") == (
        UUID(first),
        3,
    )
    assert refusals(report, "users.organization_id").keys() == {"no-role", "boss"}
    assert await one(
        admin, "SELECT progress, status FROM workflow_executions WHERE status = 'completed'"
    ) == (100, "completed")
    (assigned,) = await one(admin, f"SELECT assigned_users FROM workflows WHERE id = '{flow}'")
    assert assigned == [str((await one(admin, "SELECT id FROM users WHERE email = 'bob@acme.example'"))[0])]


async def test_a_naive_time_is_read_where_it_was_written(
    customer: Earlier, owner: AsyncEngine, admin: AsyncEngine
) -> None:
    client = await customer.client(ACME, ADA)
    await customer.connection.execute("UPDATE clients SET created_at = '2024-07-01 12:00:00'")
    await customer.connection.execute(
        "UPDATE users SET date_of_birth = '1990-03-04 23:30:00' WHERE id = $1", ADA
    )
    await brought(customer, owner, zone=ZoneInfo("America/New_York"))
    (created,) = await one(admin, f"SELECT created_at FROM clients WHERE id = '{client}'")
    assert created.isoformat() == "2024-07-01T16:00:00+00:00"
    (born,) = await one(admin, f"SELECT date_of_birth FROM users WHERE id = '{ADA}'")
    assert born.isoformat() == "1990-03-04"


LATER = datetime(2030, 1, 1)  # noqa: DTZ001  the layout has naive times only
#: Columns that do not arrive as they are, each with the test or the rule that says what becomes of it.
OTHERWISE = {
    "id", "organization_id", "password", "role_id", "national_id", "tax_id", "totp_secret", "credentials", "settings",
    "email_verification_token", "email_verification_token_expiry", "password_reset_token",
    "password_reset_token_expiry", "backup_codes", "backup_codes_used", "mfa_enforced", "permissions_override",
    "frontend_entry", "backend_entry", "subscription_min_plan", "status", "assigned_users", "version", "is_published",
    "features",
    "updated_at",  # the trigger keeps it where a row is changed once more: a default organization, a version
    "email_verified_at",  # of an address that is verified
}  # fmt: skip


async def test_every_column_of_every_table_arrives(
    customer: Earlier, owner: AsyncEngine, admin: AsyncEngine
) -> None:
    """A row with something in each column: what is here afterwards is the same, or stands in OTHERWISE."""
    put, org = customer.put, {"organization_id": ACME}
    folder = await put("folders", name="F", created_by=ADA, **org)
    client = await customer.client(ACME, ADA)
    flow = await customer.workflow(ACME, ADA)
    plan = await put("subscription_plans", name="Gold")
    agent = await put(
        "ai_agents", slug="luca", name="Luca", category="assistant", frontend_entry="x", backend_entry="y"
    )
    session = await put("agent_sessions", agent_slug="luca", session_id="s1", user_id=ADA, **org)
    document = await customer.document(ACME, ADA, folder_id=folder, client_id=client)
    made = {
        "users": ADA,
        "user_mfa": await put("user_mfa", user_id=ADA),
        "organizations": ACME,
        "clients": client,
        "contacts": await put("contacts", first_name="A", last_name="B", client_id=client, created_by=ADA, **org),
        "folders": folder,
        "documents": document,
        "document_permissions": await put("document_permissions", document_id=document, user_id=BOB,
                                          permission_type="view", granted_by=ADA),
        "workflows": flow,
        "workflow_executions": await put("workflow_executions", workflow_id=flow, trigger_event="x",
                                         status="completed", started_by=ADA, **org),
        "ai_agents": agent,
        "organization_agents": await put("organization_agents", agent_slug="luca", installed_by=ADA, **org),
        "user_agent_access": await put("user_agent_access", user_id=BOB, agent_slug="luca", granted_by=ADA, **org),
        "agent_sessions": session,
        "agent_messages": await put("agent_messages", session_id="s1", role="user", content="hello"),
        "platform_subscriptions": await put("platform_subscriptions", plan_id=plan, plan_name="Gold",
                                            current_period_end=LATER, **org),
        "payment_gateway_configs": await put("payment_gateway_configs", gateway="stripe", credentials={},
                                             created_by=ADA, **org),
        "user_organizations": (await customer.connection.fetchval("SELECT id FROM user_organizations")),
        "subscription_plans": plan,
    }  # fmt: skip
    for table, id in made.items():
        await fill_in(customer, table, id)
    report = await brought(customer, owner)
    assert [entry for entry in report.entries if entry.fate is Fate.REFUSED] == []
    assert {table for table, count in report.counts.items() if count.imported == 0} == set()
    differing = []
    for table, id in made.items():
        (theirs,) = await customer.connection.fetch(
            f'SELECT to_jsonb(t) AS row FROM "{table}" t WHERE id = $1', id
        )
        (ours,) = await one(admin, f"SELECT to_jsonb(t) FROM \"{table}\" t WHERE id = '{id}'")
        for column, value in json.loads(theirs["row"]).items():
            if column in OTHERWISE or (table, column) in {("users", "organization_id")}:
                continue
            told = str(ours.get(column)).removesuffix("+00:00").removesuffix("Z")
            names = dict(await rows(admin, "SELECT id::text, source_id FROM legacy_ids"))
            if str(value) not in (told, names.get(told), f"{told}T00:00:00"):
                differing.append(f"{table}.{column}: {value!r} became {ours.get(column)!r}")
    assert differing == [], chr(10).join(differing)


async def fill_in(customer: Earlier, table: str, id: str) -> None:
    """Something in every column that is empty, by its type."""
    columns = await customer.connection.fetch(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_name = $1 AND table_schema = 'public'",
        table,
    )
    values = {"text": "'something'", "boolean": "true", "integer": "7", "numeric": "7.5", "jsonb": "'{}'",
              "timestamp without time zone": "'2024-02-03'", "ARRAY": "'{a,b}'"}  # fmt: skip
    special = {"parent_document_id", "template_id", "parent_id", "default_organization_id"}
    own = {"company_size": "'sme'", "verification_level": "'basic'", "kyc_status": "'pending'", "timezone": "'UTC'",
           "totp_secret": "'JBSWY3DPEHPK3PXP'", "file_hash": "repeat('a', 64)", "expires_at": "'2031-02-03'",
           "email": "'e@x.example'"}  # fmt: skip
    for column in columns:
        name, value = column["column_name"], own.get(column["column_name"], values.get(column["data_type"]))
        if value is not None and name not in special:
            await customer.connection.execute(
                f'UPDATE "{table}" SET "{name}" = {value} WHERE id = $1 AND "{name}" IS NULL', id
            )


async def counted(admin: AsyncEngine) -> dict[str, int]:
    tables = ("users", "organizations", "user_organizations", "clients", "contacts", "documents", "workflows",
              "workflow_versions", "workflow_executions", "legacy_ids", "encryption_keys")  # fmt: skip
    return {table: (await one(admin, f"SELECT count(*) FROM {table}"))[0] for table in tables}


async def fill(customer: Earlier, clients: int = 30) -> None:
    for organization, by in ((ACME, ADA), (BETA, CY)):
        for _ in range(clients):
            client = await customer.client(organization, by)
            await customer.put("contacts", organization_id=organization, client_id=client, first_name="A",
                               last_name="B", is_primary=True, created_by=by)  # fmt: skip
        flow = await customer.workflow(organization, by)
        await customer.put(
            "workflow_executions", workflow_id=flow, organization_id=organization, trigger_event="x"
        )


async def test_a_second_run_brings_nothing_twice_and_what_was_mended(
    customer: Earlier, owner: AsyncEngine, admin: AsyncEngine
) -> None:
    await fill(customer)
    broken = await customer.document(ACME, ADA, client_id=await customer.client(BETA, CY))
    first = await brought(customer, owner)
    before = await counted(admin)
    assert first.counts["documents"].refused == 1
    second = await brought(customer, owner)
    assert await counted(admin) == before
    assert sum(count.imported for count in second.counts.values()) == 0
    await customer.connection.execute("UPDATE documents SET client_id = NULL")
    third = await brought(customer, owner)
    assert third.counts["documents"].imported == 1
    assert await rows(admin, f"SELECT id FROM documents WHERE id = '{broken}'")


async def test_what_was_erased_meanwhile_does_not_come_back(
    customer: Earlier, owner: AsyncEngine, admin: AsyncEngine
) -> None:
    await fill(customer)
    first = await brought(customer, owner)
    async with admin.begin() as connection:
        await connection.exec_driver_sql(f"DELETE FROM organizations WHERE id = '{ACME}'")
    await customer.client(ACME, ADA)
    await customer.client(BETA, CY)
    again = await brought(customer, owner)
    assert (again.counts["clients"].imported, first.counts["clients"].imported > 0) == (1, True)
    assert set(refusals(again, "clients").values()) == {"its organization was erased here"}
    assert (await one(admin, f"SELECT count(*) FROM clients WHERE organization_id = '{ACME}'"))[0] == 0


async def test_an_import_that_broke_off_goes_on(
    customer: Earlier, owner: AsyncEngine, admin: AsyncEngine
) -> None:
    await fill(customer)

    class Killed(Exception):
        pass

    def say(text: str) -> None:
        if text == "organization 2 of 2":
            raise Killed

    with pytest.raises(Killed):
        await brought(customer, owner, say=say)
    halfway = await counted(admin)
    assert halfway["clients"] == 30, "the first organization is there whole"
    report = await brought(customer, owner)
    assert report.counts["clients"].known == report.counts["clients"].imported == 30
    assert (await counted(admin))["clients"] == 60


async def test_one_organization_is_there_whole_or_not_at_all(
    customer: Earlier, owner: AsyncEngine, admin: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(customer, clients=3)
    real = Import._part

    async def breaks(self: Import, scope: Any, writing: Any, part: Any, name: str) -> None:
        if part.table == "workflows" and scope.source_organization == BETA:
            raise asyncpg.PostgresConnectionError("gone")
        await real(self, scope, writing, part, name)

    monkeypatch.setattr(Import, "_part", breaks)
    with pytest.raises(asyncpg.PostgresConnectionError):
        await brought(customer, owner)
    organizations = {row.slug for row in await rows(admin, "SELECT slug FROM organizations")}
    assert "acme" in organizations
    assert "beta" not in organizations
    assert (await counted(admin))["clients"] == 3


async def test_afterwards_the_owner_sees_nothing_again(
    customer: Earlier, owner: AsyncEngine, admin: AsyncEngine
) -> None:
    await fill(customer, clients=1)
    await brought(customer, owner)
    assert await rows(admin, "SELECT 1 FROM pg_policies WHERE policyname = 'importing'") == []
    async with owner.connect() as connection:
        await connection.exec_driver_sql("SET LOCAL ROLE app_owner")
        assert (await connection.exec_driver_sql("SELECT count(*) FROM clients")).scalar() == 0


async def test_the_importer_cannot_write_into_another_organization(owner: AsyncEngine) -> None:
    stray = f"INSERT INTO clients (organization_id, name) VALUES ('{PLATFORM}', 'Stray')"
    with pytest.raises(DBAPIError, match="row-level security"):
        async with target.entered(owner, is_rehearsal=False) as into, into.transaction(uuid4()) as writing:
            await writing.connection.exec_driver_sql(stray)


async def test_a_rehearsal_tells_everything_and_keeps_nothing(
    customer: Earlier, owner: AsyncEngine, admin: AsyncEngine
) -> None:
    await fill(customer)
    before = await counted(admin)
    rehearsed = await brought(customer, owner, is_rehearsal=True)
    assert await counted(admin) == before
    real = await brought(customer, owner)
    assert rehearsed.as_json() == real.as_json()


async def test_rows_without_an_organization_are_told_of(customer: Earlier, owner: AsyncEngine) -> None:
    await customer.connection.execute("ALTER TABLE clients DROP CONSTRAINT clients_organization_id_fkey")
    await customer.client("nowhere", ADA, id="lost")
    report = await brought(customer, owner)
    assert refusals(report, "clients") == {"lost": "its organization does not exist"}


async def test_progress_is_told_beyond_500_rows(customer: Earlier, owner: AsyncEngine) -> None:
    await customer.connection.execute(
        f"INSERT INTO clients (organization_id, name, created_by) SELECT '{ACME}', 'n' || n, '{ADA}' "
        "FROM generate_series(1, 1200) n"
    )
    said: list[str] = []
    report = await brought(customer, owner, say=said.append)
    assert report.counts["clients"].imported == 1200
    assert [text for text in said if "rows; now clients" in text]


async def test_the_command(customer: Earlier, postgres: Cluster, database: str, tmp_path: Path) -> None:
    await customer.document(ACME, ADA, client_id=await customer.client(BETA, CY))
    report = tmp_path / "report.json"
    environment = {
        "PERDURE_DATABASE_DIRECT_URL": postgres.url(database, OWNER),
        "PERDURE_MASTER_KEYS": "test:" + "bW1t" * 10 + "bW0=",
        "PATH": "",
    }

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "perdure", "migrate", "import", *options]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    done = await asyncio.to_thread(run, customer.url, "--report", str(report), "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dry_run"]
    done = await asyncio.to_thread(run, customer.url, "--report", str(report), "--time-zone", "Europe/Berlin")
    assert done.returncode == 0, done.stderr
    assert "1 refused" in done.stdout
    assert oct(report.stat().st_mode)[-3:] == "600"
    told = json.loads(report.read_text())
    assert told["tables"]["documents"] == {"source": 1, "imported": 0, "known": 0, "refused": 1}
    assert [secret for secret in SECRETS if secret in done.stdout + done.stderr + report.read_text()] == []
    for wrong in (["--time-zone", "Mars/Olympus"], ["--role", "boss=emperor"]):
        refused = await asyncio.to_thread(run, customer.url, *wrong)
        assert refused.returncode == 1, wrong
        assert "mend" not in refused.stderr
    gone = await asyncio.to_thread(run, "postgresql://nobody@127.0.0.1:1/none")
    assert gone.returncode == 1
    assert "cannot be reached" in gone.stderr


async def test_a_killed_import_is_gone_on_with(
    customer: Earlier, postgres: Cluster, database: str, admin: AsyncEngine
) -> None:
    for organization, by in ((ACME, ADA), (BETA, CY)):
        await customer.connection.execute(
            f"INSERT INTO clients (organization_id, name, created_by) SELECT '{organization}', 'n' || n, '{by}' "
            "FROM generate_series(1, 1000) n"
        )
    environment = {
        "PERDURE_DATABASE_DIRECT_URL": postgres.url(database, OWNER),
        "PERDURE_MASTER_KEYS": "test:" + "bW1t" * 10 + "bW0=",
        "PATH": "",
    }
    command = [sys.executable, "-m", "perdure", "migrate", "import", customer.url]
    killed = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    assert killed.stderr is not None
    while line := await killed.stderr.readline():
        if b"organization 2 of 2" in line:
            break
    killed.kill()
    await killed.wait()
    left = await rows(admin, "SELECT 1 FROM pg_policies WHERE policyname = 'importing'")
    assert left, "it was killed in the middle"
    assert (await counted(admin))["clients"] == 1000
    again = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, complaints = await again.communicate()
    assert again.returncode == 0, complaints.decode()
    assert "1000" in said.decode()
    assert (await counted(admin))["clients"] == 2000
    assert await rows(admin, "SELECT 1 FROM pg_policies WHERE policyname = 'importing'") == []
