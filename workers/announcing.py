"""Makes CloudEvents of the ends of executions that somebody wants to hear of."""

from typing import Any, Final
from uuid import UUID

import orjson

from db.definitions import named
from db.events import Events, NewEvent
from db.routing import Claimed, Outcome, Routings
from db.sealed import place
from db.session import Access, Database, Role
from domain.events import MAXIMUM_EVENT, SPECVERSION
from domain.keys import KeyRing
from domain.routing import SOURCE_OF_EXECUTIONS

#: What makes the event too large is left out of it, and the event says so; who needs it reads the execution.
_LARGE: Final = ("output", "error")


class Announcing:
    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys

    async def announce(self, claimed: Claimed) -> None:
        """Take the end out of the queue and record its event, in one transaction."""
        # Loading a key takes a connection of its own, so it is at hand before the transaction begins.
        await self._keys.seal(claimed.organization_id, b"", "prepare")
        async with self._database.transaction(Access(Role.WORKER, claimed.organization_id)) as tx:
            outcome = await Routings(tx).outcome(claimed.id)
            if outcome is None:
                return
            version = await named(tx, UUID(outcome.told["version_id"]))
            content = _content(outcome, version["name"], version["number"])
            await Events(tx).record(
                NewEvent(
                    id=outcome.id,
                    organization_id=outcome.organization_id,
                    execution_id=outcome.execution_id,
                    source=SOURCE_OF_EXECUTIONS,
                    event_id=str(outcome.id),
                    type=outcome.type,
                    content=await self._keys.seal(
                        outcome.organization_id, content, place("events", "content", outcome.id)
                    ),
                )
            )


def _content(outcome: Outcome, workflow: str, version: int) -> bytes:
    told = {name: value for name, value in outcome.told.items() if value is not None}
    told.pop("version_id")
    data: dict[str, Any] = {
        "execution_id": str(outcome.execution_id),
        "workflow": workflow,
        "version": version,
        **told,
    }
    event = {
        "specversion": SPECVERSION,
        "id": str(outcome.id),
        "source": SOURCE_OF_EXECUTIONS,
        "type": outcome.type,
        "subject": str(outcome.execution_id),
        "time": told["completed_at"],
        "datacontenttype": "application/json",
        "data": data,
    }
    content = orjson.dumps(event)
    for name in _LARGE:
        if len(content) > MAXIMUM_EVENT and data.pop(name, None) is not None:
            data[f"{name}_omitted"] = True
            content = orjson.dumps(event)
    return content
