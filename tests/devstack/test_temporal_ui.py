"""Temporal's UI in a real browser: readable for a signed-in operator, ciphertext for anybody else.

The stack is whole, the demo has run on it, and Chromium opens the addresses the demo prints.
"""

import asyncio
import json
import os
import re
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.async_api import Browser, Page, async_playwright
from rich.console import Console

from perdure.cli.demo import SAMPLE, run_demo
from workers.devstack import ports
from workers.devstack.stack import Stack
from workers.devstack.temporal_ui import Front

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE = 60_000
#: The page also holds empty editors of dialogues that are not open.
INPUT = "[data-testid=input-and-result] .cm-content"

needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed")


@dataclass
class Shown:
    """What a visitor of the execution's history sees, and what the browser asked for."""

    text: str
    input: str
    asked: list[int]


async def _history(browser: Browser, stack: Stack, temporal_id: str, login: Any = None) -> Shown:
    """Open the history as somebody who signed in at the console before, or as nobody."""
    context = await browser.new_context(viewport={"width": 1400, "height": 1200})
    page = await context.new_page()
    page.set_default_timeout(PATIENCE)
    asked: list[int] = []
    page.on("response", lambda r: asked.append(r.status) if "/codec/decode" in r.url else None)
    if login is not None:
        await page.goto(login["url"])
        await page.fill("#email", login["email"])
        await page.fill("#password", login["password"])
        await page.click("button[type=submit]")
        await page.wait_for_url(stack.urls["console"])
    path = urllib.parse.quote(temporal_id, safe="")
    await page.goto(f"{stack.urls['temporal_ui']}/namespaces/default/workflows/{path}")
    await page.click("a:has-text('Event History')")
    await page.wait_for_selector("text=Workflow Execution Started")
    # The input stands there as soon as the codec server has answered, one way or the other.
    editor = page.locator(INPUT).first
    for _ in range(120):
        if asked and len(await editor.inner_text()) > 200:
            break
        await page.wait_for_timeout(500)
    await page.wait_for_timeout(1000)
    shown = Shown(await page.inner_text("body"), await _scrolled(page), asked)
    if folder := os.environ.get("PERDURE_SCREENSHOTS"):
        await page.screenshot(path=f"{folder}/history-{'operator' if login else 'nobody'}.png")
    await context.close()
    return shown


async def _scrolled(page: Page) -> str:
    """The whole first value on the page: the editor holds only the lines that are in view."""
    return str(
        await page.evaluate(
            """async () => {
                const box = document.querySelector("[data-testid=input-and-result] .cm-scroller");
                const seen = new Set();
                for (let top = 0; top <= box.scrollHeight; top += 60) {
                    box.scrollTop = top;
                    await new Promise(done => setTimeout(done, 30));
                    box.querySelectorAll('.cm-line').forEach(line => seen.add(line.textContent));
                }
                return [...seen].join('\\n');
            }"""
        )
    )


@needs_chromium
@pytest.mark.timeout(300)
async def test_a_signed_in_operator_reads_the_demo_and_nobody_else(data_dir: Path) -> None:
    async with Stack(data_dir, port=ports.any_free()) as stack, async_playwright() as playwright:
        report = await run_demo(stack, console=Console(file=sys.stderr, quiet=True))
        assert report["completed"]
        [execution] = report["executions"]
        temporal_id = execution["temporal_workflow_id"]
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        operator = await _history(browser, stack, temporal_id, report["login"])
        nobody = await _history(browser, stack, temporal_id)
        await browser.close()
        entries = await _activity(stack, execution["id"])

    assert set(operator.asked) == {200}, operator.asked
    assert "Wait for approval" in operator.text
    assert SAMPLE["name"] in operator.input
    assert SAMPLE["email"] in operator.input

    assert set(nobody.asked) == {401}, nobody.asked
    assert "execution_id" not in nobody.input
    for word in (SAMPLE["name"], SAMPLE["email"], "Northwind"):
        assert word not in nobody.text + nobody.input
    assert re.fullmatch(r'"[A-Za-z0-9+/=]{500,}"', nobody.input.strip()), nobody.input[:200]

    assert entries, "what the operator read was written down"
    assert sum(entries) >= 5


async def _activity(stack: Stack, execution_id: str) -> list[int]:
    """How many payloads each entry of the activity log says were read of this execution."""
    import asyncpg

    connection = await asyncpg.connect(stack.admin_url.replace("+asyncpg", ""))
    try:
        rows = await connection.fetch(
            "SELECT metadata FROM activity_logs WHERE action = 'payloads.decode' AND resource_id = $1",
            execution_id,
        )
    finally:
        await connection.close()
    return [json.loads(row["metadata"])["payloads"] for row in rows]


Answer = Callable[[bytes], bytes]


@pytest.fixture
async def front() -> Iterator[Any]:
    """A front before a server that answers with whatever a test says; yields both."""
    said: dict[str, Any] = {"answer": b"", "heads": []}

    async def behind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        said["heads"].append(head)
        length = re.search(rb"(?i)content-length: (\d+)", head)
        said["body"] = await reader.readexactly(int(length[1])) if length else b""
        writer.write(said["answer"])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(behind, "127.0.0.1", 0) as server:
        serving = Front(server.sockets[0].getsockname()[1]).serve
        async with await asyncio.start_server(serving, "127.0.0.1", 0) as listening:
            url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
                yield http, said


def _chunked(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    half = len(body) // 2
    chunks = (body[:half], body[half:], b"")
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in chunks)


SETTINGS = b'{"Codec": {"Endpoint": "http://x/codec", "IncludeCredentials": false}, "Version": "2"}'


@pytest.mark.parametrize("chunked", [True, False])
async def test_the_front_completes_the_settings(front: Any, chunked: bool) -> None:
    http, said = front
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(SETTINGS), SETTINGS)
    said["answer"] = _chunked(SETTINGS) if chunked else plain
    answer = await http.get("/api/v1/settings")
    assert answer.json() == {
        "Codec": {"Endpoint": "http://x/codec", "IncludeCredentials": True},
        "Version": "2",
    }


@pytest.mark.parametrize("body", [b"not JSON", b"[]", b'{"Codec": null}', b"{}"])
async def test_settings_of_another_shape_pass_as_they_are(front: Any, body: bytes) -> None:
    http, said = front
    said["answer"] = _chunked(body)
    assert (await http.get("/api/v1/settings")).content == body


async def test_everything_else_passes_unchanged(front: Any) -> None:
    http, said = front
    large = bytes(range(256)) * 4096
    said["answer"] = b"HTTP/1.1 201 Created\r\nX-Kept: yes\r\nContent-Length: %d\r\n\r\n%s" % (
        len(large),
        large,
    )
    answer = await http.post("/api/v1/settings/other?x=1", content=large, headers={"X-Csrf-Token": "t"})
    assert (answer.status_code, answer.headers["x-kept"], answer.content) == (201, "yes", large)
    assert said["body"] == large
    [head] = said["heads"]
    assert head.startswith(b"POST /api/v1/settings/other?x=1 HTTP/1.1\r\n")
    assert b"x-csrf-token: t" in head.lower()
