"""Schedules on the whole engine: what they start runs to its end, also after the stack stood still or a loop died."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from db.session import Access, Role
from tests.workflows.engine import Engine, working

PROJECT = Path(__file__).resolve().parents[2]
NOTE: list[dict[str, Any]] = [{"note": {"set": "${ $workflow.trigger }"}}]


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[None]:
    """Workers, relay and firing loop, as in a node."""
    async with working(engine.parts, engine.client):
        tasks = [asyncio.create_task(part.run()) for part in (engine.parts.relay, engine.parts.firing)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def scheduled(engine: Engine, do: Any = None, **configuration: Any) -> str:
    """The id of a schedule that fires every minute and counts already."""
    trigger = {"type": "schedule", "configuration": {"every": "1 minute", **configuration}}
    body = {"name": "By the clock", "definition": {"do": do or NOTE}, "triggers": [trigger]}
    created = await engine.post("/v1/workflows", body)
    await engine.post(f"/v1/workflows/{created['id']}/publish", {})
    await engine.parts.firing.sweep()
    [item] = (await engine.get("/v1/schedules"))["items"]
    return str(item["id"])


async def stood_still(engine: Engine, fires: int) -> None:
    """As if so many minutes had passed in which nobody looked."""
    back = timedelta(seconds=60 * fires + 5)
    statement = text(
        "UPDATE schedules SET since = since - CAST(:back AS interval), anchor = anchor - CAST(:back AS interval), "
        "due_at = due_at - CAST(:back AS interval), next_at = next_at - CAST(:back AS interval)"
    )
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        await tx.execute(statement, {"back": back})


async def lines(engine: Engine, id: str) -> list[dict[str, Any]]:
    """Earliest first."""
    items: list[dict[str, Any]] = (await engine.get(f"/v1/schedules/{id}/occurrences"))["items"]
    return list(reversed(items))


async def until(
    engine: Engine, id: str, happened: Callable[[list[dict[str, Any]]], bool], seconds: float = 30
) -> list[dict[str, Any]]:
    ends = time.monotonic() + seconds
    while not happened(found := await lines(engine, id)):
        assert time.monotonic() < ends, found
        await asyncio.sleep(0.05)
    return found


async def test_a_stack_stopped_for_three_fires_catches_each_of_them_up(idle_engine: Engine) -> None:
    id = await scheduled(idle_engine, overlap="allow")
    await stood_still(idle_engine, 3)
    assert await lines(idle_engine, id) == []
    async with running(idle_engine):
        found = await until(idle_engine, id, lambda lines: len(lines) == 3)
        ended = [await idle_engine.ended(line["execution_id"]) for line in found]
    assert [line["status"] for line in found] == ["ran"] * 3
    assert [line["caught_up"] for line in found] == [True, True, False]
    assert [row["status"] for row in ended] == ["completed"] * 3
    told = [row["output"]["nominal_time"].replace("+00:00", "Z") for row in ended]
    assert told == [line["nominal_at"] for line in found]


async def test_a_stack_stopped_for_three_fires_tells_each_that_it_missed(idle_engine: Engine) -> None:
    id = await scheduled(idle_engine, catch_up="PT30S")
    await stood_still(idle_engine, 3)
    async with running(idle_engine):
        found = await until(idle_engine, id, lambda lines: len(lines) == 3)
        assert [line["status"] for line in found] == ["missed", "missed", "ran"]
        assert (await idle_engine.ended(found[2]["execution_id"]))["status"] == "completed"


async def test_a_buffered_fire_begins_when_the_one_before_has_ended(idle_engine: Engine) -> None:
    id = await scheduled(idle_engine, [{"pause": {"wait": "PT1S"}}], overlap="buffer_one")
    await stood_still(idle_engine, 3)
    async with running(idle_engine):
        found = await until(
            idle_engine, id, lambda lines: [each["status"] for each in lines].count("ran") == 2
        )
        first, second = [await idle_engine.ended(line["execution_id"]) for line in found[:2]]
    assert found[2]["status"] == "skipped"
    assert first["completed_at"] <= second["created_at"]


_DYING = """
import asyncio, os, sys
import workers.schedule_turn as turn
from db.session import Database
from workers.firing import Firing
from workers.wiring import utc_now

accept = turn.accept

async def dying(*arguments, **named):
    await accept(*arguments, **named)
    print("accepted", flush=True)
    os._exit(9)

turn.accept = dying
asyncio.run(Firing(Database(sys.argv[1], pool_size=2), None, utc_now).sweep())
"""


async def test_a_process_that_dies_in_the_middle_of_a_fire_costs_nothing(
    idle_engine: Engine, database_url: str
) -> None:
    id = await scheduled(idle_engine, overlap="allow")
    await stood_still(idle_engine, 1)
    died = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", _DYING, database_url],
        cwd=PROJECT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (died.returncode, died.stdout) == (9, "accepted\n"), died.stderr
    assert await lines(idle_engine, id) == []
    async with running(idle_engine):
        [line] = await until(idle_engine, id, lambda lines: len(lines) == 1)
        assert (await idle_engine.ended(line["execution_id"]))["status"] == "completed"
    executions = (await idle_engine.get("/v1/executions"))["items"]
    assert [each["id"] for each in executions] == [line["execution_id"]]
