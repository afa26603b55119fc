"""What no role may do in any context, asked of every table that the metadata knows.

`findings` returns one sentence per leak and per lost row, none when the database isolates its tenants. The
tests assert that it is empty; `scripts/mutate_rls.py` breaks one policy at a time and asserts that it is not.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from sqlalchemy import Column, Table, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.session import Access, Role, enter
from db.tables import SYSTEM_TABLES, metadata
from domain.errors import Forbidden
from tests.factories import rows

#: SQLSTATEs of a refusal: insufficient privilege, and a row that a policy does not admit.
DENIED = {"42501"}
MALFORMED = {"22P02"}
PRIVILEGES = text(
    "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('public.' || :table) AND attnum > 0 "
    "AND has_column_privilege(:role, attrelid, attnum, :privilege)"
)
Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Context:
    """What a transaction says about who is asking; `settings` go in unchecked, past app.enter."""

    name: str
    organization_id: UUID | None = None
    user_id: UUID | None = None
    settings: str | None = None


@dataclass(slots=True)
class World:
    """Two organizations with rows in every table, and every row of them as the superuser sees it."""

    a: rows.Row
    b: rows.Row
    everything: dict[str, list[Row]] = field(default_factory=dict)
    #: Columns by role, table and privilege.
    privileges: dict[tuple[Role, str, str], set[str]] = field(default_factory=dict)

    def contexts(self) -> list[Context]:
        return [
            Context("unset"),
            Context("''", settings=""),
            Context("malformed", settings="0 OR true"),
            Context("A", self.a["id"], self.a["created_by"]),
            Context("B", self.b["id"], self.b["created_by"]),
        ]

    def other(self, context: Context) -> rows.Row:
        return self.a if context.organization_id == self.b["id"] else self.b


async def settle(admin: AsyncEngine) -> World:
    """Fill an empty migrated database with two organizations that share one member."""
    async with admin.begin() as connection:
        a, b = await rows.tenant(connection), await rows.tenant(connection)
        shared = await rows.user(connection)
        for each in (a, b):
            await rows.member(connection, each["id"], user_id=shared["id"])
    world = World(a, b)
    await look(admin, world)
    return world


async def look(admin: AsyncEngine, world: World) -> None:
    async with admin.begin() as connection:
        for table in metadata.sorted_tables:
            found = (await connection.execute(select(table))).mappings()
            world.everything[table.name] = [dict(row) for row in found]
            for role in (Role.API, Role.WORKER):
                for privilege in ("SELECT", "INSERT", "UPDATE"):
                    names = await connection.scalars(
                        PRIVILEGES, {"role": str(role), "table": table.name, "privilege": privilege}
                    )
                    world.privileges[role, table.name, privilege] = set(names)


async def findings(app: AsyncEngine, world: World, tables: Iterable[str] | None = None) -> list[str]:
    """Every leak found, as sentences. `app` connects as the application's login."""
    chosen = [metadata.tables[name] for name in tables] if tables else metadata.sorted_tables
    found: list[str] = []
    async with app.connect() as connection:
        for role in (Role.API, Role.WORKER):
            for context in world.contexts():
                for table in chosen:
                    probe = Probe(connection, world, role, context, table)
                    found += [f"{role} in context {context.name}: {leak}" for leak in await probe.run()]
        for table in chosen:
            found += await system(connection, world, table)
        found += await strangers(connection, world)
    return found


@dataclass(slots=True)
class Probe:
    """Every operation on one table in one context, each in a transaction that is rolled back."""

    connection: AsyncConnection
    world: World
    role: Role
    context: Context
    table: Table

    async def run(self) -> list[str]:
        checks: list[Callable[[], Any]] = [
            self.reading,
            self.inserting,
            self.updating,
            self.moving,
            self.deleting,
            self.upserting,
            self.taking_over,
            self.living,
        ]
        try:
            return [leak for check in checks for leak in [await check()] if leak]
        except Forbidden:
            return ["a member cannot enter"]

    @asynccontextmanager
    async def inside(self) -> AsyncIterator[AsyncConnection]:
        async with self.connection.begin() as transaction:
            if self.context.organization_id:
                access = Access(self.role, self.context.organization_id, self.context.user_id)
                await enter(self.connection, access)
            else:
                await self.connection.execute(
                    text("SELECT set_config('role', :r, true)"), {"r": str(self.role)}
                )
                if self.context.settings is not None:
                    await self.connection.execute(
                        text(
                            "SELECT set_config('app.org_id', :v, true), set_config('app.user_id', :v, true)"
                        ),
                        {"v": self.context.settings},
                    )
            yield self.connection
            await transaction.rollback()

    async def attempt(self, statement: Any) -> list[Any] | None:
        """The rows a statement returned, or None when it was denied. Raises Undenied for any other error."""
        try:
            async with self.inside() as connection:
                return list((await connection.execute(statement)).all())
        except DBAPIError as error:
            allowed = DENIED | (MALFORMED if self.context.settings else set())
            if getattr(error.orig, "sqlstate", None) in allowed:
                return None
            raise Undenied(str(error.orig)) from error

    def key(self) -> list[Column[Any]]:
        return list(self.table.primary_key.columns)

    def ours(self, row: Row) -> bool:
        """Whether the row may be seen in this context; what the policies must agree with."""
        organization_id, user_id = self.context.organization_id, self.context.user_id
        if self.table.name == "organizations":
            return bool(row["id"] == organization_id)
        if self.table.name == "roles":
            return row["organization_id"] is None or bool(row["organization_id"] == organization_id)
        if self.table.name == "sessions":
            return bool(row["user_id"] == user_id)
        if self.table.name == "users":
            return row["id"] == user_id or any(
                member["user_id"] == row["id"]
                and member["organization_id"] == organization_id
                and member["status"] == "active"
                for member in self.world.everything["user_organizations"]
            )
        return bool(row["organization_id"] == organization_id)

    def foreign(self) -> Row:
        """A row that this context may not see, and that nobody shares with it."""
        hidden = [row for row in self.world.everything[self.table.name] if not self.ours(row)]
        tenant = self.world.other(self.context)["id"]
        return next((row for row in hidden if row.get("organization_id", row.get("id")) == tenant), hidden[0])

    def this(self, row: Row) -> Any:
        return _all(column == row[column.name] for column in self.key())

    def allowed(self, privilege: str) -> set[str]:
        """Columns the role may use the privilege on: not what is probed, only where probing makes sense."""
        return self.world.privileges[self.role, self.table.name, privilege]

    async def reading(self) -> str | None:
        found = await self.attempt(select(*self.key()))
        readable = self.allowed("SELECT")
        if found is None:
            return f"cannot read {self.table.name} at all" if readable and not self.context.settings else None
        expected = {
            tuple(row[column.name] for column in self.key())
            for row in self.world.everything[self.table.name]
            if self.ours(row)
        }
        seen = {tuple(row) for row in found}
        if seen - expected:
            return f"reads {len(seen - expected)} foreign rows of {self.table.name}"
        if expected - seen:
            return f"does not see {len(expected - seen)} of its own rows of {self.table.name}"
        return None

    async def inserting(self) -> str | None:
        return await self.refused(
            "inserts a foreign row into", insert(self.table).values(self.fresh(self.foreign()))
        )

    async def updating(self) -> str | None:
        statement = update(self.table).where(self.this(self.foreign())).values(self.change())
        return await self.changes_nothing("updates a foreign row of", statement)

    async def moving(self) -> str | None:
        """Its own row to the other organization; without own rows, a foreign one to a third place."""
        if "organization_id" not in self.table.c:
            return None
        target = self.world.other(self.context)["id"]
        mine = [row for row in self.world.everything[self.table.name] if self.ours(row)]
        mine = [row for row in mine if row["organization_id"] is not None] or [self.foreign()]
        statement = update(self.table).where(self.this(mine[-1])).values(organization_id=target)
        return await self.changes_nothing("moves a row to the other organization in", statement)

    async def deleting(self) -> str | None:
        statement = delete(self.table).where(self.this(self.foreign()))
        return await self.changes_nothing("deletes a foreign row of", statement)

    async def upserting(self) -> str | None:
        return await self.refused("upserts a foreign row of", self.collision(self.foreign()))

    async def taking_over(self) -> str | None:
        """A row that claims to be ours and collides with the key of a foreign one."""
        if self.context.organization_id is None or "organization_id" in self.table.primary_key.columns:
            return None
        stolen = {**self.foreign()}
        if "organization_id" in self.table.c:
            stolen["organization_id"] = self.context.organization_id
        return await self.refused("takes over a foreign row of", self.collision(stolen))

    async def living(self) -> str | None:
        """What the role was granted works on its own rows: a policy that is lost shows here too."""
        mine = [row for row in self.world.everything[self.table.name] if self.ours(row)]
        mine = [row for row in mine if row.get("organization_id", row.get("id"))] if mine else mine
        if self.context.organization_id is None or not mine or self.table.name == "roles":
            return None
        own = (
            next((row for row in mine if row["id"] == self.context.user_id), mine[0])
            if (self.table.name == "users")
            else mine[0]
        )
        if self.allowed("UPDATE"):
            changed = update(self.table).where(self.this(own)).values(self.change())
            if not await self.attempt(changed.returning(*self.key())):
                return f"cannot update its own row of {self.table.name}"
        if self.allowed("INSERT"):
            try:
                if (
                    await self.attempt(insert(self.table).values(self.fresh(own)).returning(*self.key()))
                    is None
                ):
                    return f"cannot insert its own row into {self.table.name}"
            except Undenied as error:
                if "duplicate key" not in str(error):
                    raise
        return None

    def collision(self, values: Row) -> Any:
        statement = upsert(self.table).values(
            {self.table.c[name]: value for name, value in _plain(self.table, values)}
        )
        changed = self.key()[-1]
        return statement.on_conflict_do_update(
            index_elements=self.key(), set_={changed: values[changed.name]}
        )

    def change(self) -> dict[Any, Any]:
        """Some column set to itself, preferring one that the role may change."""
        changeable = self.allowed("UPDATE")
        column = next((c for c in self.table.columns if c.name in changeable), self.key()[0])
        return {column: column}

    def fresh(self, row: Row) -> dict[Any, Any]:
        """The row again under keys of its own."""
        values = dict(_plain(self.table, row))
        for column in self.table.columns:
            unique = any(column.name in names for names in _unique(self.table))
            if unique and not column.foreign_keys and values.get(column.name) is not None:
                values[column.name] = rows.made_up(column)
        return {self.table.c[name]: value for name, value in values.items()}

    async def refused(self, what: str, statement: Any) -> str | None:
        try:
            found = await self.attempt(statement.returning(func.now()))
        except Undenied as error:
            return f"{what} {self.table.name}: no policy stopped it, only {error}"
        return None if found is None else f"{what} {self.table.name}"

    async def changes_nothing(self, what: str, statement: Any) -> str | None:
        try:
            found = await self.attempt(statement.returning(func.now()))
        except Undenied as error:
            return f"{what} {self.table.name}: no policy stopped it, only {error}"
        return f"{what} {self.table.name}" if found else None


class Undenied(Exception):
    """A statement failed for another reason than being denied."""


async def system(connection: AsyncConnection, world: World, table: Table) -> list[str]:
    """app_system sees every row of the tables it needs and not one of any other."""
    try:
        async with connection.begin() as transaction:
            await enter(connection, Access(Role.SYSTEM))
            seen = await connection.scalar(select(func.count()).select_from(table))
            await transaction.rollback()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in DENIED:
            raise
        return [f"app_system cannot read {table.name}"] if table.name in SYSTEM_TABLES else []
    if table.name not in SYSTEM_TABLES:
        return [f"app_system reads {table.name}, which is not on its list"]
    missing = len(world.everything[table.name]) - (seen or 0)
    return [f"app_system does not see {missing} rows of {table.name}"] if missing else []


async def owner(admin: AsyncEngine, tables: Iterable[str] | None = None) -> list[str]:
    """FORCE hides the rows from the role that owns the tables, too."""
    found = []
    async with admin.connect() as connection:
        await connection.execute(text("SET LOCAL ROLE app_owner"))
        for name in tables or metadata.tables:
            seen = await connection.scalar(select(func.count()).select_from(metadata.tables[name]))
            if seen:
                found.append(f"app_owner sees {seen} rows of {name}")
        await connection.rollback()
    return found


async def strangers(connection: AsyncConnection, world: World) -> list[str]:
    """A user enters only organizations with an active membership."""
    found = []
    for user_id in (world.a["created_by"], uuid4()):
        try:
            async with connection.begin():
                await enter(connection, Access(Role.API, world.b["id"], user_id))
            found.append("app.enter lets in a user without a membership")
        except Forbidden:
            pass
    return found


def _plain(table: Table, row: Row) -> list[tuple[str, Any]]:
    """Column names and values for an insert; SQL NULL stays NULL, also for JSON."""
    return [(column.name, row[column.name]) for column in table.columns if row[column.name] is not None]


def _unique(table: Table) -> list[set[str]]:
    """Column sets that must be unique, without the organization."""
    keys = [{column.name for column in index.columns} for index in table.indexes if index.unique]
    keys += [
        {column.name for column in constraint.columns}  # type: ignore[attr-defined]
        for constraint in table.constraints
        if type(constraint).__name__ in ("PrimaryKeyConstraint", "UniqueConstraint")
    ]
    return [key - {"organization_id"} for key in keys]


def _all(conditions: Iterable[Any]) -> Any:
    result = None
    for condition in conditions:
        result = condition if result is None else result & condition
    return result
