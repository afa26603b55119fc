"""Exports of an organization: what was asked for, how far it is, and which rows and columns it may hold."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, Index, LargeBinary, RowMapping, Table, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, JsonObject, Tenant, UpdatedAt, UserRef, one_of, tenant_key, within
from db.rows import Before, newest_first, one, refusing
from db.sealed import SEALED_COLUMNS, SealedColumn, place
from domain.errors import Conflict
from domain.keys import KeyRing, Unreadable

#: Tables that no export holds. Everything else that belongs to an organization is in it.
LEFT_OUT: Final[Mapping[str, str]] = {
    "encryption_keys": "keys, which open what others stole",
    "exports": "the exports themselves",
    "idempotency_keys": "answers kept for a day, for repeated requests",
    "outbox": "words on their way to the engine",
    "secret_versions": "values of secrets, which nobody reads",
    "trigger_secrets": "secrets of webhooks, shown once",
}
#: Of people only what their colleagues see.
OF_PEOPLE: Final = ("id", "email", "first_name", "last_name", "avatar_url", "created_at")
#: Sealed values that the API shows to those who may export; what else is sealed is left out.
OPENED: Final = frozenset({"clients.tax_id", "organizations.tax_id", "deliveries.body", "events.content"})
_SECRET: Final = re.compile(r"(_sha256|_hash)$|token|password|secret_value|credentials")
_PAGE: Final = 500


class ExportStatus(StrEnum):
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    EXPIRED = "expired"


class Export(Tenant, Base):
    __tablename__ = "exports"
    __table_args__ = (
        tenant_key(),
        within("execution_id", "workflow_executions", ondelete="SET NULL (execution_id)"),
        Index(None, "organization_id", "execution_id"),
        Index(None, "organization_id", "created_at", "id"),
        Index("ix_exports_expires_at", "expires_at", postgresql_where=text("status IN ('ready', 'failed')")),
        # One at a time: each reads everything.
        Index(
            "uq_exports_running", "organization_id", unique=True, postgresql_where=text("status = 'running'")
        ),
        one_of("status", ExportStatus),
    )

    id: Mapped[Id]
    requested_by: Mapped[UserRef]
    execution_id: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(server_default=ExportStatus.RUNNING)
    #: Percent of the tables that are written.
    progress: Mapped[int] = mapped_column(server_default="0")
    #: Rows by table.
    contents: Mapped[JsonObject]
    #: Pieces in the blob store, and their bytes before they were sealed.
    pieces: Mapped[int] = mapped_column(server_default="0")
    size: Mapped[int] = mapped_column(BigInteger(), server_default="0")
    #: The moment of which all of it speaks.
    taken_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class ExportRunning(Conflict):
    """An export of this organization is being written; wait for it, or cancel its execution."""

    code = "export_running"


def piece_key(organization_id: UUID, id: UUID, number: int) -> str:
    return f"{folder(organization_id, id)}{number:06d}"


def folder(organization_id: UUID, id: UUID) -> str:
    """The prefix of everything that one export keeps in the blob store."""
    return f"{organization_id}/exports/{id}/"


def piece_place(id: UUID, number: int) -> str:
    """What a piece is sealed for."""
    return place("exports", f"content-{number}", id)


class Exports:
    """Exports of the entered organization."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def add(self, values: Mapping[str, Any]) -> RowMapping:
        """Raises ExportRunning."""
        statement = insert(Export).values(**values).returning(*Export.__table__.c)
        with refusing({"uq_exports_running": ExportRunning}):
            return one(await self._tx.execute(statement))

    async def get(self, id: UUID) -> RowMapping:
        """Raises NotFound."""
        return one(await self._tx.execute(select(*Export.__table__.c).where(Export.id == id)))

    async def page(self, before: Before | None, limit: int) -> Sequence[RowMapping]:
        statement = newest_first(select(*Export.__table__.c), Export.created_at, Export.id, before)
        return (await self._tx.execute(statement.limit(limit))).mappings().all()

    async def note(self, id: UUID, **values: Any) -> None:
        """While it is being written; what was cancelled or has expired stays so."""
        still = (Export.id == id, Export.status == ExportStatus.RUNNING)
        await self._tx.execute(update(Export).where(*still).values(**values))

    async def expire(self, id: UUID) -> None:
        await self._tx.execute(update(Export).where(Export.id == id).values(status=ExportStatus.EXPIRED))


@dataclass(frozen=True, slots=True)
class Exported:
    """A table, the columns of it that go out, and those among them to be opened first."""

    table: Table
    columns: tuple[str, ...]
    sealed: tuple[SealedColumn, ...]

    @property
    def name(self) -> str:
        """Plain: SQLAlchemy's own kind of text is no key of JSON."""
        return str(self.table.name)


class Snapshot:
    """Everything of the entered organization that one of its members may read, as it was at one moment.

    Within `Database.snapshot` as that member: the API's own grants and policies decide what is there.
    """

    def __init__(self, tx: AsyncConnection, organization_id: UUID, keys: KeyRing) -> None:
        self._tx = tx
        self._organization_id = organization_id
        self._keys = keys

    async def moment(self) -> datetime:
        return (await self._tx.execute(select(func.now()))).scalar_one()

    async def tables(self) -> list[Exported]:
        """In the order in which they could be read in again."""
        readable: dict[str, set[str]] = {}
        for row in await self._tx.execute(_READABLE):
            readable.setdefault(row.name, set()).add(row.attname)
        from db.tables import metadata  # noqa: PLC0415  it imports this module; this process may not know all of them

        found = []
        for table in metadata.sorted_tables:
            columns = tuple(name for name in goes_out(table) if name in readable.get(table.name, ()))
            sealed = tuple(each for each in SEALED_COLUMNS if each.table is table and each.column in columns)
            if columns:
                found.append(Exported(table, columns, sealed))
        return found

    async def rows(self, exported: Exported) -> AsyncIterator[list[dict[str, Any]]]:
        """Pages of rows, sealed values opened."""
        table = exported.table
        statement = select(*(table.c[name] for name in exported.columns))
        if "organization_id" in table.c:  # the policies say so too; of shared tables only what is one's own
            statement = statement.where(table.c.organization_id == self._organization_id)
        result = await self._tx.stream(statement, execution_options={"yield_per": _PAGE})
        async for page in result.mappings().partitions(_PAGE):
            yield [
                await self._opened(exported, dict(zip(exported.columns, row.values(), strict=True)))
                for row in page
            ]

    async def _opened(self, exported: Exported, row: dict[str, Any]) -> dict[str, Any]:
        for column in exported.sealed:
            stored = row[column.column]
            if stored is None:
                continue
            where = place(exported.table.name, column.column, row["id"])
            try:
                content = await self._keys.open(self._organization_id, column.read(stored), where)
                row[column.column] = content.decode("utf-8", "replace")
            except Unreadable:
                row[column.column] = None
        return row


def goes_out(table: Table) -> tuple[str, ...]:
    """The columns of a table that an export may hold, if its reader may see them."""
    if table.name == "users":
        return OF_PEOPLE
    if table.name in LEFT_OUT or not ("organization_id" in table.c or table.name == "organizations"):
        return ()
    return tuple(str(column.name) for column in table.columns if _may_go_out(table.name, column))


def _may_go_out(table: str, column: Any) -> bool:
    if column.info.get("sealed"):
        return f"{table}.{column.name}" in OPENED
    return not isinstance(column.type, LargeBinary) and _SECRET.search(column.name) is None


_READABLE = text(
    """
    SELECT c.relname AS name, a.attname
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND has_column_privilege(c.oid, a.attnum, 'SELECT')
    """.replace(":", "\\:")
)
