"""The run: all peers start, then take turns in every round, in an order that the seed decides."""

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.plan import DBOS, PERDURE, WITHOUT_MIRROR, Measurement, Peer, Size
from benchmarks.process import PeerProcess

Say = Callable[[str], None]
#: DBOS offers both; the run uses the faster for each number of users.
SHAPES = ("plain", "coroutine")


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement of one peer in one round. `processor_ms`: per execution, by kind of program."""

    round: int
    peer: str
    measurement: Measurement
    latencies_ms: list[float]
    seconds: float
    processor_ms: dict[str, float]
    shape: str | None = None

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds


@dataclass(slots=True)
class Results:
    """Everything the run saw, unjudged."""

    size: str
    seed: int
    readings: list[Reading] = field(default_factory=list)
    shapes: dict[str, Any] = field(default_factory=dict)
    histories: dict[str, Any] = field(default_factory=dict)
    fairness: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Run:
    def __init__(self, size: Size, seed: int, say: Say) -> None:
        self._size = size
        self._say = say
        self._chance = random.Random(seed)  # noqa: S311  an order, not a secret
        self._processes: dict[str, PeerProcess] = {}
        self._shapes: dict[int, str] = {}
        self.results = Results(size.name, seed)

    async def __call__(self) -> Results:
        """Raises PeerFailed."""
        async with AsyncExitStack() as opened:
            logs = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="perdure-bench-logs-")))
            self._say(f"starting {', '.join(peer.name for peer in self._size.peers)}")
            for peer in self._size.peers:
                log = logs / f"{peer.module}.log"
                self._processes[peer.name] = PeerProcess(peer.name, peer.module, log)
            opened.push_async_callback(self._stop)
            await asyncio.gather(*(self._start(process) for process in self._processes.values()))
            self._say("warming up")
            for peer in self._size.peers:
                await self._turn(peer, self._warm)
            for number in range(1, self._size.rounds + 1):
                order = self._chance.sample(self._size.peers, len(self._size.peers))
                self._say(f"round {number} of {self._size.rounds}: {', '.join(peer.name for peer in order)}")
                for peer in order:
                    await self._turn(peer, self._measure, number)
            for peer in self._size.peers:
                await self._turn(peer, self._inspect)
        return self.results

    async def _start(self, process: PeerProcess) -> None:
        await process.start()
        process.pause()

    async def _stop(self) -> None:
        await asyncio.gather(*(process.stop() for process in self._processes.values()))

    async def _turn(self, peer: Peer, work: Callable[..., Any], *details: Any) -> None:
        process = self._processes[peer.name]
        process.resume()
        try:
            await work(peer, process, *details)
        finally:
            process.pause()

    async def _warm(self, peer: Peer, process: PeerProcess) -> None:
        """Caches, prepared statements and pools fill here; and DBOS shows which of its shapes is faster."""
        size, smoke = self._size, self._size.warm == 1
        for concurrency in (1, 10, 25):
            count = concurrency if smoke else max(size.warm, 3 * concurrency)
            if peer is not DBOS:
                await process.ask("measure", steps=5, concurrency=concurrency, count=count)
                continue
            speeds = {}
            for shape in SHAPES:
                for _ in range(1 if smoke else 3):  # the first two only warm
                    sample = await process.ask(
                        "measure", steps=5, concurrency=concurrency, count=count, shape=shape
                    )
                    speeds[shape] = len(sample["latencies_ms"]) / sample["seconds"]
            self._shapes[concurrency] = max(speeds, key=speeds.__getitem__)
            self.results.shapes[str(concurrency)] = {"used": self._shapes[concurrency], "per_second": speeds}

    async def _measure(self, peer: Peer, process: PeerProcess, number: int) -> None:
        # What was stopped for minutes finds its caches cold and its connections stale.
        await process.ask("measure", steps=5, concurrency=1, count=max(1, self._size.warm // 3))
        for measurement in self._size.measurements(peer):
            asked: dict[str, Any] = {
                "steps": measurement.steps,
                "concurrency": measurement.concurrency,
                "count": measurement.count,
            }
            shape = self._shapes[measurement.concurrency] if peer is DBOS else None
            if shape is not None:
                asked["shape"] = shape
            before = process.processor_seconds()
            sample = await process.ask("measure", **asked)
            used: Counter[str] = process.processor_seconds()
            used.subtract(before)
            self.results.readings.append(
                Reading(
                    number,
                    peer.name,
                    measurement,
                    sample["latencies_ms"],
                    sample["seconds"],
                    {kind: value * 1e3 / measurement.count for kind, value in used.items()},
                    shape,
                )
            )

    async def _inspect(self, peer: Peer, process: PeerProcess) -> None:
        """What is told by other things than the clock: histories, rows, and a neighbour's flood."""
        size, results = self._size, self.results
        if peer in (PERDURE, WITHOUT_MIRROR):
            kind = "mirrored" if peer is PERDURE else "unmirrored"
            results.histories[kind] = await process.ask("histories")
        if peer is PERDURE:
            self._say("how far the mirror lags in a crowd")
            results.histories["lag_ms"] = await process.ask("lag", concurrency=25, count=size.histories)
            self._say(f"one tenant floods {size.flood} executions")
            results.fairness = await process.ask("fairness", flood=size.flood, count=size.fair)
            self._say("stopping")
