"""Two organizations with rows in every table, and the contexts from which somebody may look at them."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.session import Role
from db.tables import metadata
from tests.factories import rows

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
