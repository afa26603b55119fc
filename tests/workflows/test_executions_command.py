"""`perdure executions …` as people and scripts use it: processes of their own against a served API."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.test_watching import ASK, SAY, Server, server

__all__ = ["server"]
PROJECT = Path(__file__).resolve().parents[2]
LISTEN: dict[str, Any] = {"hear": {"listen": {"to": {"one": {"with": {"type": "paid"}}}}}}


class Perdure:
    def __init__(self, address: str, key: str, folder: Path) -> None:
        self._env = {**os.environ, "PERDURE_API": address, "PERDURE_API_KEY": key, "COLUMNS": "200"}
        self._folder = folder

    async def start(self, *words: str, **env: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "perdure", "executions", *words),
            cwd=PROJECT,
            env={**self._env, **env},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *words: str, **env: str) -> tuple[int, str, str]:
        process = await self.start(*words, "--data-dir", str(self._folder), **env)
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def perdure(server: Server, tmp_path: Path) -> Perdure:
    scopes = ["executions:read", "executions:start", "executions:control", "executions:cancel"]
    made = await server.engine.post("/v1/me/api-keys", {"name": "cli", "scopes": scopes})
    return Perdure(str(server.http.base_url), made["key"], tmp_path)


async def test_an_execution_is_paused_resumed_and_watched_to_its_end(
    server: Server, perdure: Perdure
) -> None:
    engine = server.engine
    id = (await engine.start(await engine.publish([{"say": SAY}, LISTEN])))["id"]
    await engine.waiting(id)
    watcher = await perdure.start("watch", id)
    status, out, err = await perdure.run("pause", id)
    assert (status, err) == (0, "")
    await engine.until(id, lambda row: row["status"] == "paused")
    status, out, _ = await perdure.run("show", id)
    assert status == 0
    assert "resume; meanwhile hear: event paid" in out
    assert "data.template" in out
    assert (await perdure.run("resume", id))[0] == 0
    await engine.waiting(id)
    status, out, _ = await perdure.run("signal", id, "paid", "--data", '{"n": 1}', "--id", "s-1")
    assert (status, out) == (0, "Sent paid as s-1.\n")
    told, _ = await watcher.communicate()
    assert watcher.returncode == 0
    lines = told.decode().splitlines()
    assert "completed" in lines[-1]
    assert any("paused" in line for line in lines)
    assert any("hear" in line and "completed" in line for line in lines)
    status, out, _ = await perdure.run("list", "--status", "completed", "--json")
    assert [each["id"] for each in json.loads(out)] == [id]


async def test_watching_one_that_does_not_complete_fails(server: Server, perdure: Perdure) -> None:
    engine = server.engine
    id = (await engine.start(await engine.publish([ASK])))["id"]
    await engine.waiting(id)
    watcher = await perdure.start("watch", id, "--json")
    assert watcher.stdout is not None
    first = json.loads(await watcher.stdout.readline())
    assert first["event"] == "snapshot"
    status, out, _ = await perdure.run("cancel", id, "--reason", "no more", "--json")
    assert status == 0
    assert json.loads(out)["cancel_requested_at"]
    told, _ = await watcher.communicate()
    assert watcher.returncode == 1
    assert json.loads(told.splitlines()[-1])["data"]["status"] == "cancelled"


async def test_what_is_wrong_is_said_with_its_mend(server: Server, perdure: Perdure) -> None:
    nowhere = "00000000-0000-4000-8000-000000000000"
    status, _, err = await perdure.run("show", nowhere)
    assert status == 1
    assert "nothing with this id" in " ".join(err.split())
    status, _, err = await perdure.run("signal", nowhere, "paid", "--data", "{no")
    assert status == 1
    assert "--data is not JSON" in err
    status, _, err = await perdure.run("list", PERDURE_API="http://127.0.0.1:9")
    assert status == 1
    assert "cannot be reached" in " ".join(err.split())
    status, _, err = await perdure.run("list", PERDURE_API_KEY="perdure_live_wrong")
    assert status == 1
    assert "--key" in err


BROKEN: dict[str, Any] = {"broken": {"raise": {"error": {"type": "https://example.com/no", "status": 500}}}}


async def test_one_is_explained_and_repeated_after_its_plan(server: Server, perdure: Perdure) -> None:
    engine = server.engine
    id = (await engine.start(await engine.publish([{"say": SAY}, ASK, BROKEN])))["id"]
    row = await engine.until(id, lambda row: "task_id" in (row["waiting_on"] or {}))
    status, out, _ = await perdure.run("explain", id)
    assert (status, out.splitlines()[0]) == (0, "“ask” waits for anybody who may decide tasks.")
    status, out, _ = await perdure.run("rerun", id, "--plan")
    assert status == 1
    assert "Refused (execution_open)" in out
    await engine.post(f"/v1/tasks/{row['waiting_on']['task_id']}/decision", {"outcome": "approved"})
    await engine.ended(id)
    status, out, err = await perdure.run("rerun", id, "--from", "ask")
    assert status == 1
    assert "Add --yes" in err
    assert "approve" in out
    status, out, err = await perdure.run("rerun", id, "--from", "ask", "--yes", "--json")
    assert status == 0, err
    again = json.loads(out)["id"]
    assert "1 step before it is answered" in err
    await engine.until(again, lambda row: "task_id" in (row["waiting_on"] or {}))
    status, out, _ = await perdure.run("explain", again, "--json")
    assert json.loads(out)["more"][-1] == "It repeats another execution from “ask” on."


async def test_many_are_counted_cancelled_and_reported(server: Server, perdure: Perdure) -> None:
    engine = server.engine
    workflow = await engine.publish([ASK])
    for _ in range(3):
        await engine.waiting((await engine.start(workflow))["id"])
    status, _, err = await perdure.run("bulk", "cancel", "--workflow", workflow)
    assert status == 1
    assert "Add --expected 3" in err
    status, out, _ = await perdure.run("bulk", "cancel", "--workflow", workflow, "--expected", "3")
    assert status == 0
    assert out.startswith("3 of 3 done, 0 refused")
    operation = out.split("(")[1].split(")")[0]
    status, out, _ = await perdure.run("bulk", "list")
    assert operation in out
    assert "3 of 3" in out
    status, out, _ = await perdure.run("bulk", "show", operation, "--json")
    assert (json.loads(out)["total"], json.loads(out)["refusals"]) == (3, [])
    assert (await perdure.run("bulk", "watch", operation))[0] == 0
    status, _, err = await perdure.run("bulk", "stop", operation)
    assert (status, "has ended" in err) == (1, True)
    status, _, err = await perdure.run("bulk", "rerun", "--workflow", workflow, "--status", "failed")
    assert status == 1
    assert "Widen the filters" in err
