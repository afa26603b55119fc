"""Rows for tests, filled in from the tables' own metadata: say what matters, the rest is made up.

All run on a connection that no policy restricts (`admin_url`): they prepare what a tenant then sees.

    connection = engine of admin_url
    acme = await organization(connection)                      # with its founder, an owner
    ada = await member(connection, acme["id"], role=RoleName.REVIEWER)
    order = await execution(connection, acme["id"], status="waiting")
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Column, ForeignKeyConstraint, Table, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Boolean, Date, DateTime, Float, Integer, LargeBinary, Numeric, Text, Uuid

from db.tables import metadata
from db.tenants import SHIPPED_ROLES
from domain.permissions import RoleName

Row = Mapping[str, Any]
#: Before which no loop of the product looks at a sample.
AHEAD = datetime(9999, 1, 1, tzinfo=UTC)

#: One entry per table, of values that its closed sets and checks allow; a new table needs one to be tested.
SAMPLES: dict[str, dict[str, Any]] = {
    "activity_logs": {"actor_type": "user", "action": "update"},
    "agent_messages": {"role": "user"},
    "agent_sessions": {},
    "ai_agents": {
        "category": "assistant",
        "frontend_entry": "/agents",
        "subscription_min_plan": "free",
    },
    "api_keys": {"scopes": ["clients:read"]},
    "audit_exports": {"format": "csv"},
    "audit_export_parts": {},
    "auth_tokens": {"purpose": "reset_password"},
    "backup_codes": {},
    "bulk_items": {},
    "bulk_operations": {"action": "cancel", "total": 1},
    "clients": {},
    "contacts": {},
    "deliveries": {"source": "provider", "verdict": "accepted"},
    "document_permissions": {"permission_type": "view", "client_id": None},
    "documents": {},
    "effects": {"effect": "keyed", "action": "email.send"},
    "encryption_keys": {"status": "retired"},
    "erasures": {"subject": "organization"},
    # Looked at already, or by somebody else: a router that runs beside a test has nothing to do here.
    "event_routings": {"verdict": "filtered", "leased_until": AHEAD},
    "event_subscriptions": {},
    "events": {},
    "exports": {"status": "expired"},
    "execution_outcomes": {"type": "execution.completed", "leased_until": AHEAD},
    "execution_steps": {"status": "running"},
    "folders": {},
    "idempotency_keys": {},
    "legacy_ids": {},
    "login_attempts": {},
    "invitations": {"role_id": SHIPPED_ROLES[RoleName.MEMBER]},
    "organization_agents": {},
    "organizations": {"timezone": "UTC"},
    "outbox": {"kind": "start"},
    "payment_gateway_configs": {"gateway": "stripe"},
    "platform_subscriptions": {},
    "reconciliations": {"found": "ended"},
    "registrations": {},
    "roles": {},
    "schedule_occurrences": {"origin": "clock", "status": "ran"},
    "schedules": {},
    "secret_versions": {},
    "secrets": {},
    "sessions": {},
    "subscription_plans": {},
    "task_events": {"kind": "commented", "client_id": None},
    "task_links": {"client_id": None},
    "tasks": {"kind": "approve"},
    "transfer_parts": {},
    "transfers": {
        "direction": "import",
        "kind": "clients",
        "mode": "create",
        "match_by": "email",
        "settings": {"encoding": "utf-8", "delimiter": ",", "read_as": {}, "passed_over": []},
    },
    "trigger_secrets": {"kind": "signing"},
    "triggers": {"type": "manual"},
    "trusted_devices": {},
    "user_mfa": {},
    "user_agent_access": {},
    "usage_counters": {"metric": "api_calls"},
    "user_organizations": {},
    "users": {"is_active": True},
    "webhook_inbox": {},
    "workflow_executions": {"trigger_event": "manual"},
    "workflow_versions": {},
    "workflows": {},
}
#: References that are filled in although they may be empty, so that isolation tests meet them.
FILLED = {
    "client_id",
    "user_id",
    "execution_id",
    "assigned_manager",
    "created_by",
    "published_by",
    "started_by",
}
LONG_AHEAD = timedelta(days=365)

_numbers = count(1)


async def row(
    connection: AsyncConnection, name: str, organization_id: UUID | None = None, /, **given: Any
) -> Row:
    """Insert a row of the table called `name`; missing parents are made, in the same organization."""
    table = metadata.tables[name]
    values = {**SAMPLES[name], **given}
    if organization_id is not None and "organization_id" in table.c:
        values.setdefault("organization_id", organization_id)
    for constraint in sorted(table.foreign_key_constraints, key=lambda it: len(it.columns)):
        await _reference(connection, constraint, values)
    for column in table.columns:
        if column.name not in values and not column.nullable and column.server_default is None:
            values[column.name] = made_up(column)
    result = await connection.execute(insert(table).values(_named(table, values)).returning(*table.c))
    return result.mappings().one()


async def _reference(
    connection: AsyncConnection, constraint: ForeignKeyConstraint, values: dict[str, Any]
) -> None:
    column = constraint.columns[constraint.column_keys[-1]]
    parent = constraint.referred_table
    if column.name in values or (column.nullable and (constraint.use_alter or column.name not in FILLED)):
        return
    if parent.name == "organizations":
        values[column.name] = (await organization(connection))["id"]
    elif parent.name == "roles":
        values[column.name] = SHIPPED_ROLES[RoleName.MEMBER]
    elif parent.name == "users":
        tenant = values.get("organization_id")
        # A membership is about a new person; everything else was done by somebody who is there.
        known = (
            None
            if tenant is None or constraint.table.name == "user_organizations"
            else await _anybody(connection, tenant)
        )
        values[column.name] = known or (await user(connection))["id"]
    else:
        named = next(it.column.name for it in constraint.elements if it.parent is column)
        if "organization_id" in parent.c:
            found = await _sibling(connection, parent, values["organization_id"])
        else:
            found = await row(connection, parent.name)
        values[column.name] = found[named]


async def _anybody(connection: AsyncConnection, organization_id: UUID) -> UUID | None:
    members = metadata.tables["user_organizations"]
    statement = (
        select(members.c.user_id)
        .where(members.c.organization_id == organization_id)
        .order_by(members.c.created_at)
        .limit(1)
    )
    found: UUID | None = await connection.scalar(statement)
    return found


async def _sibling(connection: AsyncConnection, table: Table, organization_id: UUID) -> Row:
    statement = select(table).where(table.c.organization_id == organization_id).limit(1)
    found = (await connection.execute(statement)).mappings().one_or_none()
    return found or await row(connection, table.name, organization_id)


def made_up(column: Column[Any]) -> Any:
    """A value of the column's type, different at every call where the type allows it."""
    number = next(_numbers)
    match column.type:
        case Uuid():
            return uuid4()
        case JSONB() | ARRAY():
            return {} if isinstance(column.type, JSONB) else []
        case DateTime():
            return datetime.now(UTC) + LONG_AHEAD
        case Date():
            return datetime.now(UTC).date()
        case Boolean():
            return False
        case LargeBinary():
            return number.to_bytes(16)
        case Integer() | Numeric() | Float():
            return number
        case Text() if column.name == "email":
            return f"person{number}.{uuid4().hex[:8]}@example.test"
        case Text():
            return f"{column.name}-{number}-{uuid4().hex[:8]}"
    raise TypeError(f"no made-up value for {column.table.name}.{column.name} of type {column.type!r}")


def _named(table: Table, values: Mapping[str, Any]) -> dict[Any, Any]:
    """Reject a misspelt column here, where the message can name it."""
    unknown = values.keys() - {column.name for column in table.columns}
    if unknown:
        raise TypeError(f"{table.name} has no column {', '.join(sorted(unknown))}")
    return {table.c[name]: value for name, value in values.items()}


async def organization(connection: AsyncConnection, **given: Any) -> Row:
    """An organization with its founder, who is an active owner (`created_by`)."""
    founder = given.pop("created_by", None) or (await user(connection))["id"]
    made = await row(connection, "organizations", created_by=founder, **given)
    await member(connection, made["id"], user_id=founder, role=RoleName.OWNER)
    users = metadata.tables["users"]
    await connection.execute(
        update(users).where(users.c.id == founder).values(default_organization_id=made["id"])
    )
    return made


async def user(connection: AsyncConnection, **given: Any) -> Row:
    """A person who belongs to no organization yet."""
    return await row(connection, "users", **given)


async def member(
    connection: AsyncConnection, organization_id: UUID, *, role: RoleName = RoleName.MEMBER, **given: Any
) -> Row:
    """An active membership of a new user, or of `user_id`."""
    return await row(
        connection, "user_organizations", organization_id, **{"role_id": SHIPPED_ROLES[role], **given}
    )


async def client(connection: AsyncConnection, organization_id: UUID, **given: Any) -> Row:
    return await row(connection, "clients", organization_id, **given)


async def workflow(connection: AsyncConnection, organization_id: UUID, **given: Any) -> Row:
    return await row(connection, "workflows", organization_id, **given)


async def version(connection: AsyncConnection, organization_id: UUID, **given: Any) -> Row:
    return await row(connection, "workflow_versions", organization_id, **given)


async def execution(connection: AsyncConnection, organization_id: UUID, **given: Any) -> Row:
    return await row(connection, "workflow_executions", organization_id, **given)


async def task(connection: AsyncConnection, organization_id: UUID, **given: Any) -> Row:
    return await row(connection, "tasks", organization_id, **given)


async def tenant(connection: AsyncConnection, **given: Any) -> Row:
    """An organization with at least one row in every table that can belong to it or to its founder."""
    made = await organization(connection, **given)
    for table in metadata.sorted_tables:
        if "organization_id" in table.c:
            await row(connection, table.name, made["id"])
        elif "user_id" in table.c:
            await row(connection, table.name, user_id=made["created_by"])
        elif table.name not in ("organizations", "users", "roles"):
            await row(connection, table.name)
    return made
