"""The attempts at a step, on the page of its execution, as the engine makes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from playwright.async_api import Page

from tests.console.browsing import Console
from tests.console.test_runpage import reached, started


@dataclass
class Partner:
    """Stands where the stack's own one answers: breaks off two calls and holds the third until it is told."""

    port: int
    calls: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.calls += 1
        if self.calls > 2:
            await self.may_answer.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
        writer.close()


@asynccontextmanager
async def partner(console: Console) -> AsyncIterator[Partner]:
    """In the place of the stack's, which only one organization may call."""
    stack = console.stack
    await stack.adopt_demo_organization(UUID(console.ada.organization_id))
    echo = stack.supervisor.watched["echo"]
    await stack.supervisor._let_go(echo)
    await echo.child.stop()
    told = Partner(stack.state.ports["echo"])
    server = await asyncio.start_server(told.serve, "127.0.0.1", told.port, reuse_address=True)
    try:
        yield told
    finally:
        told.may_answer.set()
        server.close()
        await stack.supervisor.restart("echo")


async def test_attempts_appear_as_they_are_made(console: Console, page: Page, axe: Any) -> None:
    async with partner(console) as broken:
        ask = {"call": "http", "with": {"method": "get", "endpoint": f"http://127.0.0.1:{broken.port}/"}}
        definition = {"do": [{"rest": {"wait": {"seconds": 3}}}, {"ask": ask}]}
        id = await started(console.ada, "Tried again", definition)
        await page.goto(f"/executions/{id}?at=/do/1/ask")
        await page.evaluate("window.here = true")
        made = page.locator("details.attempts[open] ol")
        await page.wait_for_function(
            "() => document.querySelector('.attempts')?.innerText.includes('Tried again')", timeout=30_000
        )
        assert "is tried again" in await page.locator(".explain").inner_text()
        await made.locator("li", has_text="Running").wait_for(timeout=30_000)
        await page.wait_for_function("() => document.querySelectorAll('.attempts li').length === 3")
        rows = await made.locator("li").all_inner_texts()
        assert ["Connection failed" in row for row in rows] == [True, True, False], rows
        assert "Tried again" not in await made.inner_text()
        assert await page.evaluate("window.here"), "nobody reloaded it"
        assert "This is its attempt 3." in await page.locator(".explain").inner_text()
        pane = "document.querySelector('.step-pane')"
        assert await page.evaluate(f"{pane}.scrollWidth <= {pane}.clientWidth"), "nothing is cut off"
        await axe(page)
        broken.may_answer.set()
        await made.locator("li", has_text="Completed").wait_for(timeout=30_000)
        await reached(console.ada, id, "completed")
    await page.goto(f"/executions/{id}?at=/do/1/ask")
    assert await page.locator("details.attempts[open]").count() == 0, "what went well is folded"
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.locator("details.attempts summary").click()
    assert await page.locator(".attempts li").count() == 3
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.evaluate(f"{pane}.scrollWidth <= {pane}.clientWidth"), "nothing is cut off"
    await axe(page)
