"""What holds on every page: sign-in, the policy for scripts, and whose page it is."""

from typing import Any

import pytest

from tests.console.browsing import Console


@pytest.mark.parametrize("path", ["/login", "/register", "/forgot-password"])
async def test_pages_for_everybody_are_usable_by_everybody(open_page: Any, axe: Any, path: str) -> None:
    await axe(await open_page(None, path))


async def test_people_of_two_organizations_are_signed_in(console: Console, open_page: Any, axe: Any) -> None:
    for person, organization in (
        (console.ada, "Harbour & Lane"),
        (console.grace, "Harbour & Lane"),
        (console.sam, "Stranger & Co"),
    ):
        page = await open_page(person, "/")
        assert organization in await page.inner_text("body")
        await axe(page)


async def test_an_inline_script_does_not_run(console: Console, tabs: Any) -> None:
    """And the tests hear of it: this is what fails them elsewhere."""
    page = await tabs.open(console.ada, "/")
    await page.evaluate(
        "document.body.appendChild(document.createElement('script')).textContent = 'window.ran = 1'"
    )
    assert await page.evaluate("window.ran") is None
    assert any("Content Security Policy" in complaint for complaint in tabs.complaints), tabs.complaints
    tabs.complaints.clear()
