"""The console in a real browser: one running stack for all tests here, three people, and axe.

    async def test_ada_sees_her_tasks(page, console): …        # `page` is Ada's, signed in
    async def test_without_scripts(open_page, console):
        page = await open_page(console.grace, "/tasks", javascript=False)

A page that reports an error of a script or of the content security policy fails its test.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from axe_playwright_python.base import AxeResults
from playwright.async_api import Page, async_playwright

from tests.conftest import memory_folder
from tests.console.browsing import CHROMIUM, Console, People, Scheme, Tabs, chromium
from workers.devstack import ports
from workers.devstack.stack import Stack

HERE = Path(__file__).parent
#: The first test also starts the stack and the browser.
PATIENCE = 240
#: WCAG 2.2 AA, and what else the rules' authors call best practice.
RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"],
}
#: What a second set of colours can change.
COLOURS = {"resultTypes": ["violations"], "runOnly": {"type": "rule", "values": ["color-contrast"]}}
REFUSED = frozenset({"serious", "critical"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One loop for the stack, the browser and the tests: they talk to each other."""
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    for item in ours:
        if pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="package"), append=False)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(PATIENCE))


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def console() -> AsyncIterator[Console]:
    """The whole stack with a browser before it; skipped where there is no Chromium."""
    folder = Path(tempfile.mkdtemp(prefix="perdure-", dir=memory_folder()))
    try:
        async with async_playwright() as playwright:
            browser = await chromium(playwright)
            if browser is None:
                pytest.skip(f"no browser: {CHROMIUM} is not there; install chromium or set PERDURE_CHROMIUM")
            async with Stack(folder, port=ports.any_free()) as stack, AsyncExitStack() as clients:
                yield await People(stack, browser, clients).house()
            await browser.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(loop_scope="package")
async def tabs(console: Console) -> AsyncIterator[Tabs]:
    """This test's browser windows; a complaint of any page fails the test."""
    opened = console.tabs()
    yield opened
    await opened.close()
    assert not opened.complaints, "\n".join(opened.complaints)


@pytest.fixture
def open_page(tabs: Tabs) -> Callable[..., Awaitable[Page]]:
    """`await open_page(person or None, path=None, *, javascript=True, scheme="light", width=1280, height=900)`."""
    return tabs.open


@pytest_asyncio.fixture(loop_scope="package")
async def page(console: Console, tabs: Tabs) -> Page:
    """A page of Ada's, who owns the organization."""
    return await tabs.open(console.ada)


@pytest_asyncio.fixture(loop_scope="package")
async def second_page(console: Console, tabs: Tabs) -> Page:
    """A page of Grace's, who is a manager in Ada's organization."""
    return await tabs.open(console.grace)


@pytest_asyncio.fixture(loop_scope="package")
async def stranger_page(console: Console, tabs: Tabs) -> Page:
    """A page of Sam's, who belongs to another organization."""
    return await tabs.open(console.sam)


@pytest.fixture
def axe() -> Callable[..., Awaitable[None]]:
    """`await axe(page)`: axe-core finds nothing serious or critical on the page, in light and in dark.

    It needs a page with scripts: elsewhere its timers never run.
    """

    async def check(page: Page, schemes: tuple[Scheme, ...] = ("light", "dark")) -> None:
        found: list[str] = []
        for scheme in schemes:
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            results = await _judged(page, RULES if scheme == schemes[0] else COLOURS)
            for each in results.response["violations"]:
                if each["impact"] in REFUSED:
                    found += [
                        f"{scheme}: {each['id']} ({each['impact']}): {_at(node)}" for node in each["nodes"]
                    ]
        await page.emulate_media(color_scheme=schemes[0], reduced_motion="reduce")
        assert not found, f"{page.url}\n" + "\n".join(found)

    return check


async def _judged(page: Page, options: dict[str, Any]) -> AxeResults:
    return await asyncio.wait_for(Axe().run(page, options=options), timeout=60)


def _at(node: dict[str, Any]) -> str:
    why = "; ".join(check["message"] for check in (*node["any"], *node["all"], *node["none"]))
    return f"{node['target']} {node['html'][:160]}: {why}"
