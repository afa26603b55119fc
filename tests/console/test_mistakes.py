"""People's mistakes and bad luck: what they typed stays, and what was wrong is where they are."""

from typing import Any

import pytest

from tests.console.browsing import Console, sign_in
from tests.console.showcase import CLIENT, made, started, until

BROKEN = '{"order": '


@pytest.mark.parametrize("javascript", [True, False])
async def test_what_was_typed_outlives_the_session(
    console: Console, tabs: Any, axe: Any, javascript: bool
) -> None:
    page = await tabs.open(console.ada, "/workflows/new", javascript=javascript)
    await page.fill("#name", 'Year of "the" end')
    await page.fill("#description", "One line\nand another")
    await page.context.clear_cookies()
    await page.click("main form button")
    await page.get_by_role("heading", name="Your session has ended").wait_for()
    if javascript:
        await axe(page)
    async with page.context.expect_page() as opened:
        await page.click("text=Sign in, in a new tab")
    await sign_in(await opened.value, console.ada.email, console.ada.password)
    await page.get_by_role("button", name="Send it again").click()
    await page.get_by_role("heading", name="Not sent yet").wait_for()
    if javascript:
        await axe(page)
    assert "You are Ada Harbour, in Harbour & Lane." in await page.inner_text("main")
    await page.get_by_role("button", name="Send it now").click()
    await page.wait_for_url("**/edit?done=created")
    await page.goto(page.url.partition("/edit")[0])
    assert await page.inner_text("h1") == 'Year of "the" end'
    assert "One line\nand another" in await page.inner_text("main")


async def test_a_refused_event_stays_open_beside_what_is_wrong(console: Console, tabs: Any) -> None:
    """And the page keeps itself up to date from its own address, not from the one the form was sent to."""
    workflow = await made(console.ada, "client-onboarding", "Onboarding")
    execution = await started(console.ada, workflow, {**CLIENT, "email": "other@northwind.example"})
    await until(console.ada, execution, "waiting")
    page = await tabs.open(console.ada, f"/executions/{execution}")
    refused: list[int] = []
    page.on("response", lambda answer: refused.append(answer.status) if answer.status >= 400 else None)
    await page.click("text=Send event…")
    await page.fill("#signal-type", "com.example.paid")
    await page.fill("#signal-data", BROKEN)
    await page.get_by_role("button", name="Send event").click()
    await page.get_by_role("alert").wait_for()
    assert await page.evaluate("document.activeElement.getAttribute('role')") == "alert"
    assert await page.input_value("#signal-data") == BROKEN
    assert await page.input_value("#signal-type") == "com.example.paid"
    assert await page.is_visible("#signal-data")
    refused.clear()
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    async with page.expect_response(f"**/executions/{execution}"):
        pass
    assert refused == []
