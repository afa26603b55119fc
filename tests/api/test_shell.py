"""What all pages share: the way in and back, the frame, what they may load, and what they say when they refuse."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.api.conftest import PASSWORD, Account, World
from tests.api.test_pages import sign_in, token

BROWSER = {"Accept": "text/html"}


@pytest.fixture
async def browser(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with world.browser() as client:
        yield client


async def test_whoever_signs_in_gets_to_the_page_they_wanted(
    account: Account, browser: httpx2.AsyncClient
) -> None:
    wanted = "/executions?status=failed&status=waiting"
    asked = await browser.get(wanted)
    assert asked.status_code == 303
    page = await browser.get(asked.headers["location"])
    sent = {"email": account.email, "password": PASSWORD, "csrf_token": token(page)}
    assert (await browser.post("/login", data=sent)).headers["location"] == wanted
    assert (await browser.get(wanted)).status_code == 200
    # The place is forgotten once it was reached.
    await browser.post("/logout", data={"csrf_token": token(await browser.get("/"))})
    assert (await sign_in(browser, account.email)).headers["location"] == "/"


@pytest.mark.parametrize(
    "place",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "executions",
        "/\r\nX: y",
        "/" + "a" * 2000,
    ],
)
async def test_nobody_is_led_to_another_site(
    account: Account, browser: httpx2.AsyncClient, place: str
) -> None:
    page = await browser.get("/login", params={"next": place})
    sent = {"email": account.email, "password": PASSWORD, "csrf_token": token(page)}
    assert (await browser.post("/login", data=sent)).headers["location"] == "/"
    assert (await browser.get("/login", params={"next": place})).headers["location"] == "/"


async def test_a_link_in_a_mail_finds_the_session(account: Account, browser: httpx2.AsyncClient) -> None:
    """Browsers keep a strict cookie back on the way in from another site; the page asks once more by itself."""
    cross = {"Sec-Fetch-Site": "cross-site"}
    arriving = await browser.get("/tasks?x=%22%3E", headers=cross)
    assert arriving.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/tasks?x=%22%3E">' in arriving.text
    await sign_in(browser, account.email)
    assert (await browser.get("/tasks", headers=cross)).status_code == 200


async def test_pages_refuse_in_the_frame(account: Account, browser: httpx2.AsyncClient) -> None:
    await sign_in(browser, account.email)
    for path in ("/executions/none", "/executions/00000000-0000-0000-0000-000000000001"):
        refused = await browser.get(path, headers=BROWSER)
        assert refused.status_code == 404
        assert refused.headers["content-type"].startswith("text/html")
        assert "There is nothing with this id in your organization." in refused.text
        assert 'aria-label="Main"' in refused.text


@pytest.mark.parametrize("name", ["console.css", "js/shell.js", "js/api.js", "graph.css", "icon.svg"])
async def test_what_pages_load_is_there(browser: httpx2.AsyncClient, name: str) -> None:
    found = await browser.get(f"/static/{name}")
    assert found.status_code == 200
    assert found.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["", "js/", "js/../shell.py", "..%2fshell.py", "shell.py", "js/none.js"])
async def test_nothing_else_is_served(browser: httpx2.AsyncClient, name: str) -> None:
    assert (await browser.get(f"/static/{name}")).status_code == 404
