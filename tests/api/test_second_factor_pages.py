"""Signing in with a code, and setting a second factor up, as a browser without scripts does it."""

import re
from collections.abc import AsyncIterator
from html import unescape
from uuid import UUID

import httpx2
import pyotp
import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import create_engine
from db.tenants import Organization
from tests.api.conftest import PASSWORD, Account, World
from tests.api.factor import Enrolled, enrol
from tests.api.test_pages import sign_in, token


@pytest.fixture
async def behind(admin_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that no policy restricts."""
    engine = create_engine(admin_url)
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")
    await engine.dispose()


@pytest.fixture
async def browser(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with world.browser() as client:
        yield client


@pytest.fixture
async def mara(world: World, account: Account) -> Enrolled:
    return await enrol(world, account)


async def send_code(browser: httpx2.AsyncClient, code: str, **more: str) -> httpx2.Response:
    page = await browser.get("/login/code")
    return await browser.post("/login/code", data={"code": code, "csrf_token": token(page), **more})


def cookie(answer: httpx2.Response, name: str) -> set[str]:
    """The attributes a cookie was set with."""
    found = next(each for each in answer.headers.get_list("set-cookie") if each.startswith(f"{name}="))
    return {part.strip().lower() for part in found.split(";")[1:]}


async def test_the_code_comes_on_a_page_of_its_own(mara: Enrolled, browser: httpx2.AsyncClient) -> None:
    answer = await sign_in(browser, mara.account.email)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login/code")
    assert "perdure_session" not in dict(browser.cookies)
    assert {"httponly", "samesite=strict", "path=/login", "max-age=300"} <= cookie(answer, "perdure_code")
    page = await browser.get("/login/code")
    assert 'autocomplete="one-time-code"' in page.text
    assert "<script" not in page.text
    assert (await browser.get("/")).headers["location"] == "/login", "the password alone opens nothing"
    wrong = await send_code(browser, "zzzz-zzzz-zzzz-zzzz")
    assert wrong.status_code == 401
    assert 'role="alert"' in wrong.text
    right = await send_code(browser, mara.next_code())
    assert (right.status_code, right.headers["location"]) == (303, "/")
    assert mara.account.email in (await browser.get("/")).text
    assert "perdure_code" not in dict(browser.cookies)


async def test_a_form_of_another_site_sends_no_code(mara: Enrolled, browser: httpx2.AsyncClient) -> None:
    await sign_in(browser, mara.account.email)
    data = {"code": mara.next_code(), "csrf_token": "forged"}
    assert (await browser.post("/login/code", data=data)).status_code == 403
    foreign = {"Origin": "https://evil.example"}
    page = await browser.get("/login/code")
    data = {"code": mara.code(), "csrf_token": token(page)}
    assert (await browser.post("/login/code", data=data, headers=foreign)).status_code == 403
    assert (await send_code(browser, mara.code())).status_code == 303, "the code was not used up"


async def test_without_a_password_there_is_no_code_page(browser: httpx2.AsyncClient) -> None:
    page = await browser.get("/login/code")
    assert page.headers["location"] == "/login?reason=code-missing"
    assert "begin again" in (await browser.get(page.headers["location"])).text


async def test_too_many_wrong_codes_lead_back_to_the_password(
    mara: Enrolled, browser: httpx2.AsyncClient
) -> None:
    await sign_in(browser, mara.account.email)
    for _ in range(5):
        assert (await send_code(browser, "zzzz-zzzz-zzzz-zzzz")).status_code == 401
    over = await send_code(browser, mara.next_code())
    assert over.headers["location"] == "/login?reason=code-missing"


async def test_a_trusted_browser_is_asked_for_no_code_again(
    mara: Enrolled, browser: httpx2.AsyncClient
) -> None:
    await sign_in(browser, mara.account.email)
    trusted = await send_code(browser, mara.next_code(), trust="yes")
    month = f"max-age={30 * 24 * 3600}"
    assert {"httponly", "samesite=strict", "path=/", month} <= cookie(trusted, "perdure_device")
    home = await browser.get("/")
    await browser.post("/logout", data={"csrf_token": token(home)})
    assert (await sign_in(browser, mara.account.email)).headers["location"] == "/"


async def test_a_person_sets_it_up_where_the_organization_demands_it(
    world: World, account: Account, browser: httpx2.AsyncClient, behind: AsyncConnection
) -> None:
    statement = update(Organization).where(Organization.id == UUID(account.organization_id))
    await behind.execute(statement.values(settings={"mfa_required": True}))
    await sign_in(browser, account.email)
    assert (await browser.get("/")).headers["location"] == "/second-factor"
    page = await browser.get("/second-factor")
    assert "Your organization demands a second factor" in page.text
    wrong = await browser.post("/second-factor", data={"csrf_token": token(page), "password": "not it"})
    assert wrong.status_code == 403
    shown = await browser.post("/second-factor", data={"csrf_token": token(page), "password": PASSWORD})
    assert "<svg" in shown.text
    found = re.search(r"type this key: <code>([A-Z2-7 ]+)</code>", shown.text)
    assert found
    secret = found[1].replace(" ", "")
    bad = await browser.post("/second-factor/confirm", data={"csrf_token": token(shown), "code": "12"})
    assert bad.status_code == 422
    code = pyotp.TOTP(secret).at(world.clock())
    done = await browser.post("/second-factor/confirm", data={"csrf_token": token(bad), "code": code})
    codes = re.findall(r"<li><code>([^<]+)</code></li>", done.text)
    assert len(set(codes)) == 10
    assert (await browser.get("/")).status_code == 200
    again = await browser.get("/second-factor")
    assert "You have 10 backup codes left" in unescape(" ".join(again.text.split()))
    assert not any(each in again.text for each in codes)


async def test_its_forms_are_ours_alone(account: Account, browser: httpx2.AsyncClient) -> None:
    assert (await browser.get("/second-factor")).headers["location"] == "/login?next=%2Fsecond-factor"
    await sign_in(browser, account.email)
    for path in ("/second-factor", "/second-factor/confirm"):
        forged = await browser.post(
            path, data={"csrf_token": "forged", "password": PASSWORD, "code": "123456"}
        )
        assert forged.status_code == 403, path
