"""Events that have arrived at an execution and that no step has asked for yet."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from temporalio import workflow

#: The API refuses further signals long before; this only keeps a run's memory bounded.
MAXIMUM_KEPT = 100
#: Deliveries repeat within minutes: so many keys are remembered to recognise them.
MAXIMUM_KEYS = 500


class Arrivals:
    """In the order of arrival. An event, known by its source and id, arrives once however often it is delivered."""

    def __init__(self, events: Sequence[dict[str, Any]] = (), keys: Sequence[str] = ()) -> None:
        self.events = list(events)
        self._keys = OrderedDict.fromkeys(keys)

    @property
    def keys(self) -> list[str]:
        return list(self._keys)

    def add(self, event: dict[str, Any]) -> None:
        key = f"{event.get('source')} {event.get('id')}"
        if key in self._keys:
            return
        self._keys[key] = None
        while len(self._keys) > MAXIMUM_KEYS:
            self._keys.popitem(last=False)
        if len(self.events) == MAXIMUM_KEPT:
            workflow.logger.error("An event was lost: the execution keeps %s already", MAXIMUM_KEPT)
            return
        self.events.append(event)

    def has(self, type: str) -> bool:
        return any(event.get("type") == type for event in self.events)

    def take(self, type: str) -> dict[str, Any]:
        """The earliest event of this type, which is then gone."""
        position = next(i for i, event in enumerate(self.events) if event.get("type") == type)
        return self.events.pop(position)
