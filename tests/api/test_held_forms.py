"""What was typed into a form outlives the session it was typed in, in the page alone."""

import re
from collections.abc import AsyncIterator
from html import unescape

import httpx2
import pytest

from tests.api.conftest import SECURITY, Account, World
from tests.api.test_pages import sign_in, token

OURS = {"Origin": SECURITY.public_url}
TYPED = {"name": 'The year\'s "end" <b>', "description": "one line\r\nand another"}


@pytest.fixture
async def browser(world: World, account: Account) -> AsyncIterator[httpx2.AsyncClient]:
    async with world.browser() as client:
        await sign_in(client, account.email)
        yield client


def fields(page: httpx2.Response) -> dict[str, str]:
    """Of the form that sends what is kept; the frame's own forms stand before it."""
    form = page.text[page.text.rindex("<form") : page.text.rindex("</form>")]
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form)
    return {name: unescape(value) for name, value in found}


async def test_a_form_sent_after_the_session_ended_is_kept_and_sent_again(
    account: Account, browser: httpx2.AsyncClient
) -> None:
    form = {**TYPED, "csrf_token": token(await browser.get("/workflows/new"))}
    browser.cookies.clear()
    over = await browser.post("/workflows/new", data=form, headers=OURS)
    assert over.status_code == 401
    assert fields(over) == TYPED
    assert (await browser.post("/workflows/new", data=fields(over), headers=OURS)).status_code == 401
    await sign_in(browser, account.email)
    asked = await browser.post("/workflows/new", data=fields(over), headers=OURS)
    assert asked.status_code == 403
    assert account.email in asked.text or "You are <strong>" in asked.text
    assert {**TYPED, "csrf_token": token(asked)} == fields(asked)
    done = await browser.post("/workflows/new", data=fields(asked), headers=OURS)
    assert (done.status_code, done.headers["location"].startswith("/workflows/")) == (303, True)


async def test_nothing_of_another_site_is_kept(browser: httpx2.AsyncClient) -> None:
    """Whoever signs in would find a form that somebody else filled in, and a button that sends it."""
    for headers in (
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {**OURS, "Sec-Fetch-Site": "cross-site"},
    ):
        refused = await browser.post("/workflows/new", data=TYPED, headers=headers)
        assert (refused.status_code, "no longer valid" in refused.text) == (403, True), headers
        assert "another" not in refused.text
    browser.cookies.clear()
    for headers in ({}, {"Origin": "https://evil.example"}):
        answer = await browser.post("/workflows/new", data=TYPED, headers=headers)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?reason=not-sent"), headers


async def test_what_must_stand_in_no_page_is_not_kept(browser: httpx2.AsyncClient) -> None:
    browser.cookies.clear()
    for path, form in (
        ("/secrets", {"name": "ledger", "value": "s3cret"}),
        ("/second-factor", {"password": "s3cret"}),
        ("/second-factor/confirm", {"code": "123456"}),
    ):
        answer = await browser.post(path, data=form, headers=OURS)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?reason=not-sent"), path


async def test_where_nothing_was_typed_there_is_nothing_to_keep(browser: httpx2.AsyncClient) -> None:
    browser.cookies.clear()
    answer = await browser.post("/workflows/new", data={"csrf_token": "t", "name": " "}, headers=OURS)
    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/executions/selected", "/executions"),
        ("/executions/6f1c/signal", "/executions/6f1c"),
        ("/workflows/6f1c/triggers/7a2d/secret", "/workflows/6f1c"),
        ("/secrets/ledger/delete", "/secrets/ledger"),
        ("/second-factor/confirm", "/second-factor"),
        ("/organization", "/"),
    ],
)
async def test_an_address_that_takes_forms_leads_to_its_page(
    browser: httpx2.AsyncClient, path: str, page: str
) -> None:
    """A reload after a refusal, and the page of an execution that keeps itself up to date, ask for it."""
    answer = await browser.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, page)
