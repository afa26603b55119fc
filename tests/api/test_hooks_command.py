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
from sqlalchemy import text

from domain.permissions import Permission
from perdure.cli.demo import SCOPES
from tests.api.hooks import SECRET, STANDARD, Sender, hooked
from tests.api.house import House, house
from workers.devstack import ports
from workers.devstack.state import StackState

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
        (["--url", "http://127.0.0.1:1/x", "--scheme", "url", "--header", "X-Name: Zoë"], "header `X-Name`"),
        (["--url", "http://127.0.0.1:1/x", "--scheme", "url", "--header", "Größe: 1"], "header `Größe`"),
        (["--url", "http://127.0.0.1:1/x", "--scheme", "url", "--content-type", "ü"], "`content-type`"),
        (["--url", "http://127.0.0.1:1/x", "--scheme", "github", "--event-id", "évt"], "--event-id"),
        (["--url", "http://x:port/", "--scheme", "url"], "is no address"),
        (["--trigger", "x"], "There is no local stack in"),
        (["--trigger", "x", "--api", "http://127.0.0.1:1"], "No API key is given."),
        (["--trigger", "x", "--api", "http://127.0.0.1:1", "--key", "k"], "cannot be reached"),
        (["--trigger", "x", "--api", "http://127.0.0.1:1", "--key", "ké"], "The API key is no key of ours"),
    ],
)
async def test_what_is_wrong_is_said_with_its_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    for name in ("PERDURE_API", "PERDURE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    secret: Any = {"PERDURE_HOOK_SECRET": "a secret of github"} if "github" in arguments else {}
    status, _, err = await perdure(*arguments, "--data-dir", str(tmp_path), **secret)
    assert status == 1
    assert told in err
    assert "Traceback" not in err


@pytest.fixture
async def page() -> AsyncIterator[str]:
    """A server that is not Perdure: every address is a web page."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        status = b"502 Bad Gateway" if b"broken" in head else b"200 OK"
        body = b"<html><p>[/bold] Welcome to a proxy</p></html>"
        writer.write(
            b"HTTP/1.1 %b\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (status, len(body), body)
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(("path", "status"), [("/v1/hooks/x", 200), ("/v1/hooks/broken", 502)])
@pytest.mark.parametrize("as_json", [[], ["--json"]])
async def test_a_web_page_is_no_answer(page: str, path: str, status: int, as_json: list[str]) -> None:
    code, out, err = await perdure("--url", page + path, "--scheme", "url", "--repeat", "2", *as_json)
    assert code == 1
    assert "is a web page, not Perdure" in err
    assert "Traceback" not in err
    assert str(status) in out
    if as_json:
        assert json.loads(out)["executions"] == []
    else:
        assert "[/bold] Welcome to a proxy" in out
        assert "0 executions, named by 0 answers; 0 were repeats." in out


@pytest.mark.parametrize("trigger", ["x", "broken"])
async def test_a_web_page_knows_no_trigger(page: str, trigger: str) -> None:
    code, _, err = await perdure("--trigger", trigger, "--api", page, "--key", "k")
    assert code == 1
    assert "Traceback" not in err
    assert "--api" in err


async def test_only_answers_that_name_an_execution_are_counted(house: House, server: str) -> None:
    hook = await hooked(house)
    await house.owner.post(f"/v1/workflows/{hook.workflow_id}/pause")
    status, out, _ = await perdure("--url", server + hook.path, "--repeat", "2", PERDURE_HOOK_SECRET=SECRET)
    assert status == 1
    assert "0 executions, named by 0 answers; 0 were repeats." in out


async def test_address_and_key_of_a_local_stack_are_found_in_its_folder(
    house: House, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key that may do exactly what the demo's may."""
    for name in ("PERDURE_API", "PERDURE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    hook = await hooked(house)
    async with house.admin.begin() as connection:
        await connection.execute(text("UPDATE api_keys SET scopes = :scopes"), {"scopes": SCOPES})
    (tmp_path / "demo.json").write_text(json.dumps({"api_key": key(house)}))
    StackState(str(tmp_path), urls={"api": server}).save()
    status, out, err = await perdure(
        *("--trigger", hook.trigger_id, "--data-dir", str(tmp_path), "--json"), PERDURE_HOOK_SECRET=SECRET
    )
    assert status == 0, err
    assert len(json.loads(out)["executions"]) == 1
    assert set(SCOPES) <= {each.value for each in Permission}
    assert {"deliveries:read", "deliveries:replay"} <= set(SCOPES)
