"""Our database during an import: who the importer is in it, and how a row gets in or is refused."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Table, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.legacy import LegacyId
from db.tables import metadata

#: Advisory lock of whoever is importing into this database ("import" in ASCII).
IMPORTING = 0x696D706F7274
#: Read or written whatever organization is being imported.
OPEN = ("legacy_ids", "users", "user_mfa", "roles", "subscription_plans", "ai_agents")
#: The rows of the organization that is being imported.
TENANTS = (
    "encryption_keys",
    "user_organizations",
    "clients",
    "contacts",
    "folders",
    "documents",
    "document_permissions",
    "workflows",
    "workflow_versions",
    "workflow_executions",
    "platform_subscriptions",
    "payment_gateway_configs",
    "organization_agents",
    "user_agent_access",
    "agent_sessions",
    "agent_messages",
)
OURS = "organization_id = (SELECT app.org())"
POLICIES = {
    **dict.fromkeys(OPEN, "true"),
    **dict.fromkeys(TENANTS, OURS),
    "organizations": "id = (SELECT app.org())",
}


@dataclass(frozen=True, slots=True)
class Pending:
    """A converted row on its way in, and which row of the source it was."""

    source_id: str
    values: dict[str, Any]


class Busy(Exception):
    """Another import into this database is running."""


class Target:
    """One connection that all of an import is written through; `is_rehearsal` keeps nothing of it."""

    def __init__(self, connection: AsyncConnection, *, is_rehearsal: bool) -> None:
        self._connection = connection
        self._is_rehearsal = is_rehearsal

    @asynccontextmanager
    async def transaction(self, organization_id: UUID | None) -> AsyncIterator["Writing"]:
        """Everything of one organization, or of none: committed whole, or not at all."""
        begin = self._connection.begin_nested if self._is_rehearsal else self._connection.begin
        async with begin():
            await self._connection.exec_driver_sql("SET LOCAL ROLE app_owner")
            await self._connection.execute(
                text(
                    "SELECT set_config('app.org_id', :id, true), set_config('app.user_id', '', true), "
                    "set_config('app.actor', 'system', true)"
                ),
                {"id": str(organization_id) if organization_id else ""},
            )
            yield Writing(self._connection)


@asynccontextmanager
async def entered(engine: AsyncEngine, *, is_rehearsal: bool) -> AsyncIterator[Target]:
    """The database as the owner who may write rows; afterwards the owner may not any more.

    Raises Busy. A rehearsal is one transaction that is rolled back.
    """
    async with engine.connect() as connection:
        if not await connection.scalar(text(f"SELECT pg_try_advisory_lock({IMPORTING})")):
            raise Busy
        await connection.rollback()
        try:
            if is_rehearsal:
                async with connection.begin() as everything:
                    await _let_in(connection)
                    yield Target(connection, is_rehearsal=True)
                    await everything.rollback()
                return
            async with connection.begin():
                await _let_in(connection)
            try:
                yield Target(connection, is_rehearsal=False)
            finally:
                await connection.rollback()
                async with connection.begin():
                    await _put_out(connection)
        finally:
            await connection.rollback()
            await connection.execute(text(f"SELECT pg_advisory_unlock({IMPORTING})"))
            await connection.rollback()


async def _let_in(connection: AsyncConnection) -> None:
    await _put_out(connection)  # what an import left that was killed
    for table, rows in POLICIES.items():
        await connection.exec_driver_sql(
            f"CREATE POLICY importing ON {table} TO app_owner USING ({rows}) WITH CHECK ({rows})"
        )


async def _put_out(connection: AsyncConnection) -> None:
    await connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
    await connection.exec_driver_sql("SET LOCAL ROLE app_owner")
    for table in POLICIES:
        await connection.exec_driver_sql(f"DROP POLICY IF EXISTS importing ON {table}")


class Writing:
    """One open transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection

    async def known(self, table: str, source_ids: Sequence[str]) -> dict[str, UUID]:
        """Which of the rows are here already, and under which id."""
        statement = select(LegacyId.source_id, LegacyId.id).where(
            LegacyId.source_table == table, LegacyId.source_id.in_(source_ids)
        )
        return {row.source_id: row.id for row in await self.connection.execute(statement)}

    async def remember(self, pairs: Iterable[tuple[str, str, UUID]]) -> None:
        """Which row of the source became which of ours."""
        rows = [{"source_table": table, "source_id": old, "id": new} for table, old, new in pairs]
        if rows:
            await self.connection.execute(insert(LegacyId), rows)

    async def add(
        self, name: str, rows: Sequence[Pending], refused: Callable[[Pending, DBAPIError], None]
    ) -> list[Pending]:
        """Inserts what PostgreSQL takes, tells of the rest, and returns what is in."""
        table = metadata.tables[name]
        if not rows:
            return []
        try:
            async with self.connection.begin_nested():
                for group in _alike(rows):
                    await self._insert(table, group)
            return list(rows)
        except DBAPIError as error:
            if _lost(error):
                raise
        taken = []
        for row in rows:
            try:
                async with self.connection.begin_nested():
                    await self._insert(table, [row])
            except DBAPIError as error:
                if _lost(error):
                    raise
                refused(row, error)
            else:
                taken.append(row)
        return taken

    async def _insert(self, table: Table, rows: Sequence[Pending]) -> None:
        await self.connection.execute(insert(table), [row.values for row in rows])
        name = table.name
        await self.remember(
            (name, row.source_id, row.values["id"]) for row in rows if not row.source_id.startswith(MADE)
        )


#: Begins the source id of a row that the source has not, such as the version of an imported workflow.
MADE = "\0made:"


def _alike(rows: Sequence[Pending]) -> list[list[Pending]]:
    """Neighbours that fill the same columns: an INSERT of many names its columns once."""
    groups: list[list[Pending]] = []
    for row in rows:
        if groups and groups[-1][0].values.keys() == row.values.keys():
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _lost(error: DBAPIError) -> bool:
    """Not about the row: the connection went, or the rights are wrong."""
    state = str(getattr(error.orig, "sqlstate", "") or "")
    return error.connection_invalidated or not state.startswith(("22", "23", "54", "P0001"))


def told(name: str, error: DBAPIError) -> tuple[str | None, str, str]:
    """Column, reason and mend of a refusal of PostgreSQL's, without the values it quotes."""
    cause: Any = getattr(error.orig, "__cause__", None)
    constraint = str(getattr(cause, "constraint_name", "") or "")
    column = getattr(cause, "column_name", None)
    state = str(getattr(error.orig, "sqlstate", ""))
    columns = _columns(name, constraint)
    listed = ", ".join(columns) or constraint
    if constraint in RULES:
        reason, mend = RULES[constraint]
        return (columns[0] if columns else None), reason, mend
    match state:
        case "23505":
            return (
                columns[-1] if columns else None,
                f"another row has the same {listed}",
                "Change one of the two, or remove the one that is too many.",
            )
        case "23503":
            return (
                columns[-1] if columns else None,
                f"{listed} names a row that is not here ({constraint})",
                "Let it name a row of the same organization, or NULL.",
            )
        case "23502":
            return column, f"{column} is empty", "Give it a value."
        case "23514":
            return (
                columns[0] if columns else None,
                f"the rule {constraint} does not hold",
                "docs/schema-decisions.md tells what it says.",
            )
    return None, f"PostgreSQL refuses the row ({state})", "Look at the row; the log of the server tells more."


def _columns(name: str, constraint: str) -> list[str]:
    table = metadata.tables[name]
    for each in table.constraints:
        if each.name == constraint or getattr(each, "name", None) == constraint:
            return [c.name for c in getattr(each, "columns", ()) if c.name != "organization_id"]
    for index in table.indexes:
        if index.name == constraint:
            return [c.name for c in index.columns if c.name != "organization_id"]
    short = constraint.removeprefix(f"ck_{name}_").removeprefix(f"uq_{name}_").removeprefix(f"fk_{name}_")
    return [short] if short in table.c else []


#: Rules that deserve a sentence of their own.
RULES = {
    "uq_platform_subscriptions_live": (
        "the organization has another subscription that is active or in trial",
        "End all but one.",
    ),
    "ck_platform_subscriptions_period": (
        "current_period_end is not after current_period_start",
        "Set the end of the period.",
    ),
    "positive_file_size": ("file_size is not positive", "Store the size of the file in bytes."),
    "ck_documents_version": (
        "version and parent_document_id contradict each other",
        "Only the first version of a document has no parent, and it has the number 1.",
    ),
    "uq_documents_current_version": (
        "another version of the document is the current one too",
        "Set is_current_version on one version alone.",
    ),
    "ck_document_permissions_one_grantee": (
        "the permission names nobody, or more than one of user, client and role",
        "Name exactly one of user_id, client_id and role_id.",
    ),
    "member_only": (
        "the user it names is no member of the organization",
        "Make the user a member, or remove the row.",
    ),
    "uq_legacy_ids_source_table_id": (
        "another row of the table has the same UUID, written otherwise",
        "Give one of the two another id.",
    ),
}
