"""The pages of secrets, as a browser without scripts uses them: no page ever shows a value."""

import re
from collections.abc import AsyncIterator

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.permissions import RoleName
from tests.api.conftest import Account, World
from tests.api.people import People, people
from tests.api.test_pages import sign_in, token
from tests.factories.rows import row

__all__ = ["people"]  # a fixture

CANARY = "canary-77-very-secret"


@pytest.fixture
async def browser(world: World, account: Account) -> AsyncIterator[httpx2.AsyncClient]:
    async with world.browser() as client:
        await sign_in(client, account.email)
        yield client


async def send(browser: httpx2.AsyncClient, path: str, **form: str) -> httpx2.Response:
    form["csrf_token"] = token(await browser.get("/secrets"))
    return await browser.post(path, data=form)


async def test_a_secret_is_set_replaced_and_deleted_and_its_value_never_shown(
    browser: httpx2.AsyncClient, account: Account
) -> None:
    assert "There are no secrets yet." in (await browser.get("/secrets")).text
    pages = [await send(browser, "/secrets", name="stripe_key", value=f"{CANARY}\r\nsecond line\r\n")]
    assert pages[-1].headers["location"] == "/secrets?done=set"
    pages.append(await browser.get("/secrets?done=set"))
    assert "The secret is set." in pages[-1].text
    assert '<a href="/secrets/stripe_key">stripe_key</a>' in pages[-1].text
    assert "Mara Lind" in pages[-1].text
    pages.append(await send(browser, "/secrets/stripe_key", value=CANARY + "2"))
    assert pages[-1].headers["location"] == "/secrets/stripe_key?done=set"
    pages.append(await browser.get("/secrets/stripe_key"))
    assert "<dt>Version</dt><dd>2</dd>" in pages[-1].text
    pages.append(await send(browser, "/secrets/stripe_key/delete"))
    assert pages[-1].status_code == 422
    assert "say that you are sure" in pages[-1].text
    pages.append(await send(browser, "/secrets/stripe_key/delete", sure="yes"))
    assert pages[-1].status_code == 303
    assert (await browser.get("/secrets/stripe_key")).status_code == 404
    assert not any("canary" in page.text for page in pages)


async def test_what_cannot_be_set_is_said_and_the_value_is_not_sent_back(browser: httpx2.AsyncClient) -> None:
    await send(browser, "/secrets", name="taken", value="first")
    for form, said in (
        ({"name": "taken", "value": CANARY}, "open it to replace its value"),
        ({"name": "9 lives", "value": CANARY}, "begins with no digit"),
        ({"name": "empty", "value": "\r\n"}, "The value is empty."),
        ({"name": "large", "value": CANARY * 4000}, "at most 65536 bytes"),
    ):
        page = await send(browser, "/secrets", **form)
        assert page.status_code in (409, 422)
        assert said in page.text
        assert "canary" not in page.text
        assert f'value="{form["name"]}"' in page.text
    unknown = await send(browser, "/secrets/unknown", value="x")
    assert unknown.status_code == 404  # a link that is old sets nothing new
    assert "taken" in (await browser.get("/secrets")).text
    assert "unknown" not in (await browser.get("/secrets")).text


async def test_a_secret_says_which_workflows_read_it(
    browser: httpx2.AsyncClient, account: Account, behind: AsyncConnection
) -> None:
    organization = account.organization_id
    for name, said in (
        ("Charges cards", {"a": '${ $secrets.stripe_key | "Bearer " + . }'}),
        ("Charges by bracket", {"a": '${ $secrets["stripe_key"] }'}),
        ("Signs in", {"authentication": {"bearer": {"use": "stripe_key"}}}),
        ("Reads another", {"a": "${ $secrets.stripe_key_2 }"}),
    ):
        definition = {"do": [{"Call": {"call": "http", "with": said}}]}
        await row(behind, "workflows", organization, name=name, definition=definition)
    await send(browser, "/secrets", name="stripe_key", value="x")
    page = await browser.get("/secrets/stripe_key")
    found = re.findall(r'<a href="/workflows/[0-9a-f-]{36}">([^<]+)</a>', page.text)
    assert found == ["Charges by bracket", "Charges cards", "Signs in"]


async def test_pages_do_what_the_role_may_and_nothing_without_our_form(people: People, world: World) -> None:
    async with world.browser() as browser:
        await sign_in(browser, people.owner.email)
        await send(browser, "/secrets", name="ours", value="x")
        assert (await browser.post("/secrets", data={"name": "x", "value": "y"})).status_code == 403
        assert (await browser.post("/secrets/ours/delete", data={"sure": "yes"})).status_code == 403
    async with world.browser() as browser:
        await visit(browser, people, RoleName.AUDITOR)
        page = await browser.get("/secrets")
        assert ">ours</a>" in page.text
        assert "<textarea" not in page.text
        for path in ("/secrets", "/secrets/ours", "/secrets/ours/delete"):
            assert (await send(browser, path, name="x", value="y", sure="yes")).status_code == 403
    async with world.browser() as browser:
        await visit(browser, people, RoleName.CLIENT)
        assert (await browser.get("/secrets")).status_code == 403
        assert "/secrets" not in (await browser.get("/")).text


async def test_what_is_no_name_is_no_secret(browser: httpx2.AsyncClient, account: Account) -> None:
    """The first of them is no text for PostgreSQL either."""
    for name in ("%00", "a%00b", "..%2f", "a-b"):
        assert (await browser.get(f"/secrets/{name}")).status_code == 404
        assert (await account.request("DELETE", f"/v1/secrets/{name}")).status_code == 404


async def test_another_organization_sees_and_moves_nothing(world: World, browser: httpx2.AsyncClient) -> None:
    await send(browser, "/secrets", name="ours", value="x")
    stranger = await world.account("Elsewhere")
    async with world.browser() as other:
        await sign_in(other, stranger.email)
        assert "ours" not in (await other.get("/secrets")).text
        assert (await other.get("/secrets/ours")).status_code == 404
        assert (await send(other, "/secrets/ours", value="y")).status_code == 404
        assert (await send(other, "/secrets/ours/delete", sure="yes")).status_code == 404
    assert "<dt>Version</dt><dd>1</dd>" in (await browser.get("/secrets/ours")).text


async def test_who_is_not_signed_in_comes_back_after_signing_in(world: World, account: Account) -> None:
    async with world.browser() as client:
        assert (await client.get("/secrets")).headers["location"] == "/login?next=%2Fsecrets"


async def visit(browser: httpx2.AsyncClient, people: People, role: RoleName) -> None:
    """Somebody of this role signs in and acts in the organization."""
    person = await people.add(role)
    await sign_in(browser, person.email)
    form = {"csrf_token": token(await browser.get("/")), "organization_id": people.id}
    assert (await browser.post("/organization", data=form)).status_code == 303
