"""Tells watchers that an execution has changed: one look at the database for all of an organization's watchers."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from api.errors import is_unavailable
from db.session import Access, Database, Role
from db.watching import Changes
from domain.errors import TooManyRequests

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
#: So often is enough where nothing has happened for a while.
IDLE_LOOK_SECONDS = 1.0
IDLE_AFTER_LOOKS = 150
STREAMS_PER_CALLER = 20
STREAMS_PER_PROCESS = 1000


class Watch:
    """One watcher; `changed` returns when there may be news, or False when the process is ending."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self.revision: Any = None
        self.is_closing = False

    async def changed(self) -> bool:
        await self._news.wait()
        self._news.clear()
        return not self.is_closing

    def tell(self) -> None:
        self._news.set()


class Watching:
    """All watchers of a process. No connection is held between two looks, and nobody looks where nobody watches."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watches: dict[UUID, dict[UUID, set[Watch]]] = {}
        self._looking: dict[UUID, asyncio.Task[None]] = {}
        self._callers: Counter[Any] = Counter()
        self._is_closing = False

    @property
    def streams(self) -> int:
        return self._callers.total()

    @asynccontextmanager
    async def watch(self, caller: Any, organization_id: UUID, execution_id: UUID) -> AsyncIterator[Watch]:
        """Raises TooManyRequests."""
        if self._callers[caller] >= STREAMS_PER_CALLER or self.streams >= STREAMS_PER_PROCESS:
            raise TooManyRequests(
                f"At most {STREAMS_PER_CALLER} streams are open at a time; close some first.", retry_after=5
            )
        watch = Watch()
        watch.is_closing = self._is_closing
        executions = self._watches.setdefault(organization_id, {})
        executions.setdefault(execution_id, set()).add(watch)
        self._callers[caller] += 1
        if organization_id not in self._looking:
            self._looking[organization_id] = asyncio.create_task(self._look(organization_id))
        try:
            yield watch
        finally:
            self._leave(caller, organization_id, execution_id, watch)

    def _leave(self, caller: Any, organization_id: UUID, execution_id: UUID, watch: Watch) -> None:
        self._callers[caller] -= 1
        if not self._callers[caller]:
            del self._callers[caller]
        executions = self._watches[organization_id]
        executions[execution_id].discard(watch)
        if not executions[execution_id]:
            del executions[execution_id]
        if not executions:
            del self._watches[organization_id]
            self._looking.pop(organization_id).cancel()

    def close(self) -> None:
        """Every stream ends now; its client comes back to a process that stays."""
        self._is_closing = True
        for executions in self._watches.values():
            for watches in executions.values():
                for watch in watches:
                    watch.is_closing = True
                    watch.tell()

    async def _look(self, organization_id: UUID) -> None:
        """Whose rows these are was decided when each watcher was let in, and is again with every read of theirs."""
        access = Access(Role.WORKER, organization_id)
        quiet = 0
        is_blind = False
        while True:
            try:
                async with self._database.transaction(access) as tx:
                    revisions = await Changes(tx).revisions(list(self._watches[organization_id]))
                is_blind = False
            except Exception as error:  # whatever it is, watchers must not be left with heartbeats alone
                if not is_blind:
                    unknown = None if is_unavailable(error) else error
                    log.warning(
                        "watchers are told nothing for now: %s", type(error).__name__, exc_info=unknown
                    )
                is_blind = True
                await asyncio.sleep(IDLE_LOOK_SECONDS)
                continue
            quiet = 0 if self._tell(organization_id, revisions) else quiet + 1
            await asyncio.sleep(LOOK_SECONDS if quiet < IDLE_AFTER_LOOKS else IDLE_LOOK_SECONDS)

    def _tell(self, organization_id: UUID, revisions: dict[UUID, Any]) -> bool:
        told = False
        for execution_id, watches in self._watches.get(organization_id, {}).items():
            revision = revisions.get(execution_id)
            for watch in watches:
                if revision is not None and watch.revision != revision:
                    watch.revision = revision
                    watch.tell()
                    told = True
        return told
