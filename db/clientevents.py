"""What happens to clients and contacts, told as CloudEvents in the transaction in which it happens.

    events = ClientEvents(keys, organization_id, now)
    await events.record(tx, [created(client_row)])

`type` is client.created, client.changed, client.removed or contact.…; `subject` is the id; `data` holds the public
fields (a tax id never), and `changed` names what a change was about. The relay carries it to whoever listens.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from db.events import Events, NewEvent
from db.sealed import place
from domain.clients import SOURCE_OF_CLIENTS, SOURCE_OF_CONTACTS
from domain.events import MAXIMUM_EVENT, SPECVERSION
from domain.keys import KeyRing

Row = Mapping[Any, Any]
_HIDDEN: Final = frozenset({"organization_id", "tax_id", "tax_id_index"})
#: What makes an event too large is left out of it; who needs it reads the client.
_LARGE: Final = ("service_preferences", "billing_address", "communication_preferences", "notes")
_SOURCES: Final = {"client": SOURCE_OF_CLIENTS, "contact": SOURCE_OF_CONTACTS}


@dataclass(frozen=True, slots=True)
class Happened:
    """`noun` is client or contact; `changed` names the fields of a change."""

    noun: str
    verb: str
    row: Row
    changed: tuple[str, ...] = ()


def created(row: Row, noun: str = "client") -> Happened:
    return Happened(noun, "created", row)


def changed(row: Row, names: Iterable[str], noun: str = "client") -> Happened:
    told = sorted({"tax_id" if name == "tax_id_index" else name for name in names})
    return Happened(noun, "changed", row, tuple(told))


def removed(row: Row, noun: str = "client") -> Happened:
    return Happened(noun, "removed", row)


class ClientEvents:
    """`execution_id` is the execution that did it: what its events start counts how far they have come."""

    def __init__(
        self, keys: KeyRing, organization_id: UUID, now: datetime, execution_id: UUID | None = None
    ) -> None:
        self._keys = keys
        self._organization_id = organization_id
        self._execution_id = execution_id
        self._time = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def prepare(self) -> None:
        """Have the key at hand before a transaction begins: loading it takes a connection of its own."""
        await self._keys.seal(self._organization_id, b"", "prepare")

    async def record(self, tx: AsyncConnection, happened: Sequence[Happened]) -> None:
        """Record them in the transaction that did it; one statement, however many."""
        await Events(tx).record_all(self._organization_id, [await self._sealed(each) for each in happened])

    async def _sealed(self, happened: Happened) -> NewEvent:
        id = uuid4()
        source, kind = _SOURCES[happened.noun], f"{happened.noun}.{happened.verb}"
        event = {
            "specversion": SPECVERSION,
            "id": str(id),
            "source": source,
            "type": kind,
            "subject": str(happened.row["id"]),
            "time": self._time,
            "datacontenttype": "application/json",
            "data": _data(happened),
        }
        content = orjson.dumps(event, default=_plain)
        if len(content) > MAXIMUM_EVENT:
            event["data"] = {name: value for name, value in _data(happened).items() if name not in _LARGE}
            content = orjson.dumps(event, default=_plain)
        return NewEvent(
            id=id,
            organization_id=self._organization_id,
            execution_id=self._execution_id,
            source=source,
            event_id=str(id),
            type=kind,
            content=await self._keys.seal(self._organization_id, content, place("events", "content", id)),
        )


def _data(happened: Happened) -> dict[str, Any]:
    data = {str(name): value for name, value in happened.row.items() if name not in _HIDDEN}
    if happened.verb == "changed":
        data["changed"] = list(happened.changed)
    return data


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal | UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not belong into an event")
