"""Steps that listen: subscribed in the database, and told what was recorded before they were."""

from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from db.eventlisteners import Listener, Listeners, RecordedEvent
from db.sealed import place
from domain.events import MAXIMUM_KEPT, MAXIMUM_KEPT_BYTES
from domain.ids import WorkflowId
from domain.keys import KeyRing
from domain.mirror import Snapshot
from domain.segments import EarlierEvents

#: Half of what an execution keeps, so that one large event more still finds its place.
_PAGE_BYTES = MAXIMUM_KEPT_BYTES // 2


class Page:
    """Events as they are stored; they are opened once the transaction that found them is over."""

    def __init__(self, organization_id: UUID, events: list[RecordedEvent], more: bool) -> None:
        self._organization_id = organization_id
        self._events = events
        self._more = more

    @property
    def size(self) -> int:
        return sum(len(each.content) for each in self._events)

    async def opened(self, keys: KeyRing) -> EarlierEvents:
        events = [await opened(keys, self._organization_id, each.id, each.content) for each in self._events]
        return EarlierEvents(events, self._more)


async def subscribe(connection: AsyncConnection, listener: Listener, spent: int = 0) -> Page:
    """Subscribe the step, in the transaction that shows that it waits.

    `spent` bytes were brought to others already: beyond a page, which Temporal can carry, it reads on later.
    """
    await Listeners(connection).register(listener)
    if spent > _PAGE_BYTES:
        return Page(listener.organization_id, [], more=True)
    return await earlier(connection, listener)


async def earlier(connection: AsyncConnection, listener: Listener) -> Page:
    """The next page of what was recorded before the step was subscribed."""
    events, more = await Listeners(connection).earlier(listener, limit=MAXIMUM_KEPT, size=_PAGE_BYTES)
    return Page(listener.organization_id, events, more)


def listener(id: WorkflowId, snapshot: Snapshot | None, occurrence: str, types: list[str] | None) -> Listener:
    course = (snapshot.reset_run_id if snapshot is not None else None) or ""
    return Listener(id.organization_id, id.execution_id, occurrence, types, course)


async def opened(keys: KeyRing, organization_id: UUID, id: UUID, content: bytes) -> dict[str, object]:
    """The CloudEvent. Raises Unreadable."""
    event: dict[str, object] = orjson.loads(
        await keys.open(organization_id, content, place("events", "content", id))
    )
    return event
