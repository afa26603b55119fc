"""The inbox in a browser: tasks are found, filled in and decided, without scripts as well as with them."""

from typing import Any

import pytest

from perdure.cli.demo_http import get, post
from tests.console.browsing import Console, Person

FORM = {
    "type": "object",
    "x-order": ["rate", "kind", "since", "agreed", "contacts", "notes"],
    "properties": {
        "rate": {"type": "number", "title": "Hourly rate", "minimum": 10, "maximum": 500},
        "kind": {
            "title": "Kind of client",
            "oneOf": [{"const": "c", "title": "Company"}, {"const": "p", "title": "Person"}],
        },
        "since": {"type": "string", "format": "date", "title": "Client since"},
        "agreed": {"const": True, "title": "The engagement letter is signed"},
        "contacts": {
            "type": "array",
            "title": "Contacts",
            "maxItems": 5,
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "email": {"type": "string", "format": "email"}},
                "required": ["name"],
            },
        },
        "notes": {"type": "string", "maxLength": 2000, "title": "Notes", "description": "For the file."},
    },
    "required": ["rate", "kind", "agreed"],
}


async def ask(person: Person, title: str, **given: Any) -> str:
    """The id of a task that a running execution asks for."""
    asked = {"title": title, **given}
    definition = {"do": [{"Ask": {"call": "approve", "with": asked}}]}
    made = await post(person.api, "/v1/workflows", {"name": "Client onboarding", "definition": definition})
    await post(person.api, f"/v1/workflows/{made['id']}/publish", {})
    started = await post(person.api, f"/v1/workflows/{made['id']}/executions", {"input": {}})
    for _ in range(200):
        found = await get(person.api, f"/v1/tasks?execution_id={started['id']}")
        if found["items"]:
            return str(found["items"][0]["id"])
    raise AssertionError("no task was opened")


@pytest.fixture
def fields() -> dict[str, str]:
    return {"Hourly rate": "95.50", "Notes": "Met in March.\nPays on time."}


async def test_a_form_is_filled_in_and_decided_without_scripts(
    console: Console, open_page: Any, axe: Any, fields: dict[str, str]
) -> None:
    title = "Take on Nils AB as a client?"
    task = await ask(console.ada, title, description="Checked by the front desk.", form=FORM)
    page = await open_page(console.grace, "/tasks", javascript=False)
    await page.get_by_role("link", name=title).click()
    await page.get_by_label("Hourly rate").fill("1000")
    await page.get_by_label("Hourly rate").press("Enter")  # presses no button
    assert page.url.endswith(f"/tasks/{task}")
    await page.get_by_label("Company").check()
    await page.get_by_label("The engagement letter is signed").check()
    await page.get_by_role("button", name="Approve").click()
    assert "Hourly rate: Must be at most 500." in await page.inner_text("[role=alert]")
    assert await page.get_by_label("Company").is_checked()
    for label, text in fields.items():
        await page.get_by_label(label).fill(text)
    await page.get_by_label("Name").fill("Nils")
    await page.get_by_role("button", name="Add another to Contacts").click()
    assert await page.get_by_label("Name").count() == 2
    await page.get_by_label("Name").nth(1).fill("Ada")
    await page.get_by_role("button", name="Approve").click()
    assert f"You approved: {title}" in await page.inner_text("[role=status]")
    decided = await get(console.ada.api, f"/v1/tasks/{task}")
    assert decided["decision"]["data"] == {
        "rate": 95.5,
        "kind": "c",
        "agreed": True,
        "contacts": [{"name": "Nils"}, {"name": "Ada"}],
        "notes": "Met in March.\nPays on time.",
    }


async def test_the_pages_of_tasks_are_usable_by_everybody(console: Console, open_page: Any, axe: Any) -> None:
    task = await ask(console.ada, "Pay the salaries of November?", form=FORM, due="2 hours")
    for width in (1280, 390):
        page = await open_page(console.grace, "/tasks", width=width)
        await axe(page)
        await page.goto(f"/tasks/{task}")
        await axe(page)
        await page.get_by_role("button", name="Approve").evaluate("button => button.form.noValidate = true")
        await page.get_by_role("button", name="Approve").click()
        await page.locator("[role=alert]").wait_for()
        await axe(page)
        await page.goto("/")
        await axe(page)
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(overflow) <= 0


async def test_another_organization_finds_no_task(console: Console, stranger_page: Any) -> None:
    task = await ask(console.ada, "For our eyes only")
    await stranger_page.goto("/tasks?show=open")
    assert "For our eyes only" not in await stranger_page.inner_text("main")
    answer = await stranger_page.goto(f"/tasks/{task}")
    assert answer.status == 404
