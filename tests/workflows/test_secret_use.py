"""A secret reaches its receiver and nothing else: not the history, not the mirror, not the ledger, not the log."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.converter import WorkflowSerializationContext

from db.session import Access, Role
from domain.addresses import AddressPolicy
from tests.workflows.engine import Engine, checked
from tests.workflows.test_sealing import _payloads

CANARY = 'sk_canary-9f3b/+é"quoted'
SHOWN = "[secret api_key]"


@dataclass
class Echo:
    """An HTTP server that answers every request with the request."""

    port: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)
    #: Answers in this order; then 200.
    statuses: list[int] = field(default_factory=list)
    #: Done instead of the first answer; then the connection ends without one.
    instead: Callable[[], Awaitable[None]] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
        method, path, _ = head[0].split(" ")
        request = {"method": method, "path": path, "headers": headers, "body": body}
        self.seen.append(request)
        if self.instead is not None:
            instead, self.instead = self.instead, None
            await instead()
            writer.close()
            return
        status = self.statuses.pop(0) if self.statuses else 200
        answer = json.dumps(request).encode()
        writer.write(
            b"HTTP/1.1 %d Whatever\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % (status, len(answer))
        )
        writer.write(answer)
        await writer.drain()
        writer.close()


@pytest.fixture
async def echo(engine: Engine) -> AsyncIterator[Echo]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    policy = AddressPolicy.allowing([("127.0.0.1", echo.port)])
    activities = engine.parts.activities
    activities._services = replace(activities._services, http_policy=lambda _: policy)
    yield echo
    server.close()
    await server.wait_closed()


async def put(engine: Engine, name: str, value: str) -> None:
    checked(await engine.http.put(f"/v1/secrets/{name}", json={"value": value}))


def call(echo: Echo, **given: Any) -> dict[str, Any]:
    return {"call": "http", "with": {"method": "post", "endpoint": echo.url, **given}}


ASK = {
    "headers": {"X-Plan": "${ .plan }", "X-Signed": "for ${ .who }: ${ $secrets.api_key | @base64 }"},
    "query": {"q": "${ $secrets.api_key }"},
    "body": {"mine": "${ $context.prefix + $secrets.api_key }", "note": "${ .note }", "plan": "${ .plan }"},
    "output": "response",
}


async def opened(engine: Engine, id: str) -> str:
    """Everything of the execution's history, as whoever holds the keys reads it."""
    await engine.described(id)
    name = (await engine.row(id))["temporal_workflow_id"]
    handle = engine.client.get_workflow_handle(name)
    codec = engine.client.data_converter.payload_codec
    assert codec is not None
    context = WorkflowSerializationContext(namespace=engine.client.namespace, workflow_id=name)
    inside = codec.with_context(context)  # type: ignore[attr-defined]  # ours takes a context
    payloads = [payload for event in (await handle.fetch_history()).events for payload in _payloads(event)]
    return "\n".join(
        payload.data.decode("utf-8", "backslashreplace") for payload in await inside.decode(payloads)
    )


async def everywhere(engine: Engine, admin_url: str) -> str:
    """Every column of every table, as superuser sees it."""
    behind = create_async_engine(admin_url.replace("postgresql://", "postgresql+asyncpg://"))
    found = []
    async with behind.connect() as connection:
        for table in await connection.run_sync(lambda sync: inspect(sync).get_table_names()):
            for row in await connection.execute(text(f'SELECT to_jsonb(t)::text FROM "{table}" AS t')):
                found.append(row[0])
    await behind.dispose()
    return "\n".join(found)


def spellings(value: str) -> list[str]:

    return [
        value,
        json.dumps(value)[1:-1],
        json.dumps(json.dumps(value)[1:-1])[1:-1],
        quote(value, safe=""),
        base64.b64encode(value.encode()).decode(),
        value.encode().hex(),
        "sk_canary-9f3b",
    ]


async def test_a_secret_reaches_its_receiver_and_nothing_else(
    engine: Engine, echo: Echo, admin_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await put(engine, "api_key", CANARY)
    basic = {
        "uri": echo.url,
        "authentication": {"basic": {"username": "ada", "password": "${ $secrets.api_key }"}},
    }
    forged = "${ $secrets.api_key } [secret api_key]"
    row = await engine.run(
        [
            {
                "first": {
                    "set": {"plan": "pro", "who": "ada", "note": "${ .note }"},
                    "export": {"as": '{prefix: "p-"}'},
                }
            },
            {"ask": {**call(echo, **ASK), "output": {"as": '{answer: .content, plan: "pro"}'}}},
            {"sign": call(echo, endpoint=basic, body={"raw": "${ .answer.path }"}, output="raw")},
            {"last": {"set": {"raw": "${ . }"}}},
        ],
        {"note": forged},
    )
    assert row["status"] == "completed", dict(row)
    ask, sign = echo.seen
    sent = json.loads(ask["body"])
    assert sent == {"mine": "p-" + CANARY, "note": forged, "plan": "pro"}, "what arrives with data stays data"
    assert ask["headers"]["x-plan"] == "pro"

    assert ask["headers"]["x-signed"] == "for ada: " + base64.b64encode(CANARY.encode()).decode()
    assert base64.b64decode(sign["headers"]["authorization"].split()[1]).decode() == "ada:" + CANARY
    assert json.loads(sign["body"])["raw"] == f"/?q={SHOWN}", "the echo was masked before anything kept it"

    steps = {step["name"]: step for step in await engine.steps(str(row["id"]))}
    shown = steps["ask"]["input"]
    assert shown["query"] == {"q": "${ $secrets.api_key }"}, "the log shows what the definition says"
    assert shown["body"]["mine"] == "${ $context.prefix + $secrets.api_key }"
    assert shown["body"]["note"] == forged
    kept = (await opened(engine, str(row["id"]))) + (await everywhere(engine, admin_url)) + caplog.text
    assert SHOWN in kept
    for spelling in spellings(CANARY):
        assert spelling not in kept, spelling


async def test_an_error_that_repeats_a_secret_is_masked(
    engine: Engine, echo: Echo, admin_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await put(engine, "api_key", CANARY)
    echo.statuses = [422]
    failed = await engine.run([{"ask": call(echo, body={"key": "${ $secrets.api_key }"})}])
    unfit = await engine.run([{"ask": call(echo, method="${ $secrets.api_key }")}])
    wrong = await engine.run([{"ask": call(echo, body="${ $secrets.api_key | tonumber }")}])
    assert [row["status"] for row in (failed, unfit, wrong)] == ["failed"] * 3
    assert failed["error"]["status"] == 422
    assert SHOWN in failed["error"]["detail"]
    assert wrong["error"]["type"].endswith("expression")
    histories = [await opened(engine, str(row["id"])) for row in (failed, unfit, wrong)]
    kept = "".join(histories) + (await everywhere(engine, admin_url)) + caplog.text
    for spelling in spellings(CANARY):
        assert spelling not in kept, spelling


async def test_an_excerpt_that_ends_within_a_secret_is_masked_too(
    engine: Engine, echo: Echo, admin_url: str
) -> None:
    await put(engine, "api_key", CANARY * 200)
    echo.statuses = [422]
    row = await engine.run([{"ask": call(echo, body="${ $secrets.api_key }")}])
    assert row["status"] == "failed"
    assert SHOWN in row["error"]["detail"]
    kept = (await opened(engine, str(row["id"]))) + (await everywhere(engine, admin_url))
    assert "sk_canary" not in kept


async def test_a_secret_that_is_not_set_is_named_with_its_mend(engine: Engine, echo: Echo) -> None:
    row = await engine.run([{"ask": call(echo, body="${ $secrets.missing }")}])
    assert row["status"] == "failed"
    assert row["error"]["detail"] == "secret 'missing' is not set; PUT /v1/secrets/missing"
    assert (row["error"]["type"].rpartition("/")[2], row["error"]["status"]) == ("authorization", 403)
    assert echo.seen == []


async def test_a_new_value_is_used_by_the_next_call(engine: Engine, echo: Echo) -> None:
    workflow = await engine.publish([{"ask": call(echo, body="${ $secrets.api_key }")}])
    for value in ("first-value", "second-value"):
        await put(engine, "api_key", value)
        started = await engine.start(workflow)
        assert (await engine.ended(started["id"]))["status"] == "completed"
    assert [request["body"] for request in echo.seen] == ["first-value", "second-value"]


async def test_a_call_that_is_repeated_stays_the_same_call_when_its_secret_changes(
    engine: Engine, echo: Echo
) -> None:
    await put(engine, "api_key", "first-value")
    echo.instead = lambda: put(engine, "api_key", "second-value")
    row = await engine.run(
        [{"ask": call(echo, idempotent=True, body="${ $secrets.api_key } ${ .n }")}], {"n": 7}
    )
    assert row["status"] == "completed", dict(row)
    assert [request["body"] for request in echo.seen] == ["first-value 7", "second-value 7"]
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        [effect] = (await tx.execute(text("SELECT status, attempts, request_sha256 FROM effects"))).all()
    assert (effect.status, effect.attempts) == ("succeeded", 2)


async def test_secrets_of_configured_actions_are_read_the_same_way(engine: Engine, echo: Echo) -> None:
    await put(engine, "api_key", CANARY)
    action = {
        "name": "ask",
        "uses": "http.request",
        "with": {"method": "post", "headers": {"X-Key": "${ $secrets.api_key | @base64 }"}},
    }
    created = await engine.post(
        "/v1/workflows",
        {
            "name": "configured",
            "actions": [action],
            "definition": {
                "do": [{"go": {"call": "ask", "with": {"endpoint": echo.url, "body": "${ .n }"}}}]
            },
        },
    )
    await engine.post(f"/v1/workflows/{created['id']}/publish", {})
    started = await engine.start(created["id"], {"n": 5})
    assert (await engine.ended(started["id"]))["status"] == "completed"
    assert echo.seen[0]["headers"]["x-key"]
    assert echo.seen[0]["body"] == "5"
