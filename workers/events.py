"""Recorded events as executions hear them; immutable, so one that many listen to is opened once."""

import logging
from collections import OrderedDict
from uuid import UUID

from activities.listening import opened
from db.events import Events
from db.session import Access, Database, Role
from domain.keys import KeyRing, Unreadable

log = logging.getLogger(__name__)


class RecordedEvents:
    """Bounded, so that large events cannot fill the memory: 64 of them at 128 KB."""

    def __init__(self, database: Database, keys: KeyRing, capacity: int = 64) -> None:
        self._database = database
        self._keys = keys
        self._capacity = capacity
        self._opened: OrderedDict[UUID, dict[str, object]] = OrderedDict()

    async def get(self, organization_id: UUID, id: UUID) -> dict[str, object] | None:
        """None for an event that was forgotten meanwhile, or whose key is gone. Raises MasterKeyMissing."""
        event = self._opened.get(id)
        if event is None:
            async with self._database.transaction(Access(Role.WORKER, organization_id)) as connection:
                content = await Events(connection).find(organization_id, id)
            if content is None:
                return None
            try:
                event = await opened(self._keys, organization_id, id, content)
            except Unreadable as problem:
                log.error("The event %s cannot be read, so nobody hears of it: %s", id, problem)
                return None
            self._opened[id] = event
            while len(self._opened) > self._capacity:
                self._opened.popitem(last=False)
        return event
