"""Erasing one subject, step by step. Every step may be repeated, begun in the middle, or lost on the way.

A step works for some seconds and says whether all of its kind is gone; the process calls it until it is.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final, Protocol
from uuid import UUID

from sqlalchemy import RowMapping

from db.erasure import BATCH, Belonging, Erasures, Removal, belongings, loose_ends
from db.session import Access, Database, Role
from db.tenants import PLATFORM
from domain.blobs import BlobStore
from domain.definitions.faults import Fault
from domain.erasure import ErasureStatus, Subject
from domain.keys import KeyRing

#: How long one step works before it reports; its progress is read meanwhile.
SECONDS: Final = 8.0
_PLATFORM: Final = Access(Role.WORKER, PLATFORM)
_SYSTEM: Final = Access(Role.SYSTEM)
#: Removed by steps of their own: first what these keys sealed, then the keys.
KEYS: Final = "encryption_keys"


class Engine(Protocol):
    """What an erasure asks of Temporal."""

    async def end_all(self, organization_id: UUID) -> int:
        """Terminate everything that is open, and tell how much still is. Raises ConnectionError."""
        ...


@dataclass(frozen=True, slots=True)
class Erasing:
    """The hands of the processes in `domain/processes/erasure.py`."""

    database: Database
    blobs: BlobStore
    engine: Engine
    keys: KeyRing
    clock: Callable[[], datetime]
    seconds: float = SECONDS

    async def begin(self, id: UUID) -> RowMapping:
        """The erasure, begun unless it was called off before; whoever repeats this finds it begun."""
        async with self.database.transaction(_PLATFORM) as tx:
            erasures = Erasures(tx)
            row = await erasures.begin(id, self.clock())
            for part in await erasures.parts(id) if row["status"] == ErasureStatus.ERASING else ():
                await erasures.begin(part["id"], self.clock())
            return row

    def seconds_left(self, row: RowMapping) -> int:
        """Until an erasure may begin; whole seconds, and at least one for one that is still to come."""
        if row["status"] != ErasureStatus.SCHEDULED:
            return 0
        left: timedelta = row["scheduled_for"] - self.clock()
        return max(1, ceil(left.total_seconds()))

    async def parts(self, id: UUID) -> list[UUID]:
        async with self.database.transaction(_PLATFORM) as tx:
            return [row["id"] for row in await Erasures(tx).parts(id)]

    async def stop(self, id: UUID) -> None:
        """Nobody enters any more."""
        row = await self._under_way(id, "stopping")
        if row is not None:
            async with self.database.transaction(_SYSTEM) as tx:
                await Removal(tx).stop(row["subject_id"])

    async def end_executions(self, id: UUID) -> int:
        """How many are still open."""
        row = await self._under_way(id, "executions")
        return 0 if row is None else await self.engine.end_all(row["subject_id"])

    async def delete_objects(self, id: UUID) -> bool:
        row = await self._under_way(id, "objects")
        if row is None:
            return True
        prefix = f"{row['subject_id']}/"

        async def batch() -> int:
            found = await self.blobs.under(prefix)
            for blob in found:
                await self.blobs.delete(blob.key)
            if found:
                async with self.database.transaction(_PLATFORM) as tx:
                    await Erasures(tx).count(id, "objects", len(found))
            return len(found)

        return await self._worked_off(batch)

    async def plan(self, id: UUID) -> list[Belonging]:
        """Whose rows go, in this order; the keys of an organization are not among them."""
        row = await self._under_way(id, "rows")
        subject = Subject.ORGANIZATION if row is None else Subject(row["subject"])
        return [] if row is None else [each for each in belongings(subject) if each.table != KEYS]

    async def loosen(self, id: UUID) -> bool:
        """Empty the references that run in circles."""
        row = await self._under_way(id, "rows")
        if row is None:
            return True
        return all([await self._loosened(row["subject_id"], reference) for reference in loose_ends()])

    async def _loosened(self, subject_id: UUID, reference: Belonging) -> bool:
        return await self._in_batches(lambda removal: removal.loosen(subject_id, reference))

    async def delete_rows(self, id: UUID, belonging: Belonging) -> bool:
        row = await self._under_way(id, f"rows: {belonging.table}")
        if row is None:
            return True
        return await self._in_batches(lambda removal: removal.remove(row["subject_id"], belonging))

    async def shred(self, id: UUID) -> bool:
        """From here nothing of the organization can be read: not in a backup, not in Temporal's histories.

        Raises Fault while an execution is open: it could never end, because nobody could read it.
        """
        row = await self._under_way(id, "keys")
        if row is None:
            return True
        if open_ := await self.engine.end_all(row["subject_id"]):
            raise Fault("runtime", 409, "Still running", f"{open_} executions began again; end them first")
        keys = Belonging(KEYS, "organization_id")
        is_done = await self._in_batches(lambda removal: removal.remove(row["subject_id"], keys))
        self.keys.forget(row["subject_id"])
        return is_done

    async def told(self, id: UUID) -> tuple[str, str] | None:
        """Whom to tell, and what it is about."""
        async with self.database.transaction(_PLATFORM) as tx:
            row = await Erasures(tx).get(id)
        async with self.database.transaction(_SYSTEM) as tx:
            return await Removal(tx).told(row)

    async def finish(self, id: UUID) -> None:
        """The subject's own row, then the tombstone."""
        row = await self._under_way(id, "finishing")
        if row is None:
            return
        async with self.database.transaction(_SYSTEM) as tx:
            removal = Removal(tx)
            if row["subject"] == Subject.USER:
                await removal.anonymise(row["subject_id"])
            else:
                await removal.remove(row["subject_id"], Belonging("organizations", "id"))
        self.keys.forget(row["subject_id"])
        async with self.database.transaction(_PLATFORM) as tx:
            await Erasures(tx).end(id, self.clock())

    async def _under_way(self, id: UUID, phase: str) -> RowMapping | None:
        """The erasure, showing what is done for it now; None once all is done. Raises Fault for any other."""
        async with self.database.transaction(_PLATFORM) as tx:
            erasures = Erasures(tx)
            row = await erasures.get(id)
            if row["status"] == ErasureStatus.ERASED:
                return None
            if row["status"] != ErasureStatus.ERASING:
                raise Fault(
                    "runtime", 409, "Not begun", f"this erasure is {row['status']}, so nothing may go"
                )
            await erasures.phase(id, phase)
            return row

    async def _in_batches(self, work: Callable[[Removal], Awaitable[int]]) -> bool:
        async def batch() -> int:
            async with self.database.transaction(_SYSTEM) as tx:
                return await work(Removal(tx))

        return await self._worked_off(batch, until=BATCH)

    async def _worked_off(self, batch: Callable[[], Awaitable[int]], until: int = 1) -> bool:
        """Batch after batch until one holds fewer than `until`, or the time is up."""
        ends = time.monotonic() + self.seconds
        while await batch() >= until:
            if time.monotonic() >= ends:
                return False
        return True
