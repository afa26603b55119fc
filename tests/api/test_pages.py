"""The pages as a browser without scripts uses them."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.api.conftest import PASSWORD, SECURITY, Account, World
from tests.factories.rows import row


def token(page: httpx2.Response) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


async def sign_in(browser: httpx2.AsyncClient, email: str, password: str = PASSWORD) -> httpx2.Response:
    page = await browser.get("/login")
    return await browser.post(
        "/login", data={"email": email, "password": password, "csrf_token": token(page)}
    )


@pytest.fixture
async def browser(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with world.browser() as client:
        yield client


async def test_a_cookie_is_no_refresh_token(
    world: World, account: Account, browser: httpx2.AsyncClient
) -> None:
    """Both are kept in one table, hashed apart, whatever is put in front of one."""
    await sign_in(browser, account.email)
    for mark in ("", "cookie:", "refresh:cookie:"):
        body = {"refresh_token": mark + browser.cookies["perdure_session"]}
        assert (await world.http.post("/v1/auth/refresh", json=body)).status_code == 401, mark
        assert (await world.http.post("/v1/auth/logout", json=body)).status_code == 204
    assert (await browser.get("/")).status_code == 200


async def test_signing_in_leads_home_and_signing_out_ends_it(
    account: Account, browser: httpx2.AsyncClient
) -> None:
    assert (await browser.get("/")).headers["location"] == "/login"
    answer = await sign_in(browser, account.email)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = next(
        each for each in answer.headers.get_list("set-cookie") if each.startswith("perdure_session=")
    )
    assert {"httponly", "samesite=strict", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}
    home = await browser.get("/")
    assert home.status_code == 200
    assert account.email in home.text
    assert "Lindqvist Tax" in home.text
    kept = dict(browser.cookies)
    assert (await browser.get("/login")).headers["location"] == "/"  # nothing to sign in for
    out = await browser.post("/logout", data={"csrf_token": token(home)})
    assert out.status_code == 303
    assert "You are signed out." in (await browser.get(out.headers["location"])).text
    browser.cookies.update(kept)  # a thief who kept the cookie gets nothing for it
    ended = await browser.get("/")
    assert ended.status_code == 303
    assert "Your session has ended." in (await browser.get(ended.headers["location"])).text


async def test_the_reason_for_signing_in_is_ours_to_word(browser: httpx2.AsyncClient) -> None:
    page = await browser.get("/login", params={"reason": "Call 555-0100 now"})
    assert page.status_code == 200
    assert "555" not in page.text
    assert 'role="status"' not in page.text


async def test_a_wrong_password_is_said_without_a_hint(account: Account, browser: httpx2.AsyncClient) -> None:
    wrong = await sign_in(browser, account.email, "not it at all")
    unknown = await sign_in(browser, "nobody@lind.example", "not it at all")
    assert wrong.status_code == unknown.status_code == 401
    assert 'role="alert"' in wrong.text
    assert wrong.text.replace(account.email, "") == unknown.text.replace("nobody@lind.example", "")
    assert "not it at all" not in wrong.text


async def test_forms_of_other_sites_do_nothing(account: Account, browser: httpx2.AsyncClient) -> None:
    form = {"email": account.email, "password": PASSWORD}
    assert (await browser.post("/login", data=form)).status_code == 403
    page = await browser.get("/login")
    good = {**form, "csrf_token": token(page)}
    foreign = await browser.post("/login", data=good, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert (await browser.post("/login", data={**good, "csrf_token": "x"})).status_code == 403
    await sign_in(browser, account.email)
    assert (await browser.post("/logout", data={})).status_code == 403
    assert (await browser.get("/")).status_code == 200


async def test_the_cookie_alone_writes_nothing_through_the_api(
    account: Account, browser: httpx2.AsyncClient
) -> None:
    await sign_in(browser, account.email)
    assert (await browser.get("/v1/me")).json()["email"] == account.email
    assert (await browser.post("/v1/clients", json={"name": "N"})).status_code == 403
    headers = {"X-CSRF-Token": token(await browser.get("/"))}
    assert (await browser.post("/v1/clients", json={"name": "N"}, headers=headers)).status_code == 201


async def test_a_session_cookie_is_no_refresh_token(
    world: World, account: Account, browser: httpx2.AsyncClient
) -> None:
    await sign_in(browser, account.email)
    body = {"refresh_token": browser.cookies["perdure_session"]}
    assert (await world.http.post("/v1/auth/refresh", json=body)).status_code == 401
    assert (await browser.get("/")).status_code == 200


async def test_home_shows_what_waits_and_how_work_stands(
    account: Account, browser: httpx2.AsyncClient, behind: AsyncConnection
) -> None:
    organization = UUID(account.organization_id)
    workflow = await row(behind, "workflows", organization, name="Quarterly <VAT>", status="active")
    waiting_on = {"kind": "task", "step": "Ask", "title": "Nils"}
    started = {"workflow_id": workflow["id"], "progress": 40, "kind": "workflow"}
    waiting = await row(
        behind, "workflow_executions", organization, status="waiting", waiting_on=waiting_on, **started
    )
    failed = {"status": "failed", "error_message": "No rate", **started}
    await row(behind, "workflow_executions", organization, **failed)
    task = await row(behind, "tasks", organization, title="<b>Approve</b> Nils", assignees=[])
    await row(behind, "tasks", organization, title="For somebody else", assignees=["user:x@y.example"])
    await row(behind, "tasks", title="Of another organization", assignees=[])
    trigger = await row(behind, "triggers", organization, workflow_id=workflow["id"], name="monthly")
    next_at = datetime.now(UTC) + timedelta(hours=3)
    await row(behind, "schedules", organization, id=trigger["id"], next_at=next_at)
    await sign_in(browser, account.email)
    home = await browser.get("/")
    assert "◐</span> Waiting" in home.text
    assert f'<a href="/executions/{waiting["id"]}"><strong>Quarterly &lt;VAT&gt;</strong></a>' in home.text
    assert "Waits for: Nils" in home.text
    assert "✗</span> Failed" in home.text
    assert home.text.count("No rate") == 2  # among the newest, and among those that failed
    assert "40 %" in home.text
    assert "<strong>1</strong> Failed in 7 days" in home.text
    assert " UTC</time>" in home.text
    assert f'<a href="/tasks/{task["id"]}">&lt;b&gt;Approve&lt;/b&gt; Nils</a>' in home.text
    assert "<b>Approve" not in home.text
    assert "For somebody else" not in home.text
    assert "Of another organization" not in home.text
    assert f'<a href="/schedules/{trigger["id"]}">Quarterly &lt;VAT&gt;</a>' in home.text
    assert re.search("in (2 h 59 min|3 h)", home.text)


async def test_an_empty_home_says_what_will_appear(account: Account, browser: httpx2.AsyncClient) -> None:
    await sign_in(browser, account.email)
    home = await browser.get("/")
    assert "Nothing waits for you." in home.text
    assert "No workflow has run yet." in home.text


async def test_the_reference_names_what_every_operation_takes_and_answers(
    browser: httpx2.AsyncClient,
) -> None:
    page = (await browser.get("/docs")).text
    start = page[page.index('id="executions_start"') :]
    start = start[: start.index("</details>")]
    assert "<code>input</code>" in start  # the body is optional and its schema named elsewhere
    assert "<code>202</code> with <code>id</code>" in start
    decide = page[page.index('id="tasks_decide"') :]
    assert "one of approved, rejected" in decide[: decide.index("</details>")]
    assert "<code>If-Match</code>" in page
    assert "`" not in page


async def test_pages_hold_no_inline_script_and_no_inline_style(
    account: Account, browser: httpx2.AsyncClient
) -> None:
    pages = [await browser.get("/login")]
    await sign_in(browser, account.email)
    for page in (*pages, await browser.get("/"), await browser.get("/docs")):
        # Modules of ours, never a line of script in the page itself.
        assert all(' src="/static/js/' in tag for tag in re.findall("<script[^>]*>", page.text))
        assert "style=" not in page.text
        assert " onclick" not in page.text
        assert '<html lang="en">' in page.text
        assert "<main" in page.text
        assert "<h1>" in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "style-src 'self'" in policy
        assert "script-src 'self';" in policy
    css = await browser.get("/static/console.css")
    assert css.headers["content-type"].startswith("text/css")
    assert "prefers-color-scheme: dark" in css.text
    assert (await browser.get("/static/icon.svg")).headers["content-type"] == "image/svg+xml"


async def test_a_browser_is_told_of_errors_on_a_page(browser: httpx2.AsyncClient) -> None:
    wanted = {"Accept": "text/html,application/xhtml+xml"}
    page = await browser.get("/nowhere", headers=wanted)
    assert page.status_code == 404
    assert "<h1>Not Found</h1>" in page.text
    assert (await browser.get("/nowhere")).headers["content-type"] == "application/problem+json"
    assert (await browser.get("/v1/nowhere", headers=wanted)).json()["code"] == "no_such_route"


async def test_over_tls_the_cookie_is_bound_to_the_host(world: World, account: Account) -> None:
    from dataclasses import replace

    from api.app import create_app

    secure = replace(SECURITY, public_url="https://perdure.test")
    app = create_app(replace(world.app.state.collaborators, security=secure))
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="https://perdure.test"
    ) as browser:
        answer = await sign_in(browser, account.email)
        cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("__Host-"))
        assert "Secure" in cookie
        assert "Domain" not in cookie
        assert "strict-transport-security" in answer.headers
        assert (await browser.get("/")).status_code == 200
