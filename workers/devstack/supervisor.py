"""Keeps parts alive: start, wait until ready, start again when one dies, stop in order."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workers.devstack import ports
from workers.devstack.errors import StackError
from workers.devstack.part import Part
from workers.devstack.processes import POLL_SECONDS, Child

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
STEADY_SECONDS = 30.0  # a part that ran this long is not "crashing again and again"


@dataclass(slots=True)
class Watched:
    """A part with its present process."""

    part: Part
    child: Child
    status: str = "starting"
    restarts: int = 0
    keeper: asyncio.Task[None] | None = None


class Supervisor:
    """`changed` is called after every change of a process or status."""

    def __init__(self, logs: Path, changed: Callable[[], None]) -> None:
        self.logs = logs
        self.watched: dict[str, Watched] = {}
        self._changed = changed
        self._stopping = False

    async def start(self, part: Part) -> None:
        """Start a part and return when it is ready; from then on it is kept alive."""
        watched = Watched(part, await self._spawn(part))
        self.watched[part.name] = watched
        self._changed()
        try:
            await self._until_ready(watched)
        except BaseException:
            await watched.child.stop()
            raise
        watched.keeper = asyncio.create_task(self._keep(watched), name=f"keep {part.name}")

    async def restart(self, name: str) -> None:
        """End a part's process and return when its successor is ready."""
        watched = self.watched[name]
        await self._let_go(watched)
        await watched.child.stop()
        await self._again(watched)
        watched.keeper = asyncio.create_task(self._keep(watched), name=f"keep {name}")

    async def stop(self) -> None:
        """End every part, the latest started first."""
        self._stopping = True
        for watched in reversed(list(self.watched.values())):
            await self._stop(watched)

    async def _stop(self, watched: Watched) -> None:
        await self._let_go(watched)
        watched.status = "stopping"
        self._changed()
        await watched.child.stop()
        watched.status = "stopped"
        self._changed()

    async def _let_go(self, watched: Watched) -> None:
        if watched.keeper is not None:
            watched.keeper.cancel()
            await asyncio.gather(watched.keeper, return_exceptions=True)

    async def _spawn(self, part: Part) -> Child:
        return Child(await part.prepare(), self.logs / f"{part.name}.log")

    async def _until_ready(self, watched: Watched) -> None:
        part, child = watched.part, watched.child
        deadline = time.monotonic() + part.ready_seconds
        # another program may answer on a port that this part failed to get: readiness must be its own
        while not (await part.ready() and ports.belong_to(child.pid, part.ports.values())):
            if child.returncode is not None:
                raise StackError(
                    f"{part.name} ended with status {child.returncode} while starting:\n{child.last_words()}",
                    f"See {child.log}.",
                )
            if time.monotonic() > deadline:
                raise StackError(
                    f"{part.name} was not ready after {part.ready_seconds:.0f} s:\n{child.last_words()}",
                    f"See {child.log}.",
                )
            await asyncio.sleep(POLL_SECONDS)
        await part.settle()
        watched.status = "running"
        self._changed()

    async def _keep(self, watched: Watched) -> None:
        pause = FIRST_PAUSE
        while not self._stopping:
            since = time.monotonic()
            status = await watched.child.exited()
            pause = FIRST_PAUSE if time.monotonic() - since > STEADY_SECONDS else pause
            self._note(watched, f"ended with status {status}; starting it again in {pause:.1f} s")
            watched.status = "restarting"
            self._changed()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            try:
                await self._again(watched)
            except (StackError, OSError) as problem:
                self._note(watched, f"did not come back: {problem}")
                await watched.child.stop()

    async def _again(self, watched: Watched) -> None:
        watched.restarts += 1
        watched.status = "restarting"
        watched.child = await self._spawn(watched.part)
        self._changed()
        await self._until_ready(watched)

    def _note(self, watched: Watched, text: str) -> None:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with (self.logs / "supervisor.log").open("a", encoding="utf-8") as log:
            log.write(f"{moment} {watched.part.name} {text}\n")
