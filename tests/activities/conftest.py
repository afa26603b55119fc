"""Real loopback servers that answer what a test tells them to, and an action's surroundings."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from activities.actions.context import ActionContext, Services
from activities.gateways.http_client import GuardedHttpClient, Limits
from activities.gateways.memory import Memory
from activities.gateways.oauth import Tokens
from domain.addresses import AddressPolicy
from domain.email import Delivery, Mail
from domain.ids import effect_key
from domain.keys import NoKeys
from domain.openapi import Operation

Answer = bytes | Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """One listening server; `requests` holds what it received, byte for byte."""

    answer: Answer
    host: str
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self.converse(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        for line in request.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                request += await reader.readexactly(int(line.split(b":")[1]))
        self.requests.append(request)
        if isinstance(self.answer, bytes):
            writer.write(self.answer)
            await writer.drain()
        else:
            await self.answer(request, writer)

    def header(self, name: str, request: int = -1) -> str | None:
        for line in self.requests[request].split(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
            key, _, value = line.decode().partition(": ")
            if key.lower() == name:
                return value
        return None


Serve = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`await serve(answer, host=…, tls=…)` listens on a free loopback port until the test ends."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(answer: Answer, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Peer:
        peer = Peer(answer, host)

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(peer.handle(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, host, 0, ssl=tls)
        servers.append(server)
        peer.port = server.sockets[0].getsockname()[1]
        return peer

    yield start
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)  # lets aborted transports close their sockets
    for server in servers:
        server.close()
        await server.wait_closed()


class Names:
    """A resolver that answers from a table and counts; a list of lists answers differently each time."""

    def __init__(self, **table: Sequence[str] | Sequence[Sequence[str]]) -> None:
        self.table = {name.replace("_", "."): list(answers) for name, answers in table.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.table.get(host, [host])
        if answers and not isinstance(answers[0], str):
            return answers.pop(0) if len(answers) > 1 else answers[0]  # type: ignore[return-value]  # a list of lists
        return answers  # type: ignore[return-value]  # a list of addresses


def respond(
    body: bytes = b"", *, status: str = "200 OK", headers: Sequence[str] = (), length: bool = True
) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Outgoing:
    """A mailer that keeps what it is given, for tests of the action alone."""

    sender = "Perdure <no-reply@perdure.example>"

    def __init__(self) -> None:
        self.sent: list[Mail] = []

    async def send(self, mail: Mail) -> Delivery:
        self.sent.append(mail)
        return Delivery(mail.recipients)


HTTP = GuardedHttpClient(limits=Limits(total=5))

MakeContext = Callable[..., ActionContext]


@pytest.fixture
def make_context() -> MakeContext:
    """`make_context(policy=…, http=…, mail=…, connection=…, occurrence=…)`."""
    execution = uuid4()

    def make(
        *,
        policy: AddressPolicy | None = None,
        http: GuardedHttpClient | None = None,
        mail: object | None = None,
        connection: object | None = None,
        organization_id: UUID | None = None,
        started_by: UUID | None = None,
        execution_id: UUID | None = None,
        occurrence: str = "/do/0/step#1",
        tokens: Tokens | None = None,
        operations: Memory[Operation] | None = None,
        keys: object | None = None,
    ) -> ActionContext:
        services = Services(
            http=http or HTTP,
            mail=mail or Outgoing(),  # type: ignore[arg-type]  # a Mailer
            http_policy=lambda _: policy or AddressPolicy.public(),
            tokens=tokens or Tokens(),
            operations=operations or Memory(),
            keys=keys or NoKeys(),  # type: ignore[arg-type]  # a SearchableKeyRing
        )
        return ActionContext(
            organization_id=organization_id or uuid4(),
            execution_id=execution_id or execution,
            occurrence=occurrence,
            started_by=started_by,
            effect_key=effect_key(execution_id or execution, occurrence),
            now=datetime(2026, 11, 22, 12, tzinfo=UTC),
            connection=connection,  # type: ignore[arg-type]  # an AsyncConnection
            services=services,
        )

    return make


@pytest.fixture
def names() -> type[Names]:
    return Names


@pytest.fixture
def response() -> Callable[..., bytes]:
    return respond
