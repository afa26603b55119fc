"""The customer's database, read in one snapshot and never written."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from workers.urls import asyncpg_dsn

#: Rows travel in batches of this many.
BATCH = 500
#: Read as text: the calendar of PostgreSQL is longer than Python's, and has an infinity.
_AS_TEXT = ("timestamp without time zone", "timestamp with time zone", "date", "json", "jsonb", "numeric")

Row = dict[str, Any]


class Source:
    """One snapshot of every table; columns are asked for by name, since no two copies are quite the same."""

    def __init__(self, connection: asyncpg.Connection, columns: dict[str, dict[str, str]]) -> None:
        self._connection = connection
        #: Table → column → type.
        self.columns = columns

    def has(self, table: str, column: str | None = None) -> bool:
        return table in self.columns and (column is None or column in self.columns[table])

    def selected(self, table: str, alias: str = "t") -> str:
        """Every column of the table, under its own name."""
        return ", ".join(
            f'{alias}."{name}"::text AS "{name}"' if kind in _AS_TEXT else f'{alias}."{name}"'
            for name, kind in self.columns[table].items()
        )

    async def count(self, table: str, where: str = "true") -> int:
        counted: int = await self._connection.fetchval(f'SELECT count(*) FROM "{table}" t WHERE {where}')  # noqa: S608
        return counted

    async def all(self, query: str, *values: Any) -> list[Row]:
        return [dict(row) for row in await self._connection.fetch(query, *values)]

    async def batches(self, query: str, *values: Any) -> AsyncIterator[Sequence[Row]]:
        """The rows of a query, 500 at a time."""
        cursor = await self._connection.cursor(query, *values)
        while rows := await cursor.fetch(BATCH):
            yield [dict(row) for row in rows]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Source]:
    """Raises OSError or asyncpg.PostgresError when it cannot be reached."""
    connection = await asyncpg.connect(asyncpg_dsn(url), statement_cache_size=0, timeout=10)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(
                "SET LOCAL datestyle = 'ISO'; SET LOCAL timezone = 'UTC'; "
                "SET LOCAL idle_in_transaction_session_timeout = 0; "
                # Rows that a policy hides would be missing unnoticed; this way PostgreSQL says so.
                "SET LOCAL row_security = off"
            )
            columns: dict[str, dict[str, str]] = {}
            for row in await connection.fetch(
                "SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c "
                "JOIN information_schema.tables t USING (table_schema, table_name) "
                "WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' "
                "ORDER BY c.table_name, c.ordinal_position"
            ):
                columns.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
            yield Source(connection, columns)
    finally:
        await connection.close()
