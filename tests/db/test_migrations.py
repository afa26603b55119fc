"""Migrations: there, back and there again, with data; equal to the models; two at once; on older servers."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import create_engine
from db.tables import metadata
from db.tenants import PLATFORM
from tests.conftest import Cluster
from tests.db import isolation
from tests.db.servers import installed, running
from tests.db.world import settle
from tests.factories import rows
from workers import migrate
from workers.devstack.databases import LOGINS, OWNER, RUNTIME, SUPERUSER

ROOT = Path(__file__).resolve().parents[2]
#: Tables without entrances and policies; below it there is nothing to keep.
BARE = "0002"
#: What runs where this release is not yet.
RELEASE_BEFORE = "0012"
#: Of which a test's tenants have no rows.
NOBODYS: set[str] = set()
APP_ROLES = (
    "SELECT count(*) FROM pg_roles WHERE rolname IN ('app_owner', 'app_api', 'app_worker', 'app_system')"
)


def address(url: str, login: str, database: str) -> str:
    """The same server for another login and database."""
    return make_url(url).set(username=login, database=database).render_as_string(hide_password=False)


def newest() -> str | None:
    return ScriptDirectory(str(ROOT / "migrations")).get_current_head()


def compared(connection: Connection) -> list[object]:
    def ours(name: str | None, kind: str, _: object) -> bool:
        return kind != "table" or not str(name).startswith(("activity_logs_", "alembic_version"))

    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True, "include_name": ours}
    )
    return list(compare_metadata(context, metadata))


async def test_the_models_describe_exactly_what_the_migrations_make(admin: AsyncEngine) -> None:
    async with admin.connect() as connection:
        assert await connection.run_sync(compared) == []


async def test_there_and_back_and_there_again_with_data(admin: AsyncEngine, owner_url: str) -> None:
    async with admin.begin() as connection:
        await rows.tenant(connection)
        await rows.tenant(connection)
    await admin.dispose()
    migrate.downgrade(owner_url, "base")
    async with admin.connect() as connection:
        left = await connection.scalars(
            text(
                "SELECT relname FROM pg_class "
                "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
                "UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'app' "
                "UNION ALL SELECT 'default privileges' FROM pg_default_acl"
            )
        )
        assert set(left) == {"alembic_version"}
    await admin.dispose()
    migrate.upgrade(owner_url)
    async with admin.begin() as connection:
        assert await connection.run_sync(compared) == []
        await rows.tenant(connection)


#: What a step takes away by design, with its rows: table, and which of them.
GOES = {
    # The processes' own organization, and the columns that tell its rows apart, came together.
    ("0013", "organizations"): f"id = '{PLATFORM}'",
    ("0013", "encryption_keys"): f"organization_id = '{PLATFORM}'",
    ("0013", "activity_logs"): f"organization_id = '{PLATFORM}'",
    ("0013", "workflows"): "process IS NOT NULL",
}


async def contents(connection: asyncpg.Connection) -> dict[str, dict[str, dict[str, object]]]:
    """Table → row by its key → column → value, of everything there is."""
    tables = await connection.fetch(
        "SELECT c.relname, array(SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid "
        "AND a.attnum = ANY (i.indkey) WHERE i.indrelid = c.oid AND i.indisprimary) AS key FROM pg_class c "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
        "AND c.relname <> 'alembic_version'"
    )
    found: dict[str, dict[str, dict[str, object]]] = {}
    for table in tables:
        rows_of = await connection.fetch(f'SELECT * FROM "{table["relname"]}"')
        found[table["relname"]] = {str([row[name] for name in table["key"]]): dict(row) for row in rows_of}
    return found


def lost(
    before: dict[str, dict[str, dict[str, object]]], after: dict[str, dict[str, dict[str, object]]]
) -> list[str]:
    """Rows of tables that are there before and after, and values of columns that are, that are not the same."""
    told = []
    for table in before.keys() & after.keys():
        for key, row in before[table].items():
            kept = after[table].get(key)
            if kept is None:
                told.append(f"{table}: a row is gone")
            elif changed := [name for name in row.keys() & kept.keys() if row[name] != kept[name]]:
                told.append(f"{table}: {', '.join(sorted(changed))} changed")
    return sorted(set(told))


async def test_every_row_survives_every_step_there_and_back(
    admin: AsyncEngine, owner_url: str, admin_url: str
) -> None:
    """With rows in every table: what a step does not take away with a table or column is there after it."""
    async with admin.begin() as connection:
        await rows.tenant(connection)
        await rows.tenant(connection)
        filled = {row.relname for row in await connection.execute(text(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        ))}  # fmt: skip
    await admin.dispose()
    looking = await asyncpg.connect(admin_url, statement_cache_size=0)
    before = await contents(looking)
    # Each has rows, or this would prove nothing of it.
    assert {table for table in before.keys() & filled if not before[table]} == NOBODYS
    told = []
    steps = [revision.revision for revision in ScriptDirectory(str(ROOT / "migrations")).walk_revisions()]
    assert steps[0] == newest()
    for revision, below in pairwise(steps[: steps.index(BARE) + 1]):
        for (step, table), which in GOES.items():
            if step == revision:
                gone = await looking.fetch(f"SELECT id::text FROM {table} WHERE {which}")
                ids = {row["id"] for row in gone}
                before[table] = {
                    key: row for key, row in before[table].items() if str(row.get("id")) not in ids
                }
        migrate.downgrade(owner_url, below)
        after = await contents(looking)
        told += [f"back from {revision}: {each}" for each in lost(before, after)]
        before = after
    for revision in reversed(steps[: steps.index(BARE)]):
        migrate.upgrade(owner_url, revision)
        after = await contents(looking)
        told += [f"on to {revision}: {each}" for each in lost(before, after)]
        before = after
    await looking.close()
    assert told == []


async def test_what_the_release_before_writes_is_taken_after_the_migration(
    postgres: Cluster, admin: AsyncEngine, owner_url: str, admin_url: str
) -> None:
    """Old code goes on writing while nodes are replaced: no new column is required of it, no new rule refuses it."""
    async with admin.begin() as connection:
        await rows.tenant(connection)
    await admin.dispose()
    migrate.downgrade(owner_url, RELEASE_BEFORE)
    there = await asyncpg.connect(admin_url, statement_cache_size=0)
    written = await contents(there)
    await there.close()
    name = postgres.create()
    here = await asyncpg.connect(postgres.url(name, SUPERUSER))
    refused = []
    for table in metadata.sorted_tables:
        later = {c.name for key in table.foreign_key_constraints if key.use_alter for c in key.columns}
        for row in written.get(table.name, {}).values():
            values = {
                column: value
                for column, value in row.items()
                if table.c[column].computed is None and (column not in later or column == "organization_id")
            }
            places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
            named = ", ".join(f'"{column}"' for column in values)
            try:
                await here.execute(
                    f'INSERT INTO "{table.name}" ({named}) VALUES ({places}) ON CONFLICT DO NOTHING',
                    *values.values(),
                )
            except asyncpg.PostgresError as error:
                refused.append(f"{table.name}: {error}")
    await here.close()
    postgres.drop(name)
    assert refused == []


async def test_the_sql_for_a_database_administrator_does_the_same(owner_url: str, admin: AsyncEngine) -> None:
    await admin.dispose()
    connection = await asyncpg.connect(owner_url)
    await connection.execute(migrate.sql(down=True))
    assert await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'app'") == 0
    await connection.execute("DROP TABLE alembic_version")  # Alembic's own, which it leaves empty
    await connection.execute(migrate.sql())
    await connection.close()
    async with admin.connect() as checked:
        assert await checked.run_sync(compared) == []
        assert await checked.scalar(text("SELECT version_num FROM alembic_version")) == newest()


@pytest.mark.parametrize(("down", "rules"), [(False, "squawk.toml"), (True, "squawk-back.toml")])
def test_squawk_finds_no_dangerous_statement(down: bool, rules: str) -> None:
    """Each exception stands in the file of rules with its reason."""
    linted = subprocess.run(
        [str(Path(sys.executable).parent / "squawk"), "-c", f"migrations/{rules}"],
        input=migrate.sql(down=down),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert linted.returncode == 0, linted.stdout


@pytest.fixture(scope="module", params=installed(), ids=lambda install: f"postgresql-{install.name}")
def older(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty cluster of another version, with our two logins and the databases `one` and `two`."""
    with running(request.param) as url:
        asyncio.run(prepare(url))
        yield url


async def upgrades(*urls: str) -> None:
    """Several at once, each a process: Alembic keeps its context in a global of the module."""
    running = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "workers.migrate", "upgrade"),
            cwd=ROOT,
            env={"PERDURE_DATABASE_DIRECT_URL": url},
            stderr=asyncio.subprocess.PIPE,
        )
        for url in urls
    ]
    for process in running:
        _, complaints = await process.communicate()
        assert process.returncode == 0, complaints.decode()


async def prepare(url: str) -> None:
    connection = await asyncpg.connect(url)
    for login, attributes in LOGINS.items():
        await connection.execute(f"CREATE ROLE {login} {attributes}")
    for database in ("one", "two"):
        await connection.execute(f"CREATE DATABASE {database} OWNER {OWNER}")
    await connection.close()


async def test_an_older_server_isolates_too_and_two_databases_share_its_roles(older: str) -> None:
    """Two databases of a fresh cluster migrate at the same moment: each needs roles the other is making."""
    databases = {name: address(older, OWNER, name) for name in ("one", "two")}
    # One of them twice: the second waits for the first and finds nothing to do.
    await upgrades(databases["one"], databases["two"], databases["one"])

    admin = create_engine(address(older, SUPERUSER, "one"), pool_size=1)
    app = create_engine(address(older, RUNTIME, "one"), pool_size=1)
    world = await settle(admin)
    assert await isolation.findings(app, world) + await isolation.owner(admin) == []
    await admin.dispose()
    await app.dispose()

    cluster = await asyncpg.connect(older)
    await asyncio.to_thread(migrate.downgrade, databases["one"], "base")
    assert await cluster.fetchval(APP_ROLES) == 4, "the other database still uses them"
    await asyncio.to_thread(migrate.downgrade, databases["two"], "base")
    assert await cluster.fetchval(APP_ROLES) == 0, "nobody uses them any more"
    await cluster.close()
