"""Forgetting what is old, every few minutes, wherever the relay runs."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from db.session import Access, Database, Role
from db.sweeps import BATCH, Sweeps
from domain.blobs import BlobStore
from domain.errors import DomainError

log = logging.getLogger(__name__)

EVERY_SECONDS = 300.0
#: A backlog is worked off over several rounds, so that no round holds up the next kind for long.
ROUNDS = 20
_SYSTEM = Access(Role.SYSTEM)


class Sweeper:
    def __init__(self, database: Database, blobs: BlobStore, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock

    async def run(self) -> None:
        """Sweep until cancelled; several processes share the work and do not meet at the same second."""
        while True:
            await asyncio.sleep(EVERY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
            await self.sweep()

    async def sweep(self) -> dict[str, int]:
        """Everything once; how many rows went, by kind. What fails is told, and tried again the next time."""
        now = self._clock()
        kinds: dict[str, Callable[[Sweeps], Awaitable[int]]] = {
            "bodies": lambda sweeps: sweeps.old_bodies(now),
            "refusals": lambda sweeps: sweeps.old_refusals(now),
            "flooded refusals": lambda sweeps: sweeps.too_many_refusals(),
            "inbox": lambda sweeps: sweeps.old_inbox(now),
            "events": lambda sweeps: sweeps.old_events(now),
            "subscriptions": lambda sweeps: sweeps.old_subscriptions(now),
            "trigger secrets": lambda sweeps: sweeps.expired_secrets(now),
            "kept answers": lambda sweeps: sweeps.expired_answers(now),
            "sessions": lambda sweeps: sweeps.expired_sessions(now),
            "new partitions": lambda sweeps: sweeps.partitions(),
        }
        gone = {"stored bodies": await self._told("stored bodies", lambda: self._blob_round(now))}
        for name, work in kinds.items():
            gone[name] = await self._told(name, lambda work=work: self._round(work))  # type: ignore[misc]
        return gone

    async def _told(self, name: str, once: Callable[[], Awaitable[int]]) -> int:
        total = 0
        try:
            for _ in range(ROUNDS):
                count = await once()
                total += count
                if count < BATCH:
                    break
        except (SQLAlchemyError, OSError, DomainError) as error:
            log.warning("The sweep of %s stopped: %s", name, error)
        if total:
            log.info("Swept %d %s", total, name)
        return total

    async def _round(self, work: Callable[[Sweeps], Awaitable[int]]) -> int:
        async with self._database.transaction(_SYSTEM) as tx:
            return await work(Sweeps(tx))

    async def _blob_round(self, now: datetime) -> int:
        """The blob first, then its key: a sweep that dies in between repeats it."""
        async with self._database.transaction(_SYSTEM) as tx:
            due = await Sweeps(tx).old_blobs(now)
        for each in due:
            await self._blobs.delete(each.key)
        if due:
            async with self._database.transaction(_SYSTEM) as tx:
                await Sweeps(tx).blobs_deleted([each.delivery_id for each in due])
        return len(due)
