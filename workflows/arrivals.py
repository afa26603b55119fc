"""Events on their way to the interpreter, which alone knows what they mean to the execution."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.definitions.values import measure
    from domain.events import MAXIMUM_KEPT, MAXIMUM_KEPT_BYTES


class Arrivals:
    """In the order in which they are to be heard: what was recorded before a step listened comes first."""

    def __init__(self, events: Iterable[dict[str, Any]] = ()) -> None:
        self._events = deque(events)
        self._asking = 0

    def add(self, event: dict[str, Any]) -> None:
        """Raises TypeError for what is no event: anybody with Temporal's own tools may send it."""
        if not isinstance(event, dict):
            raise TypeError("an event is an object")
        self._events.append(event)

    @property
    def has_news(self) -> bool:
        """None while earlier events are being fetched."""
        return bool(self._events) and not self._asking

    def take(self) -> dict[str, Any]:
        return self._events.popleft()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Hold back what arrives while earlier events are being fetched."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1

    def bring(self, earlier: Iterable[dict[str, Any]]) -> None:
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
