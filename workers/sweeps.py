"""Forgetting what is old and counting what is new, every few minutes, wherever the relay runs."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from prometheus_client import Gauge
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.exports import folder
from db.retention import Retention
from db.session import Access, Database, Role
from db.statistics import Statistics
from db.sweeps import BATCH, BATCH_OF_ACTIVITIES, KINDS, Sweeps
from db.usage import Counting
from domain.blobs import BlobStore
from domain.errors import DomainError

log = logging.getLogger(__name__)

EVERY_SECONDS = 300.0
#: Old months of the activity log are opened for it, so it is not done all the time.
RETIRE_EVERY = timedelta(hours=6)
STRAY_ACTIVITIES: Final = Gauge(
    "perdure_activities_outside_partitions",
    "Lines of the activity log that lie in its DEFAULT partition, after this process made the months ahead.",
)
#: A backlog is worked off over several rounds, so that no round holds up the next kind for long.
ROUNDS = 20
_SYSTEM = Access(Role.SYSTEM)


class Sweeper:
    def __init__(self, database: Database, blobs: BlobStore, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._retire_at = datetime.min.replace(tzinfo=UTC)

    async def run(self) -> None:
        """Sweep until cancelled; several processes share the work and do not meet at the same second."""
        while True:
            await asyncio.sleep(EVERY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
            await self.sweep()

    async def sweep(self) -> dict[str, int]:
        """Everything once; how many rows went, by kind. What fails is told, and tried again the next time."""
        now = self._clock()
        await self._count(now)  # before what is to be counted may go
        kinds: dict[str, Callable[[AsyncConnection], Awaitable[int]]] = {
            **{name: lambda tx, name=name: Sweeps(tx).forget(name, now) for name in KINDS},  # type: ignore[misc]
            "old executions": lambda tx: Retention(tx).old_executions(now),
            "old deliveries": lambda tx: Retention(tx).old_deliveries(now),
            "flooded refusals": lambda tx: Sweeps(tx).too_many_refusals(),
            "new partitions": lambda tx: Sweeps(tx).partitions(),
            "hours of use": lambda tx: Counting(tx).fold(now, BATCH),
        }
        gone = {"stored bodies": await self._told("stored bodies", lambda: self._blob_round(now))}
        gone["expired exports"] = await self._told("expired exports", lambda: self._export_round(now))
        for name, work in kinds.items():
            gone[name] = await self._told(name, lambda work=work: self._round(work))  # type: ignore[misc]
        await self._look_for_strays()
        if now >= self._retire_at:
            gone["activities"] = await self._told("activities", self._retire_round, BATCH_OF_ACTIVITIES)
            self._retire_at = now + RETIRE_EVERY
        return gone

    async def _count(self, now: datetime) -> None:
        """Statistics and use, each when it is due and nobody else is at it."""
        counts: tuple[Callable[[AsyncConnection], Awaitable[int]], ...] = (
            lambda tx: Statistics(tx).refresh(now),
            lambda tx: Counting(tx).count(now),
        )
        for count in counts:
            try:
                async with self._database.transaction(_SYSTEM) as tx:
                    await count(tx)
            except SQLAlchemyError as error:
                log.warning("Statistics are not renewed: %s", error)

    async def _look_for_strays(self) -> None:
        """After the partitions were made: what still lies in none is dated far away, or making them fails."""
        try:
            async with self._database.transaction(_SYSTEM) as tx:
                stray = await Sweeps(tx).stray_activities()
        except SQLAlchemyError as error:
            log.warning("Nobody could see whether the activity log is in order: %s", error)
            return
        STRAY_ACTIVITIES.set(stray)
        if stray:
            log.error("%d lines of the activity log lie outside of its months' partitions", stray)

    async def _retire_round(self) -> int:
        async with self._database.transaction(_SYSTEM) as tx:
            return await Sweeps(tx).old_activities()

    async def _told(self, name: str, once: Callable[[], Awaitable[int]], batch: int = BATCH) -> int:
        total = 0
        try:
            for _ in range(ROUNDS):
                count = await once()
                total += count
                if count < batch:
                    break
        except (SQLAlchemyError, OSError, DomainError) as error:
            log.warning("The sweep of %s stopped: %s", name, error)
        if total:
            log.info("Swept %d %s", total, name)
        return total

    async def _round(self, work: Callable[[AsyncConnection], Awaitable[int]]) -> int:
        async with self._database.transaction(_SYSTEM) as tx:
            return await work(tx)

    async def _blob_round(self, now: datetime) -> int:
        """The blob first, then its key: a sweep that dies in between repeats it."""
        async with self._database.transaction(_SYSTEM) as tx:
            due = await Sweeps(tx).old_blobs(now) or await Retention(tx).due_bodies(now)
        for each in due:
            await self._blobs.delete(each.key)
        if due:
            async with self._database.transaction(_SYSTEM) as tx:
                await Sweeps(tx).blobs_deleted([each.delivery_id for each in due])
        return len(due)

    async def _export_round(self, now: datetime) -> int:
        async with self._database.transaction(_SYSTEM) as tx:
            due = await Retention(tx).expired_exports(now)
        for each in due:
            while found := await self._blobs.under(folder(each.organization_id, each.id)):
                for blob in found:
                    await self._blobs.delete(blob.key)
        if due:
            async with self._database.transaction(_SYSTEM) as tx:
                await Retention(tx).exports_deleted([each.id for each in due])
        return len(due)
