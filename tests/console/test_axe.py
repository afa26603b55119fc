"""Every screen, held against WCAG 2.2 AA by axe-core, in light and in dark."""

from typing import Any

import pytest
import pytest_asyncio

from tests.console.browsing import Console
from tests.console.showcase import SCREENS, Screen, Showcase, furnish


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def showcase(console: Console) -> Showcase:
    return await furnish(console)


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.name)
async def test_a_screen_has_nothing_serious(
    console: Console, showcase: Showcase, open_page: Any, axe: Any, screen: Screen
) -> None:
    page = await open_page(None if screen.is_public else console.ada)
    answer = await page.goto(screen.path(showcase))
    assert answer.status == (404 if screen.name == "not-found" else 200)
    await axe(page)
