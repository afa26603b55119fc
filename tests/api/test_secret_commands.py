"""`perdure secrets` as scripts use it: a process of its own against the real API on a socket."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from perdure.cli.app import app
from tests.api.house import House, house

__all__ = ["house"]

PROJECT = Path(__file__).resolve().parents[2]
CANARY = "canary-typed-by-nobody"


@pytest.fixture
async def address(house: House) -> AsyncIterator[str]:
    config = uvicorn.Config(house.app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn signals it by nothing else
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


async def test_secrets_are_set_from_standard_input_listed_and_deleted(house: House, address: str) -> None:
    key = house.owner.http.headers["Authorization"].removeprefix("Bearer ")

    environment = {"PERDURE_API": address, "PERDURE_API_KEY": key, "NO_COLOR": "1"}

    async def perdure(*words: str, given: str = "") -> Result:
        return await asyncio.to_thread(
            CliRunner().invoke, app, ["secrets", *words], input=given, env=environment
        )

    made = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "perdure", "secrets", "set", "token", "--json"],
        cwd=PROJECT,
        env={**os.environ, **environment},
        input=CANARY + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["version"] == 1
    listed = await perdure("list", "--json")
    assert [each["name"] for each in json.loads(listed.stdout)["items"]] == ["token"]
    shown = await perdure("list")
    refused = await perdure("set", "a-b", given=CANARY)
    assert refused.exit_code == 1
    assert "begins with no digit" in refused.stderr
    empty = await perdure("set", "token")
    assert (empty.exit_code, "no value" in empty.stderr) == (1, True)
    argued = await perdure("set", "token", CANARY)
    assert argued.exit_code == 2, "a value among the arguments would stand in every list of processes"
    assert (await perdure("delete", "token")).exit_code == 0
    assert (await perdure("delete", "token")).exit_code == 1
    for answer in (made, listed, shown, refused, empty):
        assert CANARY not in answer.stdout + answer.stderr
