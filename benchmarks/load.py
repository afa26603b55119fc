"""Load as cheap as it can be: a fixed number of users, each of whom starts again as soon as it is answered."""

import time
from asyncio import gather
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field


@dataclass(slots=True)
class Sample:
    """What one measurement saw: every latency in milliseconds, and the time all of it took in seconds."""

    latencies_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, object]:
        return {"latencies_ms": [round(value, 3) for value in self.latencies_ms], "seconds": self.seconds}


async def by_tasks(run: Callable[[int], Awaitable[None]], concurrency: int, count: int) -> Sample:
    """`run` is told which of the users asks, from 0, and raises when its execution did not complete."""
    sample, turns = Sample(), iter(range(count))

    async def user(number: int) -> None:
        for _ in turns:
            began = time.perf_counter()
            await run(number)
            sample.latencies_ms.append((time.perf_counter() - began) * 1e3)

    began = time.perf_counter()
    await gather(*(user(number) for number in range(concurrency)))
    sample.seconds = time.perf_counter() - began
    return sample


def by_threads(run: Callable[[], None], concurrency: int, count: int) -> Sample:
    """The same for a peer whose calls block."""
    sample, turns = Sample(), iter(range(count))

    def user() -> None:
        while next(turns, None) is not None:
            began = time.perf_counter()
            run()
            sample.latencies_ms.append((time.perf_counter() - began) * 1e3)

    with ThreadPoolExecutor(concurrency) as threads:
        began = time.perf_counter()
        for done in [threads.submit(user) for _ in range(concurrency)]:
            done.result()
        sample.seconds = time.perf_counter() - began
    return sample
