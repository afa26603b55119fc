"""The fault proxy over real sockets: each fault is what it says, and nothing else changes a byte."""

import asyncio
import random
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.faults.proxy import COMMIT, FaultProxy, Moment, Trap


class Partner:
    """Answers each line with `did <line>` and remembers what it did."""

    def __init__(self) -> None:
        self.did: list[bytes] = []

    async def __aenter__(self) -> "Partner":
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self.did.append(line)
                writer.write(b"did " + line)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def partner() -> AsyncIterator[Partner]:
    async with Partner() as partner:
        yield partner


@pytest.fixture
async def proxy(partner: Partner) -> AsyncIterator[FaultProxy]:
    async with FaultProxy("partner", partner.port, chance=random.Random(1)) as proxy:
        yield proxy


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, proxy: FaultProxy) -> "Caller":
        return cls(*await asyncio.open_connection("127.0.0.1", proxy.port))

    async def ask(self, line: bytes) -> bytes:
        self.writer.write(line)
        return await asyncio.wait_for(self.reader.readline(), 5)


@pytest.fixture
async def caller(proxy: FaultProxy) -> AsyncIterator[Caller]:
    caller = await Caller.to(proxy)
    yield caller
    caller.writer.close()


async def test_bytes_pass_unchanged(proxy: FaultProxy, partner: Partner) -> None:
    content = random.Random(2).randbytes(3_000_000).replace(b"\n", b" ") + b"\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, limit=2**24)
    for start in range(0, len(content) - 1, 30_000):  # lines short enough for the partner
        line = content[start : start + 30_000].rstrip(b"\n") + b"\n"
        writer.write(line)
        assert await reader.readline() == b"did " + line
    writer.write_eof()
    assert await reader.read() == b""  # the end is passed on as well
    writer.close()


async def test_a_stall_loses_nothing(proxy: FaultProxy, caller: Caller) -> None:
    async with proxy.stalled():
        caller.writer.write(b"one\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.reader.readline(), 0.2)
        fresh = await Caller.to(proxy)  # the kernel accepts; nobody answers
        fresh.writer.write(b"two\n")
    assert await caller.ask(b"") == b"did one\n"
    assert await fresh.ask(b"") == b"did two\n"
    fresh.writer.close()


async def test_a_reset_is_a_reset(proxy: FaultProxy, caller: Caller) -> None:
    assert await caller.ask(b"one\n") == b"did one\n"
    assert proxy.reset() == 1
    with pytest.raises(ConnectionResetError):
        await caller.ask(b"two\n")


async def test_a_half_closed_connection_is_still_heard(
    proxy: FaultProxy, caller: Caller, partner: Partner
) -> None:
    await caller.ask(b"one\n")
    proxy.half_close()
    assert await caller.ask(b"two\n") == b""
    await asyncio.sleep(0.1)
    assert partner.did == [b"one\n", b"two\n"]


async def test_slow_is_slow_and_complete(proxy: FaultProxy, caller: Caller) -> None:
    started = time.monotonic()
    async with proxy.slow(delay=0.02, piece=3):
        assert await caller.ask(b"slowly now\n") == b"did slowly now\n"
    assert time.monotonic() - started > 0.05
    started = time.monotonic()
    await caller.ask(b"again\n")
    assert time.monotonic() - started < 0.05


async def test_an_answer_is_lost_after_the_work_was_done(
    proxy: FaultProxy, caller: Caller, partner: Partner
) -> None:
    trap = proxy.arm(Trap(needle=b"pay"))
    assert await caller.ask(b"look\n") == b"did look\n"
    caller.writer.write(b"p")
    await asyncio.sleep(0.05)  # torn between two reads
    with pytest.raises(ConnectionResetError):
        await caller.ask(b"ay\n")
    assert partner.did == [b"look\n", b"pay\n"]
    assert trap.sprung.is_set()
    again = await Caller.to(proxy)  # once is once
    assert await again.ask(b"pay\n") == b"did pay\n"
    again.writer.close()


async def test_a_request_is_lost_before_anybody_heard_it(
    proxy: FaultProxy, caller: Caller, partner: Partner
) -> None:
    ports: list[int] = []
    proxy.arm(Trap(needle=b"pay", moment=Moment.REQUEST, then=ports.append))
    with pytest.raises(ConnectionResetError):
        await caller.ask(b"pay\n")
    assert partner.did == []
    assert ports == [caller.writer.get_extra_info("sockname")[1]]


@pytest.mark.parametrize("reset", [True, False])
async def test_an_answer_is_cut(proxy: FaultProxy, caller: Caller, reset: bool) -> None:
    proxy.arm(Trap(needle=b"read", passes=6, reset=reset))
    caller.writer.write(b"read\n")
    assert await caller.reader.readexactly(6) == b"did re"
    if reset:
        with pytest.raises(ConnectionResetError):
            await caller.reader.read()
    else:
        assert await caller.reader.read() == b""


async def test_a_trap_waits_for_whom_it_is_set(proxy: FaultProxy, caller: Caller) -> None:
    trap = proxy.arm(Trap(needle=b"pay", whose=lambda port: False))
    assert await caller.ask(b"pay\n") == b"did pay\n"
    proxy.disarm(trap)
    assert not trap.sprung.is_set()


async def test_a_server_that_is_away_refuses(partner: Partner, proxy: FaultProxy) -> None:
    partner.server.close()
    gone = await Caller.to(proxy)
    with pytest.raises(ConnectionResetError):
        await gone.ask(b"one\n")


async def test_a_lost_commit_acknowledgement_is_a_commit(admin_url: str) -> None:
    """What PostgreSQL's client sends is recognised, and the server has committed when the client is cut off."""
    port = int(admin_url.rsplit(":", 1)[1].split("/")[0])
    async with FaultProxy("postgres", port) as proxy:
        direct = await asyncpg.connect(admin_url)
        lossy = await asyncpg.connect(admin_url.replace(f":{port}/", f":{proxy.port}/"))
        await direct.execute("CREATE TABLE seen (n integer)")
        trap = proxy.arm(Trap(needle=COMMIT))
        with pytest.raises((ConnectionError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
            async with lossy.transaction():
                await lossy.execute("INSERT INTO seen VALUES (1)")
        assert trap.sprung.is_set()
        assert await direct.fetchval("SELECT count(*) FROM seen") == 1
        lossy.terminate()
        await direct.close()
