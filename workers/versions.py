"""Published versions as executions start with them; immutable, so a process reads each one once."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from db.definitions import Versions
from db.session import Access, Database, Role
from domain.definitions.program import PROGRAMS
from domain.segments import Pinned


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    workflow_id: UUID
    pinned: Pinned


class PinnedVersions:
    def __init__(self, database: Database, capacity: int = 512) -> None:
        self._database = database
        self._capacity = capacity
        self._read: OrderedDict[UUID, PublishedVersion] = OrderedDict()

    async def get(self, organization_id: UUID, version_id: UUID) -> PublishedVersion:
        """Raises NotFound."""
        version = self._read.get(version_id)
        if version is None:
            async with self._database.transaction(Access(Role.WORKER, organization_id)) as connection:
                row = await Versions(connection).find(version_id)
            # Compiling a large definition takes half a second; inside a workflow task that would be too long.
            await asyncio.to_thread(PROGRAMS.load, row["sha256"], row["compiled"])
            pinned = Pinned(str(version_id), row["sha256"], row["compiled"])
            version = self._read[version_id] = PublishedVersion(row["workflow_id"], pinned)
            while len(self._read) > self._capacity:
                self._read.popitem(last=False)
        return version
