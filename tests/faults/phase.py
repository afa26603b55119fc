"""One phase: load, blows in the order of the seed, and probes that feel when each blow is over."""

import asyncio
import random
from collections.abc import Mapping
from contextlib import nullcontext

from tests.faults.blows import Blows
from tests.faults.load import Load

#: What has only one life to give at a time.
TARGETS = {"temporal kill": "temporal", "postgres crash": "postgres", "freeze": "freeze"}


class Phase:
    """`blows` says how many of each kind come within `seconds`, while `executions` are triggered."""

    def __init__(
        self,
        name: str,
        blows: Mapping[str, int],
        *,
        executions: int,
        seconds: float,
        patience: float,
        chance: random.Random,
    ) -> None:
        self._name = name
        self._executions = executions
        self._seconds = seconds
        self._patience = patience
        self._chance = chance
        self._coming = [kind for kind, number in blows.items() for _ in range(number)]
        self._chance.shuffle(self._coming)
        self._striking: dict[int, str] = {}
        self._locks = {target: asyncio.Lock() for target in TARGETS.values()}

    async def run(self, load: Load, blows: Blows) -> None:
        """Returns when the load has seen its executions through and every blow is over."""
        ended = asyncio.Event()
        try:
            async with asyncio.timeout(self._seconds + self._patience), asyncio.TaskGroup() as probing:
                probing.create_task(load.probe(ended))
                async with asyncio.TaskGroup() as group:
                    group.create_task(load.phase(self._name, self._executions, self._seconds))
                    await self._strike_all(group, blows)
                ended.set()
        except TimeoutError:
            said = f"{sorted(load.under_way)}, blows {list(self._striking.values())}, still felt {load.felt}"
            load.problems.append(f"{self._name} did not come to an end: {said}")

    async def _strike_all(self, group: asyncio.TaskGroup, blows: Blows) -> None:
        gap = self._seconds / len(self._coming)
        for number, kind in enumerate(self._coming):
            await asyncio.sleep(self._chance.uniform(0, 2 * gap))
            group.create_task(self._strike(number, kind, blows))

    async def _strike(self, number: int, kind: str, blows: Blows) -> None:
        target = TARGETS.get(kind)
        self._striking[number] = kind
        async with nullcontext() if target is None else self._locks[target]:
            await blows.next(kind)()
        del self._striking[number]
