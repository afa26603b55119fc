"""From an empty account to a decision by a second person, as people go: with a browser, and also without scripts."""

import re
import secrets
import time
from typing import Any

from playwright.async_api import Page, expect

from perdure.cli.demo_http import post
from tests.console.browsing import Console, sign_in
from tests.console.showcase import PAPER, decide, made, started, task_of, until

#: The whole journey, as issue 6 asks.
SECONDS = 120.0


async def sign_up(console: Console, page: Page, email: str, password: str) -> None:
    await page.goto("/register")
    await page.get_by_label("E-mail address").fill(email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_label("Your name").fill("Vera Founder")
    await page.get_by_label("Name of your organization").fill("Founder & Daughters")
    await page.get_by_role("button", name="Open the account").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Look into your mailbox")
    await page.goto(await console.link_to(email))
    await page.get_by_role("button", name="Confirm the address").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your account is open")
    await sign_in(page, email, password)


async def invite(console: Console, owner: dict[str, str], email: str, role: str) -> str:
    """The address in the mail that invites somebody."""
    api = console.sam.api  # any client: the header says who calls
    opened = await post(api, "/v1/auth/login", owner)
    bearer = {"Authorization": f"Bearer {opened['access_token']}"}
    organization = (await api.get("/v1/me", headers=bearer)).json()["organization_id"]
    roles = (await api.get(f"/v1/organizations/{organization}/roles", headers=bearer)).json()["items"]
    [role_id] = [each["id"] for each in roles if each["name"] == role]
    path = f"/v1/organizations/{organization}/invitations"
    await post(api, path, {"email": email, "role_id": role_id}, bearer)
    return await console.link_to(email)


async def test_from_signing_up_to_a_decision_by_a_second_person(
    console: Console, open_page: Any, axe: Any
) -> None:
    began = time.monotonic()
    email, password = "vera@founder.example", secrets.token_urlsafe(12)
    vera: Page = await open_page()
    await sign_up(console, vera, email, password)

    # A second person joins by the link of the invitation.
    invited = await invite(console, {"email": email, "password": password}, "milo@founder.example", "manager")
    milo: Page = await open_page()
    await milo.goto(invited)
    await milo.get_by_label("Your name").fill("Milo Manager")
    await milo.get_by_label("Password").fill(password)
    await milo.get_by_role("button", name=re.compile("Join|Open|Accept")).click()
    await expect(milo.get_by_role("status")).to_be_visible()
    await sign_in(milo, "milo@founder.example", password)

    # A template becomes a workflow that runs.
    await vera.get_by_role("navigation").get_by_role("link", name="Templates").click()
    await vera.get_by_role("link", name="Document approval").click()
    await vera.get_by_label("Name of your workflow").fill("Papers of the firm")
    await vera.get_by_label("Decide within").fill("3 days")
    await vera.get_by_role("button", name="Create the workflow").click()
    await expect(vera.get_by_role("heading", level=1)).to_have_text("Papers of the firm")
    await vera.get_by_role("button", name="Publish").click()
    await expect(vera.get_by_text("Version 1 runs")).to_be_visible()

    # She starts it, and may not decide herself.
    await vera.get_by_role("main").get_by_role("link", name="Start", exact=True).click()
    await vera.get_by_label("Title").fill("Engagement letter")
    await vera.get_by_label("Link").fill(PAPER["link"])
    await vera.get_by_role("button", name="Start", exact=True).click()
    await vera.wait_for_url(re.compile("/executions/[0-9a-f-]{36}"))
    execution = vera.url.split("?")[0].split("#")[0]
    await expect(vera.get_by_text(re.compile("waits for")).first).to_be_visible()
    her_task: Page = await vera.context.new_page()
    href = await vera.get_by_role("link", name=re.compile("^Open task")).get_attribute("href")
    await her_task.goto(str(href))
    await expect(her_task.get_by_text("four eyes").first).to_be_visible()
    await expect(her_task.get_by_role("button", name="Approve")).to_have_count(0)

    # He finds it in his inbox.
    await milo.get_by_role("navigation").get_by_role("link", name=re.compile("Inbox")).click()
    await milo.get_by_role("link", name=re.compile("Engagement letter")).click()
    await milo.get_by_label("Comment").first.fill("Fine as it is.")
    await milo.get_by_role("button", name="Approve").click()
    await expect(milo.get_by_text("You approved")).to_be_visible()

    # Her page follows by itself.
    await expect(vera.get_by_text(re.compile("^It completed")).first).to_be_visible(timeout=20_000)
    await expect(vera.locator("#run")).to_contain_text("Completed")
    await axe(vera)
    assert time.monotonic() - began < SECONDS

    # Somebody of another organization sees none of it.
    sam: Page = await open_page(console.sam)
    for path in (execution, f"{execution}/graph", str(href)):
        answer = await sam.goto(path)
        assert answer is not None
        assert answer.status == 404
        assert "Engagement" not in await sam.content()
    for path in ("/", "/workflows", "/executions", "/tasks"):
        await sam.goto(path)
        assert "Papers of the firm" not in await sam.content()
        assert "Engagement" not in await sam.content()


async def test_reading_and_deciding_need_no_scripts(console: Console, open_page: Any) -> None:
    workflow = await made(console.ada, "document-approval", "Without scripts")
    execution = await started(console.ada, workflow, {**PAPER, "title": "Lease of the office"})
    await task_of(console.ada, execution)
    page: Page = await open_page(console.grace, "/executions", javascript=False)
    await page.get_by_role("link", name="Without scripts").first.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Without scripts")
    await expect(page.get_by_role("main")).to_contain_text("waits for")
    await page.get_by_role("link", name=re.compile("Approve$")).first.click()
    await expect(page.get_by_role("main")).to_contain_text("Lease of the office")
    await page.goto("/tasks")
    await page.get_by_role("link", name=re.compile("Lease of the office")).click()
    await page.get_by_label("Comment").first.fill("Signed on Monday.")
    await page.get_by_role("button", name="Reject").click()
    await expect(page.get_by_role("status")).to_contain_text("You rejected")
    improve = await task_of(console.ada, execution, title="Improve")

    # What comes back is a form that was made from its schema; a mistake stands at its field.
    await page.goto(f"/tasks/{improve['id']}")
    await page.get_by_label("Link to the new draft").fill(f"{PAPER['link']}?{'x' * 2000}")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_role("alert")).to_contain_text("Link to the new draft")
    await page.get_by_label("Link to the new draft").fill("https://papers.example/lease-2")
    await page.get_by_role("button", name="Submit").click()
    again = await task_of(console.ada, execution, title="Approve")
    assert again["arguments"]["link"] == "https://papers.example/lease-2"
    await decide(console.rosa, again, "approved")
    ended = await until(console.ada, execution, "completed")
    assert ended["output"]["drafts"] == 2
