"""Server-Sent Events over a real socket: the whole first, then every change once, however often one reconnects."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import event, text

import api.events
import api.watching
from api.app import create_app
from api.watching import STREAMS_PER_CALLER, Watching
from db.engine import create_engine
from db.session import Access, Role
from db.tenants import SHIPPED_ROLES
from db.watching import Changes
from domain.permissions import RoleName
from tests.factories import rows
from tests.workflows.engine import Engine
from tests.workflows.test_operators import operator

ASK: dict[str, Any] = {"ask": {"call": "approve", "with": {"title": "Go on?"}}}
SAY: dict[str, Any] = {"call": "data.template", "with": {"text": "Hi", "values": {}}}
REST: dict[str, Any] = {"rest": {"wait": {"milliseconds": 300}}}


@dataclass
class Told:
    """One event of a stream."""

    name: str = ""
    id: str = ""
    data: Any = None


@dataclass
class Server:
    engine: Engine
    app: FastAPI
    http: httpx2.AsyncClient
    uvicorn: uvicorn.Server
    serving: asyncio.Task[None]
    heard: list[Told] = field(default_factory=list)

    @property
    def watching(self) -> Watching:
        found: Watching = self.app.state.watching
        return found

    @asynccontextmanager
    async def stream(self, id: str, **headers: str) -> AsyncIterator[AsyncIterator[Told]]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.stream("GET", f"/v1/executions/{id}/events", headers=named) as answer:
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield _events(answer)

    async def until(self, streams: int) -> None:
        """So many streams are open."""
        async with asyncio.timeout(10):
            while self.watching.streams != streams:  # noqa: ASYNC110  it is what users see, not an event of ours
                await asyncio.sleep(0.02)


async def _events(answer: httpx2.Response) -> AsyncIterator[Told]:
    told = Told()
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            told.name = value
        elif name == "id":
            told.id = value
        elif name == "data":
            told.data = json.loads(value)
        elif line.startswith(":"):
            yield Told("comment")
        elif not line and told.name:
            yield told
            told = Told()


@pytest.fixture
async def server(engine: Engine) -> AsyncIterator[Server]:
    app = create_app(engine.parts.api)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=10)
    running = uvicorn.Server(config)
    serving = asyncio.create_task(running.serve())
    while not running.started:  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    headers = {"Authorization": engine.http.headers["Authorization"]}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as http:
        yield Server(engine, app, http, running, serving)
    app.state.watching.close()
    running.should_exit = True
    await serving


async def _decide(engine: Engine, id: str) -> None:
    row = await engine.until(id, lambda row: (row["waiting_on"] or {}).get("task_id") is not None)
    await engine.post(f"/v1/tasks/{row['waiting_on']['task_id']}/decision", {"outcome": "approved"})


async def test_the_whole_comes_first_then_what_changes_then_the_end(server: Server) -> None:
    engine = server.engine
    id = (await engine.start(await engine.publish([{"say": SAY}, ASK, {"done": {"set": {"ok": True}}}])))[
        "id"
    ]
    await engine.waiting(id)
    heard: list[Told] = []
    async with server.stream(id) as events:
        async for told in events:
            heard.append(told)
            if told.name == "snapshot":
                await _decide(engine, id)
    assert heard[0].name == "snapshot"
    assert heard[0].data["execution"]["status"] == "waiting"
    assert [(step["name"], step["status"]) for step in heard[0].data["steps"]] == [
        ("say", "completed"),
        ("ask", "waiting"),
    ]
    steps = [(told.data["name"], told.data["status"]) for told in heard if told.name == "step"]
    assert steps == [("ask", "completed"), ("done", "completed")]
    assert heard[-1].name == "end"
    assert heard[-1].data["status"] == "completed"
    assert len({told.id for told in heard}) == len(heard)
    await server.until(0)


async def test_whoever_reconnects_after_any_event_misses_and_repeats_nothing(server: Server) -> None:
    engine = server.engine
    loop = {"often": {"for": {"in": "[range(4)]"}, "do": [{"say": SAY}, REST]}}
    id = (await engine.start(await engine.publish([loop, {"done": {"set": {"ok": True}}}])))["id"]
    steps: list[tuple[str, str]] = []
    last: dict[str, str] = {}
    reconnections = 0
    while True:
        async with server.stream(id, **last) as events:
            listened = 0
            async for told in events:
                last = {"Last_Event_ID": told.id}
                if told.name == "snapshot":
                    assert not steps, "the whole was told twice"
                    steps += [(step["occurrence"], step["status"]) for step in told.data["steps"]]
                elif told.name == "step":
                    steps.append((told.data["occurrence"], told.data["status"]))
                listened += 1
                if listened > reconnections % 2:  # one or two events of each connection
                    break
        if told.name == "end":
            break
        reconnections += 1
    assert reconnections > 3
    assert len(steps) == len(set(steps)), "a change was told twice"
    ended = {occurrence for occurrence, status in steps if status == "completed"}
    assert ended == {step["occurrence"] for step in await engine.steps(id)}
    again = await server.http.get(f"/v1/executions/{id}/events", headers={"Last-Event-ID": told.id})
    assert again.status_code == 204, "an EventSource would come back for ever"
    await server.until(0)


async def test_what_has_ended_is_told_and_closed(server: Server) -> None:
    id = (await server.engine.start(await server.engine.publish([{"say": SAY}])))["id"]
    await server.engine.ended(id)
    async with server.stream(id, Last_Event_ID="nonsense") as events:
        heard = [told.name async for told in events]
    assert heard == ["snapshot", "end"]


async def test_many_watchers_share_one_look_and_hold_no_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = server.engine
    id = (await engine.start(await engine.publish([ASK])))["id"]
    await engine.waiting(id)
    looks: list[str] = []
    sync_engine = engine.parts.database._engine.sync_engine

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "workflow_executions.updated_at" in statement and "trigger_data" not in statement:
            looks.append(statement)

    async def watch() -> list[str]:
        async with server.stream(id) as events:
            return [told.name async for told in events]

    watchers = [asyncio.create_task(watch()) for _ in range(10)]
    await server.until(10)
    await asyncio.sleep(0.5)
    event.listen(sync_engine, "before_cursor_execute", note)
    await asyncio.sleep(1)
    event.remove(sync_engine, "before_cursor_execute", note)
    assert 1 <= len(looks) <= 6, looks
    await _decide(engine, id)
    assert all(heard[-1] == "end" for heard in await asyncio.gather(*watchers))
    await server.until(0)
    assert not server.watching._looking, "somebody still looks although nobody watches"


async def test_an_error_nobody_expected_does_not_end_the_looking(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(api.watching, "IDLE_LOOK_SECONDS", 0.1)
    engine = server.engine
    id = (await engine.start(await engine.publish([ASK])))["id"]
    await engine.waiting(id)
    failures = 0

    async def fail(*_: Any) -> Any:
        nonlocal failures
        failures += 1
        raise ValueError("nobody expected this")

    with monkeypatch.context() as broken:
        broken.setattr(Changes, "revisions", fail)
        async with server.stream(id) as events, asyncio.timeout(20):
            assert (await anext(events)).name == "snapshot"
            while failures < 3:  # noqa: ASYNC110  what is broken has no event
                await asyncio.sleep(0.02)
            broken.undo()
            await _decide(engine, id)
            assert [told.name async for told in events][-1] == "end"
    assert [record.levelname for record in caplog.records if record.name == "api.watching"] == ["WARNING"]
    assert "nobody expected this" in caplog.text


async def test_a_client_that_leaves_frees_its_stream_and_one_too_many_is_refused(server: Server) -> None:
    engine = server.engine
    id = (await engine.start(await engine.publish([ASK])))["id"]
    await engine.waiting(id)

    async def watch() -> None:
        async with server.stream(id) as events:
            async for _ in events:
                pass

    watchers = [asyncio.create_task(watch()) for _ in range(STREAMS_PER_CALLER)]
    await server.until(STREAMS_PER_CALLER)
    refused = await server.http.get(f"/v1/executions/{id}/events")
    assert refused.status_code == 429
    assert refused.headers["retry-after"]
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)
    await server.until(0)


async def test_a_foreign_execution_is_one_that_does_not_exist(server: Server) -> None:
    engine = server.engine
    id = (await engine.start(await engine.publish([ASK])))["id"]
    account = {"email": "eve@example.com", "password": "tidal ferns at dusk", "name": "Eve"}
    other = await server.http.post("/v1/auth/register", json={**account, "organization_name": "Other"})
    headers = {"Authorization": f"Bearer {other.json()['access_token']}"}
    foreign = await server.http.get(f"/v1/executions/{id}/events", headers=headers)
    unknown = await server.http.get(f"/v1/executions/{uuid4()}/events", headers=headers)
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.content == unknown.content


async def test_heartbeats_keep_it_open_until_access_is_lost(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.events, "HEARTBEAT_SECONDS", 0.2)
    engine = server.engine
    id = (await engine.start(await engine.publish([ASK])))["id"]
    await engine.waiting(id)
    async with server.stream(id) as events:
        heard = [(await anext(events)).name for _ in range(3)]
        assert heard == ["snapshot", "comment", "comment"]
        async with engine.parts.database.transaction(Access(Role.SYSTEM)) as tx:
            await tx.execute(text("UPDATE sessions SET revoked_at = now()"))
        async with asyncio.timeout(3):
            assert "end" not in [told.name async for told in events]
    await server.until(0)


@pytest.mark.parametrize("lost", ["key revoked", "key expired", "session revoked", "membership ended"])
async def test_a_busy_stream_ends_when_access_is_lost(
    server: Server, monkeypatch: pytest.MonkeyPatch, admin_url: str, lost: str
) -> None:
    """Something changes all the time, so that it never comes to a heartbeat."""
    monkeypatch.setattr(api.events, "HEARTBEAT_SECONDS", 1.5)
    engine = server.engine
    id = (await engine.start(await engine.publish([ASK])))["id"]
    await engine.waiting(id)
    headers = {}
    if lost.startswith("key"):
        key = await engine.post("/v1/me/api-keys", {"name": "watcher", "scopes": ["executions:read"]})
        headers["Authorization"] = f"Bearer {key['key']}"
    statement = {
        "key revoked": "UPDATE api_keys SET revoked_at = now()",
        "key expired": "UPDATE api_keys SET expires_at = now() - interval '1 second'",
        "session revoked": "UPDATE sessions SET revoked_at = now()",
        "membership ended": "DELETE FROM user_organizations WHERE role_id = :owner AND user_id <> :heir",
    }[lost]
    behind = create_engine(admin_url)
    async with behind.begin() as connection:  # an organization is never without an owner
        heir = await rows.member(connection, engine.organization_id, role=RoleName.OWNER)
    people = {"owner": SHIPPED_ROLES[RoleName.OWNER], "heir": heir["user_id"]}

    async def do(statement: str) -> None:
        given = {name: value for name, value in people.items() if f":{name}" in statement}
        async with behind.begin() as connection:
            assert (await connection.execute(text(statement), given)).rowcount

    async def change() -> None:
        while True:
            await do("UPDATE workflow_executions SET current_step = current_step + 1")
            await asyncio.sleep(0.1)

    heard: list[str] = []
    changing = asyncio.create_task(change())
    try:
        async with server.stream(id, **headers) as events, asyncio.timeout(10):
            async for told in events:
                heard.append(told.name)
                if len(heard) == 4:
                    await do(statement)
    finally:
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)
        await behind.dispose()
    assert heard == ["snapshot"] + ["execution"] * (len(heard) - 1), "it was not busy"
    assert len(heard) >= 4
    await server.until(0)


async def test_after_a_reset_the_whole_is_told_again(server: Server) -> None:
    """Steps that had ended are taken back and done anew, some with another outcome."""
    engine = server.engine
    do = [{"say": SAY}, {"rest": {"wait": {"seconds": 2}}}, {"again": SAY}, ASK]
    id = (await engine.start(await engine.publish(do)))["id"]
    await engine.until(id, lambda row: (row["waiting_on"] or {}).get("kind") == "task")
    shown: dict[str, str] = {}
    snapshots: list[list[str]] = []
    async with server.stream(id) as events, asyncio.timeout(20):
        async for told in events:
            if told.name == "snapshot":
                snapshots.append([step["name"] for step in told.data["steps"]])
                shown = {step["name"]: step["status"] for step in told.data["steps"]}
                if len(snapshots) == 1:
                    before = told.id
                    await (await operator(engine, id)).reset(0)
            elif told.name == "step":
                shown[told.data["name"]] = told.data["status"]
            if len(snapshots) > 1 and shown.get("ask") == "waiting":
                break
    assert snapshots == [["say", "rest", "again", "ask"], snapshots[1]]
    assert len(snapshots[1]) < 4, "what the reset took back is still shown"
    assert shown == {step["name"]: step["status"] for step in await engine.steps(id)}
    async with server.stream(id, Last_Event_ID=before) as events:
        assert (await anext(events)).name == "snapshot", "who comes back from before the reset"
    async with server.stream(id, Last_Event_ID=told.id) as events:
        await _decide(engine, id)
        assert "snapshot" not in [told.name async for told in events], "who has been told of the reset"


async def test_whoever_was_told_the_end_hears_of_the_one_after_a_reset(server: Server) -> None:
    engine = server.engine
    id = (await engine.start(await engine.publish([{"say": SAY}, ASK])))["id"]
    await _decide(engine, id)
    await engine.ended(id)
    async with server.stream(id) as events:
        first = [told async for told in events]
    await engine.described(id)
    run_id = await (await operator(engine, id)).reset(0)
    await engine.until(id, lambda row: row["reset_run_id"] == run_id and row["status"] == "completed")
    async with server.stream(id, Last_Event_ID=first[-1].id) as events:
        again = [told async for told in events]
    assert [told.name for told in again] == ["snapshot", "end"]
    answer = await server.http.get(f"/v1/executions/{id}/events", headers={"Last-Event-ID": again[-1].id})
    assert answer.status_code == 204


async def test_shutting_down_ends_streams_at_once(server: Server) -> None:
    engine = server.engine
    id = (await engine.start(await engine.publish([ASK])))["id"]
    await engine.waiting(id)
    async with server.stream(id) as events:
        await anext(events)
        server.watching.close()
        server.uvicorn.should_exit = True
        async with asyncio.timeout(3):
            assert [told.name async for told in events] == []
            await asyncio.shield(server.serving)


async def test_a_browser_watches_with_its_cookie(server: Server) -> None:
    engine = server.engine
    id = (await engine.start(await engine.publish([{"say": SAY}])))["id"]
    await engine.ended(id)
    base = str(server.http.base_url)
    async with httpx2.AsyncClient(base_url=base, timeout=10) as browser:
        page = await browser.get("/login")
        token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
        form = {"email": "ada@example.com", "password": "tidal ferns at dusk", "csrf_token": token}
        signed_in = await browser.post("/login", data=form, headers={"Origin": base.rstrip("/")})
        assert signed_in.status_code in (200, 303), signed_in.text
        answer = await browser.get(f"/v1/executions/{id}/events")
    assert answer.status_code == 200, answer.text
    assert "event: end" in answer.text
