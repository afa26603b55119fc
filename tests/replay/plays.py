"""What happens to an execution while it is recorded: people decide, cancel and pause it, events reach it."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import httpx2

from tests.replay.scene import Play, Scene
from tests.workflows.engine import Engine, checked

SECONDS = 20


async def decide(engine: Engine, id: str) -> None:
    row = await engine.until(id, lambda row: "task_id" in (row["waiting_on"] or {}))
    await engine.post(f"/v1/tasks/{row['waiting_on']['task_id']}/decision", {"outcome": "approved"})


async def task(engine: Engine, id: str, title: str) -> str:
    """The open task of this title."""
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        for each in (await engine.get(f"/v1/tasks?execution_id={id}"))["items"]:
            if (each["title"], each["status"]) == (title, "open"):
                return str(each["id"])
        await asyncio.sleep(0.02)
    raise AssertionError(f"no task “{title}” was opened")


async def answer(
    engine: Engine, id: str, title: str, *, by: httpx2.AsyncClient | None = None, **body: Any
) -> None:
    """About what the task shows; by the engine's own person, unless somebody else is named."""
    path = f"/v1/tasks/{await task(engine, id, title)}"
    digest = (await engine.get(path))["arguments_digest"]
    said = {"outcome": "approved", **({"arguments_digest": digest} if digest else {}), **body}
    checked(await (by or engine.http).post(f"{path}/decision", json=said))


async def told(engine: Engine, id: str, title: str, kind: str) -> None:
    """Returns when the history of the task has a line of this kind."""
    path, ends = f"/v1/tasks/{await task(engine, id, title)}/events", time.monotonic() + SECONDS
    while kind not in {each["kind"] for each in (await engine.get(path))["items"]}:
        assert time.monotonic() < ends, f"“{title}” was never {kind}"
        await asyncio.sleep(0.05)


async def cancel(engine: Engine, id: str) -> None:
    await engine.waiting(id)
    await engine.post(f"/v1/executions/{id}/cancel", {})


async def decide_and_cancel(engine: Engine, id: str) -> None:
    await answer(engine, id, "Go on?")
    await engine.until(id, lambda row: (row["waiting_on"] or {}).get("step") == "again")
    await cancel(engine, id)


async def pause_and_decide(engine: Engine, id: str) -> None:
    wait = (await engine.waiting(id))["waiting_on"]
    await engine.post(f"/v1/executions/{id}/pause", None)
    await engine.until(id, lambda row: row["status"] == "paused")
    await engine.post(f"/v1/tasks/{wait['task_id']}/decision", {"outcome": "approved"})
    await asyncio.sleep(0.2)
    await engine.post(f"/v1/executions/{id}/resume", None)


def hears(*types: str) -> Play:
    async def play(engine: Scene, id: str) -> None:
        await engine.waiting(id)
        for type in types:
            await engine.post(f"/v1/executions/{id}/signal", {"type": type, "data": {"n": 1}})
            await asyncio.sleep(0.1)

    return play


async def decide_and_pay(engine: Scene, id: str) -> None:
    await decide(engine, id)
    await hears("paid")(engine, id)


async def noise(engine: Engine, id: str) -> None:
    """So much that the execution continues as new while it waits."""
    await engine.waiting(id)
    for _ in range(25):
        await engine.post(f"/v1/executions/{id}/signal", {"type": "noise", "id": str(uuid4())})
        await asyncio.sleep(0.05)
    await decide(engine, id)


async def rerun(engine: Engine, id: str, **asked: Any) -> str:
    """From where it failed: another branch is under way there and begins again."""
    await engine.ended(id)
    plan = await engine.post(f"/v1/executions/{id}/rerun-plan", asked)
    confirmed = {**asked, "confirm": plan["digest"], "confirm_irreversible": True}
    return str((await engine.post(f"/v1/executions/{id}/rerun", confirmed))["id"])


async def rerun_from_the_task(engine: Engine, id: str) -> str:
    """It was given up while it waited; repeated from there, it continues as new."""
    await cancel(engine, id)
    again = await rerun(engine, id, **{"from": "ask"})
    await noise(engine, again)
    return again
