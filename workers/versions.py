"""Published versions as executions start with them; immutable, so a process reads each one once."""

from collections import OrderedDict
from uuid import UUID

from db.definitions import Versions
from db.session import Access, Database, Role
from domain.segments import Pinned


class PinnedVersions:
    def __init__(self, database: Database, capacity: int = 512) -> None:
        self._database = database
        self._capacity = capacity
        self._read: OrderedDict[UUID, Pinned] = OrderedDict()

    async def get(self, organization_id: UUID, version_id: UUID) -> Pinned:
        """Raises NotFound."""
        pinned = self._read.get(version_id)
        if pinned is None:
            async with self._database.transaction(Access(Role.WORKER, organization_id)) as connection:
                row = await Versions(connection).by_id(version_id)
            pinned = self._read[version_id] = Pinned(str(version_id), row["sha256"], row["compiled"])
            while len(self._read) > self._capacity:
                self._read.popitem(last=False)
        return pinned
