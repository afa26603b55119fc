"""Every operation on one table from one context, and what must come of it."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Table, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Access, Role, enter
from db.tables import SHARED_TABLES, metadata
from db.tenants import SHIPPED_ROLES
from domain.errors import Forbidden
from domain.permissions import RoleName
from tests.db.world import Context, Row, World
from tests.factories import rows

#: SQLSTATEs of a refusal: insufficient privilege, and a row that a policy does not admit.
DENIED = {"42501"}
MALFORMED = {"22P02"}
#: Tables of the platform: their key, and the table and column by which an organization has a row of them.
OFFERED = {
    "ai_agents": ("slug", "organization_agents", "agent_slug"),
    "subscription_plans": ("id", "platform_subscriptions", "plan_id"),
}
#: Tables with a `visibility`: the column of who made a row, and what members see who are no clients.
VISIBLE_BY = {
    "documents": ("uploaded_by", {"team", "client", "public"}),
    "workflows": ("created_by", {"organization"}),
}
#: What those members see of these who are clients.
OF_CLIENTS = {"documents": {"public"}, "workflows": {"organization"}}
#: Tasks, and the column by which a row belongs to one.
TASKS_BY = {"tasks": "id", "task_events": "task_id", "task_links": "task_id"}
#: Tables whose rows belong to a person.
PERSONAL = {
    name
    for name in SHARED_TABLES
    if "user_id" in metadata.tables[name].c and "organization_id" not in metadata.tables[name].c
}


class Undenied(Exception):
    """A statement failed for another reason than being denied."""


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
        if self.table.name in OFFERED:
            return row["is_published"] or self.has(row)
        if self.table.name in PERSONAL:
            return bool(row["user_id"] == user_id)
        if self.table.name == "users":
            return row["id"] == user_id or any(
                member["user_id"] == row["id"]
                and member["organization_id"] == organization_id
                and member["status"] in ("active", "suspended")
                for member in self.world.everything["user_organizations"]
            )
        if "organization_id" not in row or row["organization_id"] != organization_id:
            return False
        return self.role is not Role.API or self.shown(row)

    def shown(self, row: Row) -> bool:
        """What `visibility` lets the API show to the context's user: everything to a founder, who may audit."""
        user_id, world = self.context.user_id, self.world
        is_guest = user_id == world.guest["id"]
        if self.table.name in TASKS_BY and is_guest:
            return self.is_put_to_guest(row[TASKS_BY[self.table.name]])
        if self.table.name not in VISIBLE_BY or user_id in (world.a["created_by"], world.b["created_by"]):
            return True
        creator, everybody = VISIBLE_BY[self.table.name]
        everybody = OF_CLIENTS[self.table.name] if is_guest else everybody
        role = SHIPPED_ROLES[RoleName.CLIENT if is_guest else RoleName.MEMBER]
        if row[creator] == user_id or row["visibility"] in everybody:
            return True
        if self.table.name == "workflows":
            return row["visibility"] == "team" and str(user_id) in row["assigned_users"]
        return any(
            permission["document_id"] == row["id"]
            and (permission["user_id"] == user_id or permission["role_id"] == role)
            and (permission["expires_at"] is None or permission["expires_at"] > datetime.now(UTC))
            for permission in world.everything["document_permissions"]
        )

    def is_put_to_guest(self, task_id: Any) -> bool:
        """Whether a task names them, is or was theirs, or has a line of theirs in its history."""
        guest, world = self.world.guest, self.world
        task = next(row for row in world.everything["tasks"] if row["id"] == task_id)
        return (
            not {f"user:{guest['email']}", "role:client"}.isdisjoint(task["assignees"])
            or guest["id"] in (task["claimed_by"], task["decided_by"])
            or any(
                line["task_id"] == task_id and line["user_id"] == guest["id"]
                for line in world.everything["task_events"]
            )
        )

    def has(self, offered: Row) -> bool:
        """Whether the organization took what the platform offers, or once offered."""
        key, taken, reference = OFFERED[self.table.name]
        return any(
            row[reference] == offered[key] and row["organization_id"] == self.context.organization_id
            for row in self.world.everything[taken]
        )

    def mine(self, row: Row) -> bool:
        """Whether the row is this context's own to change, not only to see."""
        if self.table.name == "users":
            return bool(row["id"] == self.context.user_id)
        return self.ours(row) and row.get("organization_id", "") is not None

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
        mine = [row for row in self.world.everything[self.table.name] if self.mine(row)]
        mine = mine or [self.foreign()]
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
        mine = [row for row in self.world.everything[self.table.name] if self.mine(row)]
        if self.context.organization_id is None or not mine:
            return None
        if self.allowed("UPDATE"):
            changed = update(self.table).where(self.this(mine[0])).values(self.change())
            if not await self.attempt(changed.returning(*self.key())):
                return f"cannot update its own row of {self.table.name}"
        if self.allowed("INSERT"):
            added = insert(self.table).values(self.fresh(mine[0]))
            try:
                if await self.attempt(added.returning(*self.key())) is None:
                    return f"cannot insert its own row into {self.table.name}"
            except Undenied as error:
                if "duplicate key" not in str(error):  # a second membership of one person, say
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
        renewed: set[str] = set()
        for key in sorted(_unique(self.table), key=len):
            if key & renewed or not key <= values.keys():
                continue
            free = [name for name in sorted(key - rows.SAMPLES[self.table.name].keys()) if self.free(name)]
            for name in free[:1]:
                values[name] = rows.made_up(self.table.c[name])
                renewed.add(name)
        return {self.table.c[name]: value for name, value in values.items()}

    def free(self, name: str) -> bool:
        return not self.table.c[name].foreign_keys

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
