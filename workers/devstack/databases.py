"""Logins and databases inside the cluster; roles of the schema belong to the migrations.

- `postgres`: superuser, for the stack itself.
- `perdure_owner`: runs migrations. CREATEROLE because they create the `app_*` roles; what it creates it
  may also SET ROLE to and grant (`createrole_self_grant`), as on a managed PostgreSQL.
- `perdure_app`: the running product. NOINHERIT: without an explicit role of a transaction it may nothing.
"""

import asyncpg

SUPERUSER = "postgres"
OWNER = "perdure_owner"
RUNTIME = "perdure_app"
LOGINS = {
    OWNER: "LOGIN CREATEROLE NOSUPERUSER NOBYPASSRLS",
    RUNTIME: "LOGIN NOINHERIT NOCREATEROLE NOSUPERUSER NOBYPASSRLS",
}


async def create_logins(admin_url: str, database: str, passwords: dict[str, str]) -> None:
    """Create the logins and the database owned by `perdure_owner`; repeatable."""
    connection = await asyncpg.connect(admin_url)
    try:
        present = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
        for login, attributes in LOGINS.items():
            if login not in present:
                await _execute(connection, f"CREATE ROLE {login} {attributes} PASSWORD %L", passwords[login])
        await connection.execute(f"ALTER ROLE {OWNER} SET createrole_self_grant = 'set, inherit'")
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", database):
            await _execute(connection, f"CREATE DATABASE %I OWNER {OWNER} TEMPLATE template0", database)
        await _execute(connection, "REVOKE ALL ON DATABASE %I FROM PUBLIC", database)
        await _execute(connection, f"GRANT CONNECT ON DATABASE %I TO {RUNTIME}", database)
    finally:
        await connection.close()


async def copy_database(admin_url: str, template: str, name: str) -> None:
    """Create `name` as a copy of `template`, which nobody may be connected to."""
    connection = await asyncpg.connect(admin_url)
    try:
        # FILE_COPY costs a checkpoint, which without fsync (tests) is cheaper than logging every block
        await _execute(
            connection, f"CREATE DATABASE %I OWNER {OWNER} TEMPLATE %I STRATEGY FILE_COPY", name, template
        )
        await _execute(connection, "REVOKE ALL ON DATABASE %I FROM PUBLIC", name)
        await _execute(connection, f"GRANT CONNECT ON DATABASE %I TO {RUNTIME}", name)
        # What the migrations granted on the template itself is not copied with it.
        if await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = 'app_system'"):
            await _execute(connection, "GRANT TEMPORARY ON DATABASE %I TO app_system", name)
    finally:
        await connection.close()


async def drop_database(admin_url: str, name: str) -> None:
    """Drop a database, ending the connections to it."""
    connection = await asyncpg.connect(admin_url)
    try:
        await _execute(connection, "DROP DATABASE IF EXISTS %I WITH (FORCE)", name)
    finally:
        await connection.close()


async def _execute(connection: asyncpg.Connection, template: str, *words: str) -> None:
    """Run a statement that cannot take parameters; the server itself quotes the words into it."""
    places = ", ".join(f"${n + 2}::text" for n in range(len(words)))
    statement = await connection.fetchval(f"SELECT format($1, {places})", template, *words)
    await connection.execute(statement)
