"""The embedded stack with its processes apart and a fault proxy on every link, ready to be broken."""

import asyncio
import os
import random
import re
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from tests.faults.proxy import FaultProxy
from tests.faults.timeline import Timeline
from workers.devstack.ports import DEFAULTS, is_free
from workers.devstack.processes import Command
from workers.devstack.programs import healthy, program
from workers.devstack.stack import PARTS, Stack
from workers.devstack.state import StackState

#: Which processes serve and with which roles; names are unique, one of them is the API.
Topology = Mapping[str, str]
APART: Topology = {"api": "api", "relay": "relay", "worker-1": "worker", "worker-2": "worker"}
TOGETHER: Topology = {"node": "api,worker,relay", "worker-2": "worker"}
#: A link of the node, and the port of the stack that it leads to.
LINKS = {"postgres": "postgres", "temporal": "temporal", "partner": "echo", "mail": "mail", "api": "api"}
_ADDRESSES = re.compile(r"_(URL|ADDRESS|ALLOW|ENDPOINT)$")


class NodeProcess:
    """A part of the stack that plays some of the product's roles."""

    ready_seconds = 60.0

    def __init__(
        self, name: str, roles: str, port: int, environment: Callable[[], Mapping[str, str]]
    ) -> None:
        self.name = name
        self.roles = roles.split(",")
        self._port = port
        self._environment = environment

    @property
    def ports(self) -> dict[str, int]:
        return {"api": self._port} if "api" in self.roles else {}

    async def prepare(self) -> Command:
        command = program("workers.node", "--roles", ",".join(self.roles), environment=self._environment())
        return replace(command, stop_signals=((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)))

    async def ready(self) -> bool:
        if "api" not in self.roles:
            return True  # it has no door to knock at
        return await healthy(f"http://127.0.0.1:{self._port}/healthz")

    async def settle(self) -> None:
        return None


class Late:
    """A part that its supervisor can start again only `wait` seconds after it was lost."""

    def __init__(self, part: Any) -> None:
        self._part = part
        self.wait = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)

    async def prepare(self) -> Command:
        wait, self.wait = self.wait, 0.0
        await asyncio.sleep(wait)
        command: Command = await self._part.prepare()
        return command


class Rig:
    """`async with Rig(folder, chance, timeline) as rig`: servers and proxies; `play` starts the product."""

    def __init__(self, folder: Path, chance: random.Random, timeline: Timeline) -> None:
        folder.mkdir(exist_ok=True)
        StackState(str(folder.resolve()), ports=_own_ports()).save()
        self.stack = Stack(
            folder,
            parts=[name for name in PARTS if name != "node"],
            settings={"PERDURE_SIGN_UP": "open"},
        )
        self.chance = chance
        self.timeline = timeline
        self.proxies: dict[str, FaultProxy] = {}
        self.processes: dict[str, NodeProcess] = {}
        #: By name, the process that was killed last: it may take a moment to be gone.
        self._struck: dict[str, int] = {}
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> "Rig":
        try:
            await self._exit.enter_async_context(self.stack)
            ports = self.stack.state.ports
            for link, port in LINKS.items():
                proxy = FaultProxy(link, ports[port], chance=self.chance, say=self.timeline.say)
                self.proxies[link] = await self._exit.enter_async_context(proxy)
            for name in ("postgres", "temporal"):
                watched = self.stack.supervisor.watched[name]
                watched.part = Late(watched.part)
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in self.stack.supervisor.watched:
            self.signal(name, signal.SIGCONT)
        await self._exit.aclose()

    async def play(self, topology: Topology) -> None:
        """Serve with these processes and no others."""
        supervisor = self.stack.supervisor
        kept = {
            name: each for name, each in self.processes.items() if topology.get(name) == ",".join(each.roles)
        }
        for name in self.processes.keys() - kept.keys():
            await supervisor._stop(supervisor.watched[name])
            del supervisor.watched[name]
        port = self.stack.state.ports["api"]
        self.stack._reserved.release([port])
        fresh = {
            name: NodeProcess(name, roles, port, self.environment)
            for name, roles in topology.items()
            if name not in kept
        }
        self.processes = {**kept, **fresh}
        await asyncio.gather(*(supervisor.start(process) for process in fresh.values()))
        self.timeline.say(f"serving as {', '.join(topology)}")

    def environment(self) -> dict[str, str]:
        """The settings of a node of the stack, with every address replaced by that of the link's proxy."""
        ports = self.stack.state.ports
        moved = {
            str(ports[port]): str(self.proxies[link].port) for link, port in LINKS.items() if link != "api"
        }
        values = self.stack.environment()
        return {
            name: re.sub(r":(\d+)\b", lambda found: ":" + moved.get(found[1], found[1]), value)
            if _ADDRESSES.search(name)
            else value
            for name, value in values.items()
        }

    @property
    def api(self) -> str:
        """Where clients call: past the proxy before the API."""
        return f"http://127.0.0.1:{self.proxies['api'].port}"

    @property
    def partner(self) -> str:
        return f"http://127.0.0.1:{self.proxies['partner'].port}"

    # Who is who

    def playing(self, role: str) -> list[str]:
        return [name for name, process in self.processes.items() if role in process.roles]

    def pid(self, name: str) -> int:
        return self.stack.supervisor.watched[name].child.pid

    def alive(self, name: str) -> bool:
        return self.stack.supervisor.watched[name].child.returncode is None

    def caller(self, port: int) -> str | None:
        """Which of our processes owns the local port of a connection."""
        for name in self.processes:
            with suppress(psutil.Error):
                connections = psutil.Process(self.pid(name)).net_connections("tcp")
                if any(connection.laddr.port == port for connection in connections):
                    return name
        return None

    # What may be done to processes

    def signal(self, name: str, number: int) -> None:
        with suppress(ProcessLookupError):
            if self.alive(name):
                os.kill(self.pid(name), number)

    def kill(self, name: str) -> bool:
        """kill -9; False when there was no process, or one that this has struck before and that is not gone yet."""
        pid = self.pid(name)
        if not self.alive(name) or self._struck.get(name) == pid:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self._struck[name] = pid
        return True

    async def until_alive(self, name: str) -> None:
        """A killed process counts only when there was one; it may still be starting."""
        while not self.alive(name):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def until_serving(self, name: str, seconds: float) -> None:
        """Returns anyway when it does not come to serve in time, because others hit it too."""
        watched = self.stack.supervisor.watched[name]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while watched.status != "running" or not self.alive(name):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)

    async def back(self, name: str, lost: int) -> None:
        """Returns when another process than `lost` is running as `name`."""
        while self.pid(name) == lost or not self.alive(name):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def _own_ports() -> dict[str, int]:
    """Not the usual ones, and none the kernel hands out: while a server is dead, nobody else may move in."""
    chosen: dict[str, int] = {}
    for name in DEFAULTS:
        while (port := random.SystemRandom().randint(15_000, 30_000)) in chosen.values() or not is_free(port):
            pass
        chosen[name] = port
    return chosen
