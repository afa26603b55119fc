"""Requests have ids, are counted by their routes, and leave lines in which no value of a tenant stands."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from api.app import create_app
from tests.api.conftest import SECURITY, Account, World
from workers import logs
from workers.metrics import Metrics

CANARY = "canary-3f9a1c"
TOKEN = "a-token-of-the-scraper"


@dataclass
class Lines:
    stream: io.StringIO

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def requests(self) -> list[dict[str, Any]]:
        return [line for line in self.all() if line["event"] == "request"]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What the process writes, as it is configured in production."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield Lines(stream)
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_a_request_keeps_the_id_it_came_with_or_is_given_one(account: Account) -> None:
    given = await account.get("/v1/me", headers={"X-Request-Id": "edge-17.a"})
    assert given.headers["x-request-id"] == "edge-17.a"
    for unusable in ("a" * 65, "two words", "semi;colon"):
        answer = await account.get("/v1/me", headers={"X-Request-Id": unusable})
        assert answer.headers["x-request-id"] != unusable
        assert len(answer.headers["x-request-id"]) == 32


async def test_the_line_of_a_request_says_who_asked_what(account: Account, lines: Lines) -> None:
    answer = await account.get("/v1/me", headers={"X-Request-Id": "r-1"})
    [line] = lines.requests()
    assert line["request"] == "r-1"
    assert line["caller"] == f"user:{account.user_id}"
    assert line["organization"] == account.organization_id
    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/me", answer.status_code)
    assert line["duration_ms"] >= 0
    assert line["level"] == "info"
    assert line["timestamp"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/hooks/{CANARY}"),
        ("POST", f"/v1/hooks/{CANARY}"),
        ("GET", f"/nowhere/{CANARY}"),
        ("GET", f"/v1/clients?search={CANARY}"),
        ("GET", f"/v1/executions/{CANARY}"),
        ("GET", f"/v1/me?{CANARY}=1"),
    ],
)
async def test_no_path_and_no_query_is_written_down(
    account: Account, lines: Lines, method: str, path: str
) -> None:
    await account.request(method, path, **({"json": {"a": CANARY}} if method == "POST" else {}))
    assert lines.requests()
    assert CANARY not in lines.stream.getvalue()


async def test_a_fault_of_ours_is_placed_and_not_quoted(
    world: World, account: Account, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        secret = {"card": CANARY}
        try:
            raise KeyError(secret["card"])
        except KeyError as error:
            raise RuntimeError(f"could not use {secret}") from error

    monkeypatch.setattr("api.clients.many", broken)
    answer = await account.get("/v1/clients")
    assert answer.status_code == 500
    written = lines.stream.getvalue()
    assert CANARY not in written
    [fault] = [line for line in lines.all() if "exception" in line]
    assert answer.json()["instance"] in fault["event"]
    assert [each["type"] for each in fault["exception"]] == ["builtins.RuntimeError", "builtins.KeyError"]
    assert any("broken" in place for place in fault["exception"][0]["at"])
    assert fault["organization"] == account.organization_id


def test_what_libraries_log_goes_the_same_way(lines: Lines) -> None:
    logging.getLogger("uvicorn.error").warning("Invalid %s", "request")
    logging.getLogger("sqlalchemy.pool").error("lost", exc_info=ValueError(CANARY))
    first, second = lines.all()
    assert (first["event"], first["logger"], first["level"]) == (
        "Invalid request",
        "uvicorn.error",
        "warning",
    )
    assert second["exception"][0]["type"] == "builtins.ValueError"
    assert CANARY not in lines.stream.getvalue()


def test_a_terminal_is_told_in_words(lines: Lines) -> None:
    stream = io.StringIO()
    logs.configure("info", "console", stream)
    logging.getLogger("perdure.test").error("it broke", exc_info=ValueError(CANARY))
    written = stream.getvalue()
    assert "it broke" in written
    assert "ValueError" in written
    assert CANARY not in written


async def test_metrics_are_shown_to_the_holder_of_the_token_alone(world: World, account: Account) -> None:
    assert (await world.http.get("/metrics")).json()["code"] == "no_such_route"
    metrics = Metrics(world.database, TOKEN)
    app = create_app(world.app.state.collaborators, None, metrics)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=SECURITY.public_url) as http:
        assert (await http.get("/metrics")).status_code == 401
        wrong = await http.get("/metrics", headers={"Authorization": "Bearer wrong"})
        assert wrong.status_code == 401
        await http.get("/v1/clients", headers=account.headers)
        await http.get(f"/nowhere/{CANARY}")
        answer = await http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    told = answer.text
    assert 'perdure_http_requests_total{method="GET",route="/v1/clients",status="200"}' in told
    assert 'route="none",status="404"' in told
    assert "perdure_outbox_pending 0.0" in told
    assert "perdure_outbox_oldest_seconds 0.0" in told
    assert 'perdure_database_connections{state="size"} 5.0' in told
    assert "process_resident_memory_bytes" in told
    assert account.organization_id not in told
    assert CANARY not in told
