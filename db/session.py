"""Who is asking becomes role, organization and user of one transaction; nothing of it outlives that."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import QueuePool, RowMapping, TextClause
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import create_engine
from domain.errors import Forbidden
from domain.tenants import ActorType

#: SQLSTATE raised by app.enter for a user without an active membership.
NO_MEMBERSHIP = "PD403"


class Role(StrEnum):
    """The database roles that one login may become; each is granted the least it needs."""

    API = "app_api"
    WORKER = "app_worker"
    SYSTEM = "app_system"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a transaction comes from, as the activity log tells it beside every change."""

    ip: str | None = None
    agent: str | None = None
    api_key_id: UUID | None = None
    execution_id: UUID | None = None

    def __str__(self) -> str:
        """What `audit_trigger()` reads."""
        found = ((name, getattr(self, name)) for name in self.__slots__)
        return json.dumps({name: str(value) for name, value in found if value is not None})


@dataclass(frozen=True, slots=True)
class Access:
    """Who is asking. Without an organization no tenant's row is visible.

    A user must be an active member of the organization; the API enters one only as such a user (the owner of
    an API key, for instance), a worker always names its organization, the system needs neither.

    `actor` and `origin` are for the activity log alone. Without an actor it is what the role usually is: a user
    of the API, a worker, the system.
    """

    role: Role
    organization_id: UUID | None = None
    user_id: UUID | None = None
    actor: ActorType | None = None
    origin: Origin | None = None


class Database:
    """A pool of connections on which every transaction says first who is asking."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self._engine = create_engine(url, pool_size=pool_size)

    def transaction(self, access: Access) -> AbstractAsyncContextManager[AsyncConnection]:
        """BEGIN, app.enter, then the caller's statements; COMMIT, or ROLLBACK when the block raises.

        Raises Forbidden when the user has no active membership in the organization.
        """
        return self._transaction(access)

    @asynccontextmanager
    async def _transaction(self, access: Access) -> AsyncIterator[AsyncConnection]:
        async with AsyncExitStack() as opened:
            try:
                connection = await self._entered(opened, access)
            except DBAPIError as lost:
                if not lost.connection_invalidated:
                    raise
                # A pooled connection had died unnoticed, with its server perhaps. Nothing was done on it yet.
                connection = await self._entered(opened, access)
            yield connection

    async def _entered(self, opened: AsyncExitStack, access: Access) -> AsyncConnection:
        """A connection inside its transaction, which ends with `opened`."""
        async with AsyncExitStack() as attempt:
            connection = await attempt.enter_async_context(self._engine.begin())
            await enter(connection, access)
            opened.push_async_exit(attempt.pop_all())
            return connection

    @asynccontextmanager
    async def snapshot(self, access: Access) -> AsyncIterator[AsyncConnection]:
        """Everything read inside is of the moment of the first statement; nothing can be written.

        Raises Forbidden as `transaction` does.
        """
        engine = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        async with engine.begin() as connection:
            await enter(connection, access)
            yield connection

    async def first(self, statement: TextClause, values: Mapping[str, Any]) -> RowMapping | None:
        """The first row of one statement that is a transaction of its own, as whoever connected.

        For functions that enter by themselves: a third of the time that a transaction around it takes.
        """
        try:
            return await self._first(statement, values)
        except DBAPIError as lost:
            if not lost.connection_invalidated:
                raise
            return await self._first(statement, values)

    async def _first(self, statement: TextClause, values: Mapping[str, Any]) -> RowMapping | None:
        if not self.pool_size:
            # A pooler hands a connection out for one transaction: what prepares a statement and what executes it
            # are two messages, and only a transaction around them reaches the same server with both.
            async with self._engine.begin() as connection:
                return (await connection.execute(statement, values)).mappings().first()
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            return (await connection.execute(statement, values)).mappings().first()

    @property
    def connections_in_use(self) -> int:
        pool = self._engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    @property
    def pool_size(self) -> int:
        """0 where an external pooler does the pooling."""
        pool = self._engine.pool
        return pool.size() if isinstance(pool, QueuePool) else 0

    async def close(self) -> None:
        await self._engine.dispose()


async def enter(connection: AsyncConnection, access: Access) -> None:
    """Make the open transaction act as `access`; raises Forbidden without an active membership."""
    try:
        await connection.exec_driver_sql(
            "SELECT app.enter($1, $2, $3, $4, $5)",
            (
                access.role.value,
                access.organization_id,
                access.user_id,
                None if access.actor is None else access.actor.value,
                None if access.origin is None else str(access.origin),
            ),
        )
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == NO_MEMBERSHIP:
            raise Forbidden("You are not an active member of this organization.") from error
        raise
