"""What an execution has under way in Temporal: each flight lands with an answer, an error, or not at all."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.segments import PendingWait

T = TypeVar("T")


class Flights(Generic[T]):
    """`waits` are the flights that the mirror shows as waiting; they alone outlive a continue-as-new."""

    def __init__(self) -> None:
        self._flights: dict[str, asyncio.Task[None]] = {}
        self._landed: list[T | Exception] = []
        self.waits: dict[str, PendingWait] = {}

    def launch(self, name: str, work: Coroutine[Any, Any, T]) -> None:
        async def land() -> None:
            try:
                self._landed.append(await work)
            except Exception as error:  # noqa: BLE001  `next` raises it, where it ends the execution
                self._landed.append(error)
            finally:
                self._flights.pop(name, None)
                self.waits.pop(name, None)

        self._flights[name] = asyncio.create_task(land())

    @property
    def has_landed(self) -> bool:
        return bool(self._landed)

    @property
    def count(self) -> int:
        """How many are under way, whoever asks included."""
        return len(self._flights)

    @property
    def only_waits(self) -> bool:
        """Nothing is under way, or nothing but waits."""
        return not self._landed and self._flights.keys() == self.waits.keys()

    @property
    def all_wait(self) -> bool:
        return bool(self.waits) and self.only_waits

    def next(self) -> T:
        """The answer that arrived first; raises the error it is."""
        landed = self._landed.pop(0)
        if isinstance(landed, Exception):
            raise landed
        return landed

    async def ground(self) -> None:
        """Cancel all and wait for them: an effect may still be completing, and its record with it."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
