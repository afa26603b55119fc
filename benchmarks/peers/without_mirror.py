"""Perdure with a node that mirrors nothing (`unmirrored_node`), to learn what the mirror costs; all else the same."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from benchmarks.peers.histories import events
from benchmarks.peers.serving import Handlers, serve
from benchmarks.peers.tenants import OPEN, register
from workers.devstack.part import Part
from workers.devstack.processes import Command
from workers.devstack.programs import Node, program
from workers.devstack.stack import Stack

#: Nothing writes the row's end, so the answer is still the one of acceptance when the execution has ended.
UNMIRRORED = (httpx2.codes.ACCEPTED,)


class UnmirroredNode(Node):
    async def prepare(self) -> Command:
        ours = program("benchmarks.peers.unmirrored_node", environment=self._environment())
        return replace(await super().prepare(), arguments=ours.arguments)


class UnmirroredStack(Stack):
    def _part(self, name: str) -> Part:
        part = super()._part(name)
        if isinstance(part, Node):
            part = self.parts[name] = UnmirroredNode(part.port, self.environment)
        return part


@asynccontextmanager
async def peer(folder: Path) -> AsyncIterator[Handlers]:
    async with UnmirroredStack(folder, settings=OPEN) as stack:
        tenant = await register(stack.urls["api"], "acme", UNMIRRORED)
        database = await asyncpg.connect(stack.admin_url)

        async def measure(steps: int, concurrency: int, count: int) -> Any:
            return (await tenant.measure(str(steps), concurrency, count)).as_json()

        async def histories() -> Any:
            return await events(tenant, database, stack.urls["temporal"])

        yield {"measure": measure, "histories": histories}
        await database.close()


if __name__ == "__main__":
    serve(peer)
