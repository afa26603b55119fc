"""A TCP proxy that does to a connection what networks and dying peers do.

It lives in the caller's event loop. Bytes pass unchanged until somebody asks for weather (stall, delay, drip) or
breaks something (reset, half-close, or a trap that springs at one request or at its answer).
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum

LOOPBACK = "127.0.0.1"
CHUNK = 65_536
#: asyncpg sends this as one simple query; what it means for the server is decided once it has arrived there.
COMMIT = b"COMMIT;\x00"


class Moment(StrEnum):
    """Where in an exchange a trap springs."""

    REQUEST = "request"
    """The server has not seen the request, and will not."""
    ANSWER = "answer"
    """The server has done what was asked; the client has not been told."""


@dataclass(slots=True, eq=False)
class Trap:
    """Springs once, on the first connection whose client sends `needle`, and breaks that connection.

    `passes` bytes of the answer still get through; `whose` may refuse a connection by its client's port; `then` is
    called at that very moment with the port, while both sides are held.
    """

    needle: bytes = b""
    moment: Moment = Moment.ANSWER
    passes: int = 0
    reset: bool = True
    whose: Callable[[int], bool] = lambda _: True
    then: Callable[[int], None] = lambda _: None
    sprung: asyncio.Event = field(default_factory=asyncio.Event)


class Link:
    """One connection through the proxy: a client's socket and the socket to the server."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.port: int = client.get_extra_info("peername")[1]
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self.trap: Trap | None = None
        self.half_closed = False

    def reset(self) -> None:
        """Both sides get RST instead of an orderly end."""
        for writer in filter(None, (self.client, self.server)):
            with contextlib.suppress(OSError):
                found = writer.get_extra_info("socket")
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def close(self) -> None:
        for writer in filter(None, (self.client, self.server)):
            writer.close()

    def half_close(self) -> None:
        """The client is told that nothing more will come; the server still hears the client."""
        if not self.half_closed and not self.client.is_closing():
            self.half_closed = True
            self.client.write_eof()


class FaultProxy:
    """`async with FaultProxy("postgres", port) as proxy:` listens on `proxy.port`; `say` hears of every fault."""

    def __init__(
        self,
        name: str,
        target: int,
        *,
        chance: random.Random | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.target = target
        self.port = 0
        self._chance = chance or random.Random(0)
        self._say = say
        self._links: set[Link] = set()
        self._traps: list[Trap] = []
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._stalls = 0
        self._delay = 0.0
        self._piece: int | None = None

    async def __aenter__(self) -> "FaultProxy":
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._flowing.set()
        self._server.close()
        for link in list(self._links):
            link.reset()
        while self._links:  # noqa: ASYNC110  their tasks end by themselves
            await asyncio.sleep(0.01)

    # What may be done to it

    def reset(self, share: float = 1.0) -> int:
        """RST on a share of the connections; tells how many."""
        links = [link for link in self._links if self._chance.random() < share]
        for link in links:
            link.reset()
        self._say(f"{self.name}: reset {len(links)} connections")
        return len(links)

    def half_close(self) -> int:
        links = list(self._links)
        for link in links:
            link.half_close()
        self._say(f"{self.name}: half-closed {len(links)} connections")
        return len(links)

    @contextlib.asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        """Nothing passes in either direction and nobody is told; what was sent meanwhile arrives afterwards."""
        self._say(f"{self.name}: stalled")
        self._stalls += 1
        self._flowing.clear()
        try:
            yield
        finally:
            self._stalls -= 1
            if not self._stalls:
                self._flowing.set()
            self._say(f"{self.name}: flows again")

    @contextlib.asynccontextmanager
    async def slow(self, delay: float = 0.0, piece: int | None = None) -> AsyncIterator[None]:
        """Every chunk waits up to twice `delay` seconds and goes in pieces of `piece` bytes."""
        self._say(f"{self.name}: slow, about {delay:.2f} s, pieces of {piece or 'any number of'} bytes")
        self._delay, self._piece = delay, piece
        try:
            yield
        finally:
            self._delay, self._piece = 0.0, None
            self._say(f"{self.name}: quick again")

    def arm(self, trap: Trap) -> Trap:
        self._traps.append(trap)
        return trap

    def disarm(self, trap: Trap) -> None:
        """A trap that nobody stepped into, or whose answer never came, is taken away."""
        if trap in self._traps:
            self._traps.remove(trap)
        for link in self._links:
            if link.trap is trap:
                link.trap = None

    # How bytes pass

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(writer)
        self._links.add(link)
        try:
            await self._flowing.wait()
            answers, link.server = await asyncio.open_connection(LOOPBACK, self.target)
            await asyncio.gather(self._requests(link, reader), self._answers(link, answers))
        except (OSError, RuntimeError):
            link.reset()  # the server is away or one side broke: the other must notice at once
        finally:
            link.close()
            self._links.discard(link)

    async def _requests(self, link: Link, reader: asyncio.StreamReader) -> None:
        assert link.server is not None
        seen = b""
        while data := await reader.read(CHUNK):
            seen += data
            trap = self._caught(link, seen)
            if trap is not None and trap.moment is Moment.REQUEST:
                self._spring(link, trap)
                return
            link.trap = link.trap or trap
            seen = seen[-64:]  # a needle may be torn between two reads
            await self._pass(link.server, data)
        link.server.write_eof()

    async def _answers(self, link: Link, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK):
            trap = link.trap
            if trap is not None:
                data, trap.passes = data[: trap.passes], trap.passes - len(data)
            if data and not link.half_closed:
                await self._pass(link.client, data)
            if trap is not None and trap.passes <= 0:
                self._spring(link, trap)
                return
        if not link.half_closed:
            link.client.write_eof()

    def _caught(self, link: Link, seen: bytes) -> Trap | None:
        for trap in self._traps:
            if trap.needle in seen and trap.whose(link.port):
                self._traps.remove(trap)
                return trap
        return None

    def _spring(self, link: Link, trap: Trap) -> None:
        self._say(f"{self.name}: sprung at the {trap.moment} of {trap.needle[:12]!r}, port {link.port}")
        trap.then(link.port)
        link.trap = None
        link.reset() if trap.reset else link.close()
        trap.sprung.set()

    async def _pass(self, sink: asyncio.StreamWriter, data: bytes) -> None:
        size = self._piece or len(data)
        for start in range(0, len(data), size):
            if self._delay:
                await asyncio.sleep(self._chance.uniform(0, 2 * self._delay))
            await self._flowing.wait()
            sink.write(data[start : start + size])
            await sink.drain()
