"""Secrets in a browser: set, replaced and deleted; no page ever holds a value."""

from typing import Any

from tests.console.browsing import Console

CANARY = "canary-browser-71"


async def test_a_secret_is_set_replaced_and_deleted(console: Console, page: Any, axe: Any) -> None:
    await page.goto("/secrets")
    await axe(page)
    await page.get_by_label("Name").fill("smtp_password")
    await page.get_by_label("Value").fill(CANARY)
    await page.get_by_role("button", name="Set the secret").click()
    assert "The secret is set." in await page.inner_text("[role=status]")
    assert CANARY not in await page.content()
    await page.get_by_role("link", name="smtp_password").click()
    await axe(page)
    await page.get_by_label("New value").fill(CANARY + "2")
    await page.get_by_role("button", name="Replace the value").click()
    assert "Version\n2" in await page.inner_text("dl")
    assert CANARY not in await page.content()
    await page.get_by_label("Yes, steps that need smtp_password").check()
    await page.get_by_role("button", name="Delete smtp_password").click()
    assert "The secret is deleted." in await page.inner_text("[role=status]")
    assert "smtp_password" not in await page.inner_text("main")
