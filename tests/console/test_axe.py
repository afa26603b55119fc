"""Every screen, held against WCAG 2.2 AA by axe-core, in light and in dark."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from fastapi import APIRouter
from fastapi.routing import APIRoute
from playwright.async_api import Page

from api.app import BESIDES
from api.console.frame.back import ways_back
from tests.console.browsing import Console, Tabs
from tests.console.showcase import SCREENS, Screen, Showcase, furnish

PHONE = 390
OPENED = """() => {
  for (const each of document.querySelectorAll("details")) each.open = true;
  return document.documentElement.scrollWidth;
}"""


@dataclass
class Windows:
    """One window for each person, and what the furnished organization holds."""

    made: Showcase
    tabs: Tabs
    ada: Page
    grace: Page
    nobody: Page

    def of(self, screen: Screen) -> Page:
        return self.nobody if screen.is_public else self.grace if screen.by_grace else self.ada


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def windows(console: Console) -> AsyncIterator[Windows]:
    tabs = console.tabs()
    made = await furnish(console)
    pages = [await tabs.open(person) for person in (console.ada, console.grace, None)]
    yield Windows(made, tabs, *pages)
    await tabs.close()


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.name)
async def test_a_screen_has_nothing_serious(windows: Windows, axe: Any, screen: Screen) -> None:
    page = windows.of(screen)
    answer = await page.goto(screen.path(windows.made))
    assert answer is not None
    assert answer.status == screen.status, await page.inner_text("body")
    await axe(page)
    complaints, windows.tabs.complaints = windows.tabs.complaints, []
    assert complaints == []


async def test_every_screen_fits_a_phone(windows: Windows) -> None:
    """With all that can be opened open: nothing stands outside what is seen, and nobody has to scroll sideways."""
    wide = {}
    for screen in SCREENS:
        page = windows.of(screen)
        await page.set_viewport_size({"width": PHONE, "height": 800})
        await page.goto(screen.path(windows.made))
        width = await page.evaluate(OPENED)
        await page.set_viewport_size({"width": 1280, "height": 900})
        if width > PHONE:
            wide[screen.name] = width
    windows.tabs.complaints.clear()
    assert wide == {}


#: Shown only in the middle of signing in.
INSIDE = {"/login/code"}


def test_every_page_of_the_console_is_a_screen(windows: Windows) -> None:
    """A new page fails here until it is among the screens: then axe sees it, and the pictures show it."""
    shown = [urlsplit(screen.path(windows.made)).path for screen in SCREENS]
    pages = {path for router in BESIDES for path in _paths(router)}
    missing = {path for path in pages - INSIDE if not any(_leads_to(path, each) for each in shown)}
    assert not missing


def _paths(router: APIRouter) -> Iterator[str]:
    for route in router.routes:
        if isinstance(route, APIRoute):
            home = route.endpoint.__module__
            is_page = (
                home.startswith("api.console.") and home != ways_back.__module__ and "GET" in route.methods
            )
            if is_page and not route.path.startswith("/static/"):
                yield route.path
        else:
            yield from _paths(route.original_router)  # type: ignore[attr-defined]  # how FastAPI includes routers


def _leads_to(path: str, address: str) -> bool:
    return re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)), address) is not None
