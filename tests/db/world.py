"""Two organizations with rows in every table, and the contexts from which somebody may look at them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.session import Role
from db.tables import metadata
from db.tenants import SHIPPED_ROLES
from domain.permissions import RoleName
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
    #: A plain member of both.
    member: rows.Row
    #: A client of A's: a member who sees what is put to them, of tasks for instance.
    guest: rows.Row
    everything: dict[str, list[Row]] = field(default_factory=dict)
    #: Columns by role, table and privilege.
    privileges: dict[tuple[Role, str, str], set[str]] = field(default_factory=dict)
    #: What the functions of `tests/db/doors.py` are asked about.
    asked: dict[str, Any] = field(default_factory=dict)

    def contexts(self) -> list[Context]:
        return [
            Context("unset"),
            Context("''", settings=""),
            Context("malformed", settings="0 OR true"),
            Context("A", self.a["id"], self.a["created_by"]),
            Context("B", self.b["id"], self.b["created_by"]),
            Context("a member of A", self.a["id"], self.member["id"]),
            Context("a client of A", self.a["id"], self.guest["id"]),
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
            await seen_by_some(connection, each["id"], shared["id"])
        guest = await rows.user(connection)
        await rows.member(connection, a["id"], user_id=guest["id"], role=RoleName.CLIENT)
        for each in (a, b):
            await put_to_some(connection, each["id"], guest)
        # Otherwise both would count the same.
        await rows.client(connection, b["id"])
        await every_partition(connection, (a, b))
        asked = await letters(connection, shared)
        await connection.execute(text("REFRESH MATERIALIZED VIEW stats.organization_stats"))
    world = World(a, b, shared, guest, asked=asked)
    await look(admin, world)
    return world


async def every_partition(connection: AsyncConnection, tenants: tuple[rows.Row, ...]) -> None:
    """Rows in each month that is prepared, and in the partition of all others."""
    for tenant in tenants:
        for days in (0, 31, 62, 92, 3650):
            moment = datetime.now(UTC).replace(day=1) + timedelta(days=days)
            await rows.row(connection, "activity_logs", tenant["id"], created_at=moment)


async def letters(connection: AsyncConnection, person: rows.Row) -> dict[str, Any]:
    """A mail of every kind that the platform's workers ask about, to one person; and somebody registering."""
    targets = {
        "reset_password": person["email"],
        "change_email": "new@example.test",
        "verify_phone": "+49301",
    }
    asked: dict[str, Any] = {}
    for purpose, target in targets.items():
        token = await rows.row(
            connection, "auth_tokens", user_id=person["id"], purpose=purpose, target=target
        )
        asked[purpose] = token["id"]
    registration = await rows.row(connection, "registrations")
    return {**asked, "registration": registration["id"], "email": registration["email"]}


async def seen_by_some(connection: AsyncConnection, organization_id: UUID, member: UUID) -> None:
    """What a plain member sees of some, and of others not, although all belong to the organization."""
    row = rows.row
    for values in (
        {"visibility": "organization"},
        {"visibility": "team"},
        {"visibility": "team", "assigned_users": [str(member)]},
        {"visibility": "private", "created_by": member},
    ):
        await row(connection, "workflows", organization_id, **values)
    for level in ("private", "team", "client", "public"):
        await row(connection, "documents", organization_id, visibility=level)
    await row(connection, "documents", organization_id, uploaded_by=member)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for grant in (
        {"user_id": member},
        {"user_id": member, "expires_at": yesterday},
        {"user_id": None, "role_id": SHIPPED_ROLES[RoleName.MEMBER]},
        {"user_id": None, "role_id": SHIPPED_ROLES[RoleName.AUDITOR]},
    ):
        document = await row(connection, "documents", organization_id)
        await row(connection, "document_permissions", organization_id, document_id=document["id"], **grant)


async def put_to_some(connection: AsyncConnection, organization_id: UUID, guest: rows.Row) -> None:
    """Tasks that somebody sees who sees only what is put to them, and tasks that they do not see."""
    now = datetime.now(UTC)
    decided = {"status": "decided", "outcome": "approved", "decision": {}, "decided_by": guest["id"]}
    client = await rows.client(connection, organization_id)
    for values in (
        {"assignees": [f"user:{guest['email']}"]},
        {"assignees": ["role:client"]},
        {"assignees": ["role:member"], "four_eyes": True},
        {"assignees": [f"client:{client['id']}"]},
        {"claimed_by": guest["id"], "claimed_at": now},
        {**decided, "decided_at": now},
    ):
        task = await rows.task(connection, organization_id, **values)
        for table in ("task_events", "task_links"):
            await rows.row(connection, table, organization_id, task_id=task["id"])
    spoken = await rows.task(connection, organization_id)
    await rows.row(connection, "task_events", organization_id, task_id=spoken["id"], user_id=guest["id"])


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
