"""Every attempt at a step that the engine tries again stays to be read, while it goes on and after it."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import event, text

from activities import executions
from db.session import Access, Role
from perdure.cli.executions import attempts_table, tell
from tests.workflows.engine import Engine
from tests.workflows.test_erasure import worker
from tests.workflows.test_executions_command import Perdure, perdure
from tests.workflows.test_operators import operator
from tests.workflows.test_secret_use import SHOWN, Echo, call, echo, put
from tests.workflows.test_watching import Server, Told, server

__all__ = ["echo", "perdure", "server"]


def breaks(echo: Echo, times: int, then: Callable[[], Awaitable[None]] | None = None) -> None:
    """The peer ends so many connections without an answer."""
    left = times

    async def broken() -> None:
        nonlocal left
        left -= 1
        if left:
            echo.instead = broken
        elif then is not None:
            await then()

    echo.instead = broken


async def step(engine: Engine, id: str, name: str = "ask") -> dict[str, Any]:
    steps = (await engine.get(f"/v1/executions/{id}/steps"))["items"]
    [found] = [each for each in steps if each["name"] == name]
    return dict(found)


async def until_due(engine: Engine, id: str) -> dict[str, Any]:
    """The step, while it waits to be tried again."""
    async with asyncio.timeout(20):
        while True:
            begun = (await engine.get(f"/v1/executions/{id}/steps"))["items"]
            for found in begun:
                if found["attempts"] and found["attempts"][-1]["retry_at"]:
                    return dict(found)
            await asyncio.sleep(0.02)


def moments(attempt: dict[str, Any], *names: str) -> list[datetime]:
    return [datetime.fromisoformat(attempt[name]) for name in names]


def get(echo: Echo) -> dict[str, Any]:
    return call(echo, method="get")


async def test_a_peer_that_fails_twice_and_answers_then_is_told_attempt_by_attempt(
    server: Server, echo: Echo, perdure: Perdure
) -> None:
    engine = server.engine
    breaks(echo, 2)
    id = (await engine.start(await engine.publish([{"ask": get(echo)}])))["id"]
    heard: list[Told] = []

    async def listen() -> None:
        async with server.stream(id) as events:
            async for told in events:
                heard.append(told)

    listening = asyncio.create_task(listen())
    due = await until_due(engine, id)
    assert (due["status"], due["attempt"], len(due["attempts"])) == ("running", 1, 1)
    began, ended, retry = moments(due["attempts"][0], "started_at", "completed_at", "retry_at")
    assert began <= ended
    assert (retry - ended).total_seconds() == pytest.approx(1.0), "the engine's first interval"
    told = await engine.get(f"/v1/executions/{id}/explain")
    assert "“ask” did not succeed and is tried again" in told["text"]
    assert "Its attempt 1 failed: Connection failed." in told["text"]
    assert (await engine.ended(id))["status"] == "completed"
    async with asyncio.timeout(10):
        await listening

    done = await step(engine, id)
    assert (done["status"], done["attempt"], done["error"]) == ("completed", 3, None)
    shown = [(each["number"], each["status"], each["retry_at"]) for each in done["attempts"]]
    assert shown == [(1, "failed", None), (2, "failed", None), (3, "completed", None)]
    for failed in done["attempts"][:2]:
        assert failed["error"]["type"].endswith("/communication")
        assert (failed["error"]["title"], failed["error"]["status"]) == ("Connection failed", 502)
        assert "instance" not in failed["error"]
    times = [each for attempt in done["attempts"] for each in moments(attempt, "started_at", "completed_at")]
    assert times == sorted(times)
    assert abs((times[2] - retry).total_seconds()) < 1, "it came when it was said to come"
    assert done["completed_at"] == done["attempts"][-1]["completed_at"]

    steps = [told.data for told in heard if told.name == "step"]
    steps += [step for told in heard if told.name == "snapshot" for step in told.data["steps"]]
    seen = {(step["attempt"], step["status"], step["retry_at"] is not None) for step in steps}
    assert {(1, "running", True), (2, "running", True), (3, "completed", False)} <= seen
    told_once = [(step["attempt"], step["status"], step["retry_at"]) for step in steps]
    assert len(told_once) == len(set(told_once)), "each change once"
    _, out, _ = await perdure.run("show", id)
    assert out.count("Connection failed") == 2


def test_the_command_says_when_it_is_tried_again() -> None:
    error = {"title": "Connection failed", "detail": "the other side hung up", "status": 502}
    times = {"started_at": "2026-11-23T09:00:00Z", "completed_at": "2026-11-23T09:00:01Z", "error": error}
    lost = {"number": 1, "status": "lost", **times, "completed_at": None, "retry_at": None, "error": None}
    due = {"number": 2, "status": "failed", **times, "retry_at": "2026-11-23T09:00:03.1Z"}
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(attempts_table([{"name": "ask [b]", "attempts": [lost, due]}]))
    shown = {"name": "ask", "status": "running", "attempt": 2, **times, "completed_at": None}
    tell(console, "step", {**shown, "retry_at": due["retry_at"]})
    tell(console, "step", {**shown, "retry_at": None})
    told = console.export_text()
    assert "its worker was stopped or lost" in told
    assert "Connection failed: the other side hung up; tried again 2026-11-23 09:00:03" in told
    assert "ask [b]" in told
    assert "running    ask (attempt 2 failed; tried again 2026-11-23 09:00:03)\n" in told
    assert "running    ask (attempt 2)\n" in told


async def test_an_attempt_tells_no_more_of_a_secret_than_the_step_does(engine: Engine, echo: Echo) -> None:
    """The host whose connection broke is named by a secret, and so masked in each error."""
    await put(engine, "api_key", "127.0.0.1")
    breaks(echo, 4)
    row = await engine.run(
        [{"ask": call(echo, method="get", endpoint=f'${{ "http://" + $secrets.api_key + ":{echo.port}" }}')}]
    )
    assert row["status"] == "failed"
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        kept = await tx.scalar(text("SELECT attempts::text FROM execution_steps"))
    assert kept.count("Connection failed") == 3, "the last attempt is the step's own end"
    assert SHOWN in kept
    assert "127.0.0.1" not in kept
    shown = await step(engine, str(row["id"]))
    assert [each["status"] for each in shown["attempts"]] == ["failed"] * 4
    assert shown["attempts"][-1]["error"] == shown["error"]


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """What the database is asked meanwhile."""
    asked: list[str] = []
    inner = engine.parts.database._engine.sync_engine

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(" ".join(statement.split()))

    event.listen(inner, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(inner, "before_cursor_execute", note)


def of_attempts(asked: list[str]) -> list[str]:
    begins = (
        "UPDATE workflow_executions SET updated_at",
        "SELECT attempts",
        "UPDATE execution_steps SET attempt",
    )
    return [statement for statement in asked if statement.startswith(begins)]


async def test_what_succeeds_at_once_costs_no_statement(engine: Engine, echo: Echo) -> None:
    workflow = await engine.publish([{"ask": get(echo)}])
    with statements(engine) as asked:
        started = await engine.start(workflow)
        await engine.ended(started["id"])
    assert of_attempts(asked) == []
    assert any("INSERT INTO execution_steps" in statement for statement in asked)
    assert (await step(engine, started["id"]))["attempts"] == []
    breaks(echo, 1)
    with statements(engine) as asked:
        again = await engine.start(workflow)
        await engine.ended(again["id"])
    assert len(of_attempts(asked)) == 6, (
        "two attempts: three for the end of one, three for the beginning of the next"
    )


async def test_a_database_that_cannot_note_it_holds_nothing_up(
    engine: Engine, echo: Echo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The attempt that nobody noted is told as one whose end is not known."""

    async def away(*_: Any) -> None:
        raise ConnectionError("away")

    monkeypatch.setattr(executions.StepAttempts, "fail", away)
    breaks(echo, 1)
    row = await engine.run([{"ask": get(echo)}])
    assert row["status"] == "completed"
    shown = await step(engine, str(row["id"]))
    assert [(each["number"], each["status"]) for each in shown["attempts"]] == [(1, "lost"), (2, "completed")]
    assert "is not noted: ConnectionError" in caplog.text
    assert "Connection failed" in caplog.text, "the engine is told why it is to try again"


async def test_a_step_that_is_cancelled_between_two_attempts_is_tried_no_more(
    engine: Engine, echo: Echo
) -> None:
    breaks(echo, 100)
    id = (await engine.start(await engine.publish([{"ask": get(echo)}])))["id"]
    await until_due(engine, id)
    await engine.post(f"/v1/executions/{id}/cancel", {})
    assert (await engine.ended(id))["status"] == "cancelled"
    shown = await step(engine, id)
    assert shown["status"] == "cancelled"
    assert [each["retry_at"] for each in shown["attempts"]] == [None] * len(shown["attempts"])


async def test_a_reset_leaves_no_attempt_of_the_step_it_took_back(engine: Engine, echo: Echo) -> None:
    breaks(echo, 2)
    id = (await engine.start(await engine.publish([{"ask": get(echo)}])))["id"]
    await engine.ended(id)
    assert len((await step(engine, id))["attempts"]) == 3
    await engine.described(id)
    run_id = await (await operator(engine, id)).reset(0)
    await engine.until(id, lambda row: row["reset_run_id"] == run_id and row["status"] == "completed")
    shown = await step(engine, id)
    assert (shown["status"], shown["attempt"], shown["attempts"]) == ("completed", 1, [])


async def repeated(engine: Engine, id: str, place: str) -> dict[str, Any]:
    plan = await engine.post(f"/v1/executions/{id}/rerun-plan", {"from": place})
    body = {"from": place, "confirm": plan["digest"]}
    return await engine.post(f"/v1/executions/{id}/rerun", body)


async def test_a_rerun_takes_the_attempts_of_what_it_answers_and_of_nothing_else(
    engine: Engine, echo: Echo
) -> None:
    wrong = {"raise": {"error": {"type": "https://example.org/no", "status": 400, "title": "No"}}}
    breaks(echo, 1)
    id = (await engine.start(await engine.publish([{"ask": get(echo)}, {"break": wrong}])))["id"]
    await engine.ended(id)
    made = await step(engine, id)
    later = await repeated(engine, id, "/do/1/break")
    await engine.ended(later["id"])
    taken = await step(engine, later["id"])
    assert (taken["is_taken_over"], taken["attempt"], taken["attempts"]) == (True, 2, made["attempts"])
    anew = await repeated(engine, id, "/do/0/ask")
    await engine.ended(anew["id"])
    shown = await step(engine, anew["id"])
    assert (shown["is_taken_over"], shown["attempt"], shown["attempts"]) == (False, 1, [])


@asynccontextmanager
async def peer(answer: Callable[[str], Awaitable[bool]]) -> AsyncIterator[int]:
    """Answers what `answer` says yes to, by the request's method."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if await answer(head.split(" ")[0]):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


@pytest.mark.timeout(240)  # two processes start, each of which loads for seconds on a busy machine
async def test_a_worker_killed_in_the_middle_is_an_attempt_of_which_nobody_told_the_end(
    idle_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 while one execution reads outside and another one changes something there."""
    engine = idle_engine
    held: set[str] = set()
    is_held = True

    async def answer(method: str) -> bool:
        held.add(method)
        while is_held:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return True

    relay = asyncio.create_task(engine.parts.relay.run())
    async with peer(answer) as port:
        monkeypatch.setenv("PERDURE_HTTP_ALLOW", f"127.0.0.1/32:{port}")
        monkeypatch.setenv("PERDURE_DEMO_ORGANIZATION_ID", str(engine.organization_id))
        url = f"http://127.0.0.1:{port}/"
        ids = {}
        async with worker(engine.parts.settings) as process:
            for method in ("get", "post"):
                ask = {"call": "http", "with": {"method": method, "endpoint": url}}
                ids[method] = (await engine.start(await engine.publish([{"ask": ask}])))["id"]
            async with asyncio.timeout(90):
                while held != {"GET", "POST"}:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            process.kill()
            await process.wait()
        is_held = False
        async with worker(engine.parts.settings):
            rows = {method: await engine.ended(id, 120) for method, id in ids.items()}
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    assert rows["get"]["status"] == "completed", dict(rows["get"])
    for method, end in (("get", "completed"), ("post", "failed")):
        shown = await step(engine, ids[method])
        assert shown["attempt"] == 2
        lost, last = shown["attempts"]
        assert (lost["number"], lost["status"], lost["completed_at"], lost["error"]) == (
            1,
            "lost",
            None,
            None,
        )
        assert lost["started_at"] == shown["started_at"]
        assert (last["number"], last["status"]) == (2, end)
    assert last["error"]["title"] == "Outcome unknown"
    assert last["error"] == shown["error"]
