"""Where somebody started an execution by hand: told as far as it is known for sure."""

import re

import httpx2
import pytest

from tests.api.conftest import Account, World
from tests.api.test_pages import sign_in, token

DEFINITION = {"do": [{"greet": {"set": {"text": "hello"}}}]}


@pytest.mark.parametrize(
    ("place", "name", "words"),
    [
        ("a page", "console", "By hand, in the console"),
        ("a program", "api", "By hand, over the API"),
    ],
)
async def test_a_page_and_a_program_are_told_apart(
    world: World, account: Account, place: str, name: str, words: str
) -> None:
    made = await account.post("/v1/workflows", json={"name": "Greeting", "definition": DEFINITION})
    path = f"/workflows/{made.json()['id']}"
    assert (await account.post(f"/v1{path}/publish")).status_code == 201
    async with world.browser() as browser:
        await sign_in(browser, account.email)
        if place == "a page":
            id = await _from_the_page(browser, path)
        else:
            started = await account.post(f"/v1{path}/executions", json={})
            id = started.json()["id"]
        shown = (await account.get(f"/v1/executions/{id}")).json()
        assert shown["trigger_event"] == f"manual:{name}"
        [entry] = world.dispatcher.entries
        assert entry.payload["trigger"] == {"type": "manual", "name": name}
        for address in ("/executions", f"/executions/{id}"):
            assert words in (await browser.get(address)).text, address
        # Both are found as started by hand.
        listed = (await account.get("/v1/executions", params={"trigger": "manual"})).json()["items"]
        assert [each["id"] for each in listed] == [id]


async def _from_the_page(browser: httpx2.AsyncClient, path: str) -> str:
    page = await browser.get(f"{path}/start")
    once = re.search(r'name="once" value="([^"]+)"', page.text)
    assert once
    done = await browser.post(
        f"{path}/start", data={"csrf_token": token(page), "once": once[1], "data": "{}"}
    )
    assert done.status_code == 303, done.text
    found: str = done.headers["location"].removeprefix("/executions/").partition("?")[0]
    return found
