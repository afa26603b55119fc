"""Events on their way to the interpreter, which alone knows what they mean to the execution."""

from collections import deque
from collections.abc import Iterable
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.definitions.values import measure
    from domain.events import MAXIMUM_KEPT, MAXIMUM_KEPT_BYTES


class Arrivals:
    """In the order in which they are to be heard: what was recorded before a step listened comes first."""

    def __init__(self, events: Iterable[dict[str, Any]] = ()) -> None:
        self._events = deque(events)

    def add(self, event: dict[str, Any]) -> None:
        """Raises TypeError for what is no event: anybody with Temporal's own tools may send it."""
        if not isinstance(event, dict):
            raise TypeError("an event is an object")
        self._events.append(event)

    @property
    def has_news(self) -> bool:
        return bool(self._events)

    def take(self) -> dict[str, Any]:
        return self._events.popleft()

    def bring(self, earlier: Iterable[dict[str, Any]]) -> None:
        """What arrived while these were being fetched is heard after them."""
        self._events.extendleft(reversed(list(earlier)))

    def carried(self) -> list[dict[str, Any]]:
        """What travels to the next run: no more than an execution keeps anyway."""
        events: list[dict[str, Any]] = []
        left = MAXIMUM_KEPT_BYTES
        for event in self._events:
            left -= measure(event, MAXIMUM_KEPT_BYTES)
            if left < 0 or len(events) == MAXIMUM_KEPT:
                lost = len(self._events) - len(events)
                workflow.logger.error("%s events were lost: the execution kept still for too many", lost)
                break
            events.append(event)
        return events
