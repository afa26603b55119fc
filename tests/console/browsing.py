"""A browser on the running stack: people who are signed in, and pages that must break no rule of ours."""

import asyncio
import os
import re
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx2
from playwright.async_api import Browser, BrowserContext, Page, Playwright, StorageState

from perdure.cli.demo_http import get, post
from perdure.cli.mailbox import Mailbox
from workers.devstack.stack import Stack

#: Debian's, unless the environment names another; without either the one that playwright installed.
CHROMIUM = Path(os.environ.get("PERDURE_CHROMIUM", "/usr/bin/chromium"))
MAIL_SECONDS = 30.0
PAGE_MILLISECONDS = 15_000

Scheme = Literal["light", "dark"]


async def chromium(playwright: Playwright) -> Browser | None:
    """None where there is no browser at all."""
    found = _installed(playwright)
    if found is None:
        return None
    return await playwright.chromium.launch(
        executable_path=str(found), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    )


def _installed(playwright: Playwright) -> Path | None:
    ours = Path(playwright.chromium.executable_path)
    return next((each for each in (CHROMIUM, ours) if each.exists()), None)


@dataclass(frozen=True)
class Person:
    """Somebody with an account: `session` is a browser's signed-in state, `api` calls /v1 as this person."""

    name: str
    email: str
    password: str
    organization_id: str
    session: StorageState
    api: httpx2.AsyncClient


@dataclass
class Tabs:
    """The browser of one test: what its pages complained about is kept, and everything is closed after it."""

    url: str
    browser: Browser
    complaints: list[str] = field(default_factory=list)
    _contexts: list[BrowserContext] = field(default_factory=list)

    async def open(
        self,
        person: Person | None = None,
        path: str | None = None,
        *,
        javascript: bool = True,
        scheme: Scheme = "light",
        width: int = 1280,
        height: int = 900,
    ) -> Page:
        """A page in a browser of its own, signed in as a person or as nobody, and led to a path if one is given."""
        context = await self.browser.new_context(
            base_url=self.url,
            storage_state=None if person is None else person.session,
            java_script_enabled=javascript,
            color_scheme=scheme,
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
        )
        self._contexts.append(context)
        context.set_default_timeout(PAGE_MILLISECONDS)
        page = await context.new_page()
        page.on("console", lambda said: self._heard(page, said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        if path is not None:
            await page.goto(path)
        return page

    def _heard(self, page: Page, kind: str, text: str) -> None:
        """Errors of scripts and of the content security policy; refused requests are the pages' own business."""
        if kind == "error" and not re.match("Failed to load resource: the server responded with", text):
            self.complaints.append(f"{page.url}: {text}")

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()
        self._contexts.clear()


@dataclass(frozen=True)
class Console:
    """The stack as people meet it.

    Ada owns Harbour & Lane, Grace is a manager in it, Rosa a reviewer; Sam owns Stranger & Co.
    """

    stack: Stack
    browser: Browser
    ada: Person
    grace: Person
    rosa: Person
    sam: Person

    @property
    def url(self) -> str:
        return self.stack.urls["api"]

    @property
    def mailbox(self) -> Mailbox:
        return Mailbox(Path(self.stack.files["mail"]))

    async def link_to(self, email: str, subject: str = "") -> str:
        """The first address in the newest mail to somebody, waited for."""
        letter = await self.mailbox.wait(email, subject, MAIL_SECONDS)
        found = re.search(r"https?://\S+", letter.text)
        assert found, letter.text
        return found[0]

    def tabs(self) -> Tabs:
        return Tabs(self.url, self.browser)


class People:
    """Opens accounts on a stack through the API, as anybody would, and signs them in at the console."""

    def __init__(self, stack: Stack, browser: Browser, clients: AsyncExitStack) -> None:
        self._stack = stack
        self._url = stack.urls["api"]
        self._browser = browser
        self._clients = clients
        self._mailbox = Mailbox(Path(stack.files["mail"]))

    async def house(self) -> Console:
        """The people of the console's tests, and of its pictures."""
        ada, sam = await asyncio.gather(
            self.founder("Ada Harbour", "ada@harbour-lane.example", "Harbour & Lane"),
            self.founder("Sam Stranger", "sam@stranger.example", "Stranger & Co"),
        )
        grace = await self.colleague(ada, "Grace Lane", "grace@harbour-lane.example", "manager")
        rosa = await self.colleague(ada, "Rosa Pier", "rosa@harbour-lane.example", "reviewer")
        return Console(self._stack, self._browser, ada, grace, rosa, sam)

    async def founder(self, name: str, email: str, organization: str) -> Person:
        """Registers a person with an organization of their own."""
        password = secrets.token_urlsafe(12)
        asked = {"email": email, "password": password, "name": name, "organization_name": organization}

        async def join(http: httpx2.AsyncClient) -> dict[str, Any]:
            await post(http, "/v1/auth/register", asked)
            letter = await self._mailbox.wait(email, "", MAIL_SECONDS)
            return await post(http, "/v1/auth/verify-email", {"token": letter.token})

        return await self._person(name, email, password, join)

    async def colleague(self, of: Person, name: str, email: str, role: str) -> Person:
        """Somebody whom `of` invites with a role, and who follows the link of the mail."""
        base, password = f"/v1/organizations/{of.organization_id}", secrets.token_urlsafe(12)
        roles = (await get(of.api, f"{base}/roles"))["items"]
        [role_id] = [each["id"] for each in roles if each["name"] == role]
        await post(of.api, f"{base}/invitations", {"email": email, "role_id": role_id})

        async def join(http: httpx2.AsyncClient) -> dict[str, Any]:
            letter = await self._mailbox.wait(email, "", MAIL_SECONDS)
            newcomer = {"token": letter.token, "name": name, "password": password}
            return await post(http, "/v1/invitations/register", newcomer)

        return await self._person(name, email, password, join)

    async def _person(
        self,
        name: str,
        email: str,
        password: str,
        join: Callable[[httpx2.AsyncClient], Awaitable[dict[str, Any]]],
    ) -> Person:
        http = httpx2.AsyncClient(base_url=self._url, timeout=30.0, trust_env=False)
        self._clients.push_async_callback(http.aclose)
        opened = await join(http)
        http.headers["Authorization"] = f"Bearer {opened['access_token']}"
        await post(http, "/v1/auth/step-up", {"password": password})
        organization_id = str((await get(http, "/v1/me"))["organization_id"])
        return Person(name, email, password, organization_id, await self._signed_in(email, password), http)

    async def _signed_in(self, email: str, password: str) -> StorageState:
        """Through the form that people use."""
        context = await self._browser.new_context(base_url=self._url)
        page = await context.new_page()
        await sign_in(page, email, password)
        state = await context.storage_state()
        await context.close()
        return state


async def sign_in(page: Page, email: str, password: str) -> None:
    await page.goto("/login")
    await page.fill("#email", email)
    await page.fill("#password", password)
    await page.click("button[type=submit]")
    await page.wait_for_url(lambda url: "/login" not in url)
