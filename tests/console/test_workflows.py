"""Pages of workflows in a browser: nothing on them shuts anybody out, in light and dark, on a desk and on a phone."""

from typing import Any

from playwright.async_api import Page, expect

from perdure.cli.demo_http import get
from tests.console.browsing import Console
from tests.console.test_editor import draft


async def fits(page: Page) -> None:
    """Nothing is wider than the window."""
    wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{page.url} is {wide} pixels wider than the window"


async def test_every_page_is_usable_by_everybody(console: Console, open_page: Any, axe: Any) -> None:
    path = await draft(console.ada, "Greeting with a rather long name", published=True)
    paths = ("", "/edit", "/test", "/versions", "/versions/1", "/compare", "/start")
    every = [
        *(path + each for each in paths),
        "/workflows",
        "/workflows/new",
        "/templates",
        "/templates/client-onboarding",
    ]
    page: Page = await open_page(console.ada)
    for each in every:
        answer = await page.goto(each)
        assert answer is not None
        assert answer.status == 200, each
        await axe(page)
        await page.set_viewport_size({"width": 390, "height": 800})
        await fits(page)
        await page.set_viewport_size({"width": 1280, "height": 900})


async def test_from_a_template_to_a_dry_run(console: Console, open_page: Any, axe: Any) -> None:
    page: Page = await open_page(console.grace, "/templates")
    await page.get_by_role("link", name="Document approval").click()
    await page.fill("#workflow_name", "Approving papers")
    await page.get_by_role("button", name="Create the workflow").click()
    await expect(page.locator(".notice")).to_contain_text("as a draft")
    await page.get_by_role("button", name="Publish").click()
    await expect(page.locator("main")).to_contain_text("Version 1 runs")
    await page.get_by_role("link", name="Dry run").click()
    for field in await page.locator("form.starting [required]").all():
        await field.fill("https://papers.example/1")
    await page.get_by_role("button", name="Try it").click()
    await expect(page.locator(".trace li").first).to_be_visible()
    await axe(page)


async def test_a_form_starts_an_execution(console: Console, open_page: Any) -> None:
    path = await draft(console.ada, "Started", published=True)
    page: Page = await open_page(console.ada, f"{path}/start", javascript=False)
    area = page.locator("form textarea")
    await area.fill('{"name": "Ada"}')
    await page.get_by_role("button", name="Start").click()
    await page.wait_for_url("**/executions/*")
    id = page.url.rpartition("/")[2].partition("?")[0]
    assert (await get(console.ada.api, f"/v1/executions/{id}"))["input"] == {"name": "Ada"}


async def test_a_stranger_sees_nothing(console: Console, open_page: Any) -> None:
    path = await draft(console.ada, "Only ours", published=True)
    page: Page = await open_page(console.sam, "/workflows")
    assert "Only ours" not in await page.inner_text("body")
    answer = await page.goto(path)
    assert answer is not None
    assert answer.status == 404
