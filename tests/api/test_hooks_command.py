"""`perdure hooks send` against the real application on loopback: the Show, as a person at a terminal sees it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.api.hooks import SECRET, STANDARD, Sender, hooked
from tests.api.house import House, house
from workers.devstack import ports

__all__ = ["house"]
PERDURE = str(Path(sys.executable).parent / "perdure")


@pytest.fixture
async def server(house: House) -> AsyncIterator[str]:
    port = ports.any_free()
    serving = uvicorn.Server(uvicorn.Config(house.app, port=port, log_config=None, lifespan="off"))
    task = asyncio.create_task(serving.serve())
    while not serving.started:  # noqa: ASYNC110  uvicorn offers nothing else
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    serving.should_exit = True
    await task


async def perdure(*arguments: str, body: bytes = b"{}", **variables: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        PERDURE,
        "hooks",
        "send",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "160", **variables},
    )
    out, err = await asyncio.wait_for(process.communicate(body), 60)
    return process.returncode or 0, out.decode(), err.decode()


def key(house: House) -> str:
    return str(house.owner.http.headers["authorization"]).removeprefix("Bearer ")


async def test_ten_times_at_once(house: House, server: str) -> None:
    hook = await hooked(house)
    status, out, err = await perdure(
        *("--trigger", hook.trigger_id, "--server", server, "--repeat", "10", "--concurrent", "--json"),
        body=b'{"order": 7}',
        PERDURE_API_KEY=key(house),
        PERDURE_HOOK_SECRET=SECRET,
    )
    assert status == 0, err
    told: dict[str, Any] = json.loads(out)
    assert len(told["executions"]) == 1
    assert sorted(each["body"]["duplicate"] for each in told["answers"]) == [False] + [True] * 9
    [execution] = await house.everything("workflow_executions")
    assert execution["trigger_data"]["input"] == {"order": 7}
    assert told["executions"] == [str(execution["id"])]


async def test_a_table_for_people_and_one_line_that_counts(house: House, server: str, tmp_path: Path) -> None:
    hook = await hooked(house)
    file = tmp_path / "order.json"
    file.write_text('{"order": 8}')
    status, out, _ = await perdure(
        *(str(file), "--url", server + hook.path, "--repeat", "3", "--event-id", "evt-9"),
        PERDURE_HOOK_SECRET=SECRET,
    )
    assert status == 0
    assert "Event evt-9" in out
    assert "1 execution, named by 3 answers; 2 were repeats." in out


@pytest.mark.parametrize(
    ("configuration", "secret", "options"),
    [
        ({"scheme": "github"}, "a secret of github", ["--scheme", "github"]),
        (
            {"scheme": "hmac", "signature": {"header": "X-Sig", "algorithm": "sha512"}},
            "a secret of theirs",
            ["--scheme", "hmac", "--signature", '{"header": "X-Sig", "algorithm": "sha512"}'],
        ),
        ({"scheme": "url"}, None, ["--scheme", "url"]),
    ],
)
async def test_other_schemes(
    house: House, server: str, configuration: Any, secret: str | None, options: list[str]
) -> None:
    hook = await hooked(house, configuration, secret=secret)
    variables = {} if secret is None else {"PERDURE_HOOK_SECRET": secret}
    status, out, err = await perdure("--url", server + hook.path, *options, **variables)
    assert status == 0, out + err


async def test_a_refusal_is_shown_and_is_the_exit_status(house: House, server: str) -> None:
    hook: Sender = await hooked(house, STANDARD)
    status, out, _ = await perdure(
        "--url", server + hook.path, PERDURE_HOOK_SECRET=SECRET.replace("c2V", "d2V")
    )
    assert status == 1
    assert "401" in out
    assert "does not match" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Say where to send."),
        (["--url", "http://127.0.0.1:1/x", "--scheme", "hmac"], "/signature"),
        (["--url", "http://127.0.0.1:1/x", "--scheme", "hmac", "--signature", "{"], "not JSON"),
        (["--url", "http://127.0.0.1:1/x"], "secret is not known"),
        (["--url", "http://127.0.0.1:1/x", "--scheme", "url"], "does not answer"),
        (["--url", "http://127.0.0.1:1/x", "--scheme", "url", "--header", "odd"], "is no header"),
        (["nowhere.json", "--url", "http://127.0.0.1:1/x"], "cannot be read"),
        (["--trigger", "x"], "PERDURE_API_KEY is not set"),
    ],
)
async def test_what_is_wrong_is_said_with_its_mend(arguments: list[str], told: str) -> None:
    status, _, err = await perdure(*arguments)
    assert status == 1
    assert told in err
    assert "Traceback" not in err
