"""What an execution has under way in Temporal: each flight lands with an answer, with an error, or not at all."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.definitions.commands import Completed, Event, Failed, Stopped
    from domain.segments import PendingWait

from workflows.lineage import now


@dataclass(slots=True)
class Flight:
    task: asyncio.Task[None]
    #: Set where nothing but waiting is done: the mirror shows it, and it outlives a continue-as-new.
    wait: PendingWait | None
    #: When it will have landed at the latest, in epoch ms; None when nobody can say.
    lands_by: int | None
    is_stopping: bool = False


class Flights:
    """Flights are named by the occurrences whose commands they carry out."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}
        self._landed: deque[Event | Exception] = deque()

    def launch(
        self,
        name: str,
        work: Coroutine[Any, Any, Event],
        *,
        wait: PendingWait | None = None,
        lands_by: int | None = None,
    ) -> None:
        task = asyncio.create_task(self._fly(name, work))
        flight = self._flights[name] = Flight(task, wait, lands_by)
        task.add_done_callback(lambda _: self._never_flew(name, flight, work))

    def land(self, event: Event) -> None:
        """Something that was no flight has happened."""
        self._landed.append(event)

    def stop(self, name: str) -> None:
        """Cancel a flight; once it has ended, however it did, `Stopped` lands. One that is over needs no stopping."""
        flight = self._flights.get(name)
        if flight is not None:
            flight.is_stopping = True
            if flight.wait is not None and flight.wait.kind == "execution":
                # One that was launched just now must begin first, or nobody would ask the other execution to end.
                asyncio.get_running_loop().call_soon(flight.task.cancel)
            else:
                flight.task.cancel()
        elif not self._has_landed(name):
            self.land(Stopped(now(), name))

    def drop(self, name: str) -> None:
        """End a flight that nobody waits for: nothing lands."""
        self._flights.pop(name).task.cancel()

    @property
    def has_landed(self) -> bool:
        return bool(self._landed)

    @property
    def is_empty(self) -> bool:
        """Nothing is under way, and nothing has landed that nobody has seen yet."""
        return not self._flights and not self._landed

    @property
    def waits(self) -> list[PendingWait]:
        """The waits under way, in the order in which they began."""
        return [flight.wait for flight in self._flights.values() if flight.wait and not flight.is_stopping]

    @property
    def only_waits(self) -> bool:
        """Nothing is under way, or nothing but waits."""
        return not self._landed and len(self.waits) == len(self._flights)

    def may_outlast(self, moment: int) -> bool:
        """Whether nothing may land before `moment` (epoch ms)."""
        return not any(
            flight.lands_by is not None and flight.lands_by <= moment for flight in self._flights.values()
        )

    def next(self) -> Event:
        """The answer that arrived first; raises the error it is."""
        landed = self._landed.popleft()
        if isinstance(landed, Exception):
            raise landed
        return landed

    async def ground(self) -> None:
        """Cancel all and wait for them: an effect may still be completing, and its record with it."""
        flights = [flight.task for flight in self._flights.values()]
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _has_landed(self, name: str) -> bool:
        return any(
            isinstance(event, Completed | Failed | Stopped) and event.occurrence == name
            for event in self._landed
        )

    async def _fly(self, name: str, work: Coroutine[Any, Any, Event]) -> None:
        """An answer lands in the very moment in which it is there: it must not be missing when a new run begins."""
        flight = self._flights[name]
        landed: Event | Exception | None = None
        try:
            landed = await work
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001  `next` raises it, where it ends the execution
            landed = error
        self._over(name, flight, landed)

    def _never_flew(self, name: str, flight: Flight, work: Coroutine[Any, Any, Event]) -> None:
        """Cancelled before it began, a flight never comes to the end of `_fly`; for all others this does nothing."""
        work.close()
        self._over(name, flight, None)

    def _over(self, name: str, flight: Flight, landed: Event | Exception | None) -> None:
        if self._flights.get(name) is not flight:
            return
        del self._flights[name]
        if flight.is_stopping and not isinstance(landed, Exception):
            landed = Stopped(now(), name)
        if landed is not None:
            self._landed.append(landed)
