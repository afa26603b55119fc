"""Accounts through the mail, whole: the real routes and pages, the real worker, a real mail server."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from email.message import EmailMessage
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from api.app import create_app
from db.engine import create_engine
from tests.workflows.engine import Engine, settings_for
from tests.workflows.mail import Mailbox, mailbox
from workers.settings import Settings

PASSWORD = "tidal ferns at dusk"
NEW_PASSWORD = "slow rivers carry stones"
GRACE = {
    "email": "grace@example.com",
    "password": PASSWORD,
    "name": "Grace Hopper",
    "organization_name": "Harbour",
}


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    async with mailbox() as box:
        yield box


@pytest.fixture
def engine_settings(database_url: str, temporal_server: str, box: Mailbox) -> Settings:
    url = f"smtp://127.0.0.1:{box.port}?starttls=false"
    return settings_for(database_url, temporal_server, smtp_url=url, sms="log")


@dataclass
class Visitor:
    """Somebody without an account, where addresses are proven; `box` receives all mail."""

    engine: Engine
    http: httpx2.AsyncClient
    box: Mailbox
    admin_url: str

    async def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx2.Response:
        return await self.http.post(path, json=body, headers=headers)

    async def mail(self, number: int, to: str) -> EmailMessage:
        """The mail to this address that is the `number`th of all."""
        ends = time.monotonic() + 20
        while len(self.box.mails) < number:
            assert time.monotonic() < ends, f"only {len(self.box.mails)} mails: {self.box.subjects}"
            await asyncio.sleep(0.02)
        recipients, message = self.box.mails[number - 1]
        assert recipients == (to,)
        return message

    async def settled(self) -> None:
        """Returns when no execution is under way any more."""
        engine = create_engine(self.admin_url)
        try:
            for _ in range(1000):
                async with engine.connect() as connection:
                    left = await connection.scalar(
                        text("SELECT count(*) FROM workflow_executions WHERE completed_at IS NULL")
                    )
                if not left:
                    return
                await asyncio.sleep(0.02)
        finally:
            await engine.dispose()
        raise AssertionError("an execution did not end")

    async def everything_stored(self) -> str:
        """Every row of every table, as text."""
        engine = create_engine(self.admin_url)
        try:
            async with engine.connect() as connection:
                tables = await connection.scalars(
                    text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
                )
                rows = [
                    str(row)
                    for table in tables.all()
                    for row in await connection.scalars(text(f'SELECT t::text FROM "{table}" AS t'))
                ]
        finally:
            await engine.dispose()
        return "\n".join(rows)

    async def registered(self, **given: str) -> dict[str, Any]:
        """Registered and verified; the mails so far are forgotten."""
        assert (await self.post("/v1/auth/register", {**GRACE, **given})).status_code == 202
        token = token_of(await self.mail(1, given.get("email", GRACE["email"])))
        opened = await self.post("/v1/auth/verify-email", {"token": token})
        assert opened.status_code == 201, opened.text
        self.box.mails.clear()
        made: dict[str, Any] = opened.json()
        return made


@pytest.fixture
async def visitor(engine: Engine, box: Mailbox, admin_url: str) -> AsyncIterator[Visitor]:
    api = engine.parts.api
    app = create_app(replace(api, security=replace(api.security, sign_up="verified", password_cost=4)))
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url=api.security.public_url
    ) as http:
        yield Visitor(engine, http, box, admin_url)


def text_of(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def token_of(message: EmailMessage) -> str:
    found = re.search(r"token=([A-Za-z0-9_-]+)", text_of(message))
    assert found, text_of(message)
    html = message.get_body(("html",))
    assert html is not None
    assert found[0] in html.get_content()
    return found[1]


async def test_an_account_opens_with_the_link_of_the_mail(visitor: Visitor) -> None:
    asked = await visitor.post("/v1/auth/register", GRACE)
    assert (asked.status_code, asked.json()) == (202, {"status": "verification_sent"})
    refused = await visitor.post("/v1/auth/login", {"email": GRACE["email"], "password": PASSWORD})
    assert refused.status_code == 401
    message = await visitor.mail(1, GRACE["email"])
    assert message["Subject"] == "Confirm your e-mail address"
    assert "Grace" not in text_of(message)  # whoever registers a stranger's address writes nothing to them
    token = token_of(message)

    opened = await visitor.post("/v1/auth/verify-email", {"token": token})
    assert opened.status_code == 201, opened.text
    assert opened.json()["user"]["email"] == GRACE["email"]
    me = await visitor.http.get(
        "/v1/me", headers={"Authorization": f"Bearer {opened.json()['access_token']}"}
    )
    assert (me.json()["email"], me.json()["role"]) == (GRACE["email"], "owner"), me.text
    signed_in = await visitor.post("/v1/auth/login", {"email": GRACE["email"], "password": PASSWORD})
    assert signed_in.status_code == 200

    again = await visitor.post("/v1/auth/verify-email", {"token": token})
    assert (again.status_code, again.json()["code"]) == (422, "token_refused")


async def test_no_token_is_written_down_anywhere(visitor: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    """Rows, inputs and steps of executions, words to the engine, logs: the mail alone holds it."""
    caplog.set_level(logging.DEBUG)
    await visitor.post("/v1/auth/register", GRACE)
    verify = token_of(await visitor.mail(1, GRACE["email"]))
    assert (await visitor.http.get(f"/verify-email?token={verify}")).status_code == 200
    await visitor.post("/v1/auth/verify-email", {"token": verify})
    await visitor.post("/v1/auth/forgot-password", {"email": GRACE["email"]})
    reset = token_of(await visitor.mail(2, GRACE["email"]))
    assert (await visitor.http.get(f"/reset-password?token={reset}")).status_code == 200
    await visitor.post("/v1/auth/reset-password", {"token": reset, "password": NEW_PASSWORD})
    await visitor.mail(3, GRACE["email"])
    await visitor.settled()
    stored = await visitor.everything_stored()
    assert GRACE["email"] in stored  # so the search would find what is there
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "mail", "aiosmtpd"))]
    logged = "\n".join(record.getMessage() + str(record.__dict__) for record in ours)
    for secret in (verify, reset, PASSWORD, NEW_PASSWORD):
        assert secret not in stored
        assert secret not in logged


async def test_a_known_address_is_answered_the_same_and_told_by_mail(visitor: Visitor) -> None:
    await visitor.registered()
    again = await visitor.post("/v1/auth/register", {**GRACE, "password": NEW_PASSWORD})
    assert (again.status_code, again.json()) == (202, {"status": "verification_sent"})
    message = await visitor.mail(1, GRACE["email"])
    assert message["Subject"] == "You have an account already"
    assert "token=" not in text_of(message)
    changed = await visitor.post("/v1/auth/login", {"email": GRACE["email"], "password": NEW_PASSWORD})
    assert changed.status_code == 401


async def test_of_two_who_begin_with_one_address_the_first_to_prove_it_has_it(visitor: Visitor) -> None:
    for number in (1, 2):
        await visitor.post("/v1/auth/register", {**GRACE, "organization_name": f"Harbour {number}"})
        await visitor.mail(number, GRACE["email"])
    tokens = [token_of(await visitor.mail(number, GRACE["email"])) for number in (1, 2)]
    assert tokens[0] != tokens[1]
    answers = await asyncio.gather(
        *(visitor.post("/v1/auth/verify-email", {"token": token}) for token in tokens for _ in range(3))
    )
    assert sorted({answer.status_code for answer in answers} - {409, 422}) == [201]
    assert [answer.status_code for answer in answers].count(201) == 1


async def test_the_mail_can_be_sent_again_and_brings_the_same_link(visitor: Visitor) -> None:
    await visitor.post("/v1/auth/register", GRACE)
    first = token_of(await visitor.mail(1, GRACE["email"]))
    for email in ("nobody@example.com", GRACE["email"].upper()):
        answer = await visitor.post("/v1/auth/resend-verification", {"email": email})
        assert (answer.status_code, answer.json()) == (202, {"status": "verification_sent"})
    assert token_of(await visitor.mail(2, GRACE["email"])) == first
    await visitor.settled()
    assert len(visitor.box.mails) == 2


async def test_a_forgotten_password_is_replaced_and_everything_begun_with_the_old_one_ends(
    visitor: Visitor,
) -> None:
    opened = await visitor.registered()
    for email in ("nobody@example.com", GRACE["email"]):
        asked = await visitor.post("/v1/auth/forgot-password", {"email": email})
        assert (asked.status_code, asked.json()) == (202, {"status": "sent_if_known"})
    token = token_of(await visitor.mail(1, GRACE["email"]))

    weak = await visitor.post("/v1/auth/reset-password", {"token": token, "password": "password1"})
    assert (weak.status_code, weak.json()["errors"][0]["pointer"]) == (422, "#/password")
    changed = await visitor.post("/v1/auth/reset-password", {"token": token, "password": NEW_PASSWORD})
    assert (changed.status_code, changed.json()) == (200, {"status": "password_changed"})
    assert (await visitor.mail(2, GRACE["email"]))["Subject"] == "Your password was changed"

    bearer = {"Authorization": f"Bearer {opened['access_token']}"}
    assert (await visitor.http.get("/v1/me", headers=bearer)).status_code == 401
    refreshed = await visitor.post("/v1/auth/refresh", {"refresh_token": opened["refresh_token"]})
    assert refreshed.status_code == 401
    for password, status in ((PASSWORD, 401), (NEW_PASSWORD, 200)):
        answer = await visitor.post("/v1/auth/login", {"email": GRACE["email"], "password": password})
        assert answer.status_code == status
    again = await visitor.post("/v1/auth/reset-password", {"token": token, "password": PASSWORD})
    assert (again.status_code, again.json()["code"]) == (422, "token_refused")


async def test_a_new_address_counts_once_it_is_proven_and_the_old_one_is_told(visitor: Visitor) -> None:
    await visitor.registered()
    signed_in = await visitor.post("/v1/auth/login", {"email": GRACE["email"], "password": PASSWORD})
    bearer = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
    asked = await visitor.post("/v1/me/email", {"email": "hopper@example.com"}, **bearer)
    assert asked.status_code == 202, asked.text
    assert (await visitor.mail(1, GRACE["email"]))["Subject"].startswith("Your account is about to get")
    token = token_of(await visitor.mail(2, "hopper@example.com"))
    assert (await visitor.http.get("/v1/me", headers=bearer)).json()["email"] == GRACE["email"]

    moved = await visitor.post("/v1/auth/confirm-email", {"token": token})
    assert moved.json() == {"status": "email_changed", "email": "hopper@example.com"}
    assert (await visitor.mail(3, GRACE["email"]))["Subject"] == "Your e-mail address was changed"
    for email, status in ((GRACE["email"], 401), ("hopper@example.com", 200)):
        answer = await visitor.post("/v1/auth/login", {"email": email, "password": PASSWORD})
        assert answer.status_code == status
    again = await visitor.post("/v1/auth/confirm-email", {"token": token})
    assert (again.status_code, again.json()["code"]) == (422, "token_refused")


async def test_asking_for_the_address_of_another_account_tells_only_its_owner(visitor: Visitor) -> None:
    await visitor.registered()
    signed_in = await visitor.post("/v1/auth/login", {"email": GRACE["email"], "password": PASSWORD})
    bearer = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
    asked = await visitor.post("/v1/me/email", {"email": "ada@example.com"}, **bearer)
    assert (asked.status_code, asked.json()) == (202, {"status": "verification_sent"})
    await visitor.mail(1, GRACE["email"])
    message = await visitor.mail(2, "ada@example.com")
    assert message["Subject"] == "You have an account already"
    assert "token=" not in text_of(message)


async def test_a_telephone_number_is_proven_by_its_code(
    visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "perdure.sms")
    await visitor.registered()
    signed_in = await visitor.post("/v1/auth/login", {"email": GRACE["email"], "password": PASSWORD})
    bearer = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
    asked = await visitor.post("/v1/me/phone", {"phone": "030 901820", "country": "DE"}, **bearer)
    assert asked.status_code == 202, asked.text
    assert asked.json()["phone"] == "+4930901820"
    await visitor.settled()
    digits = _digits(caplog)
    id = asked.json()["verification_id"]
    wrong = f"{(int(digits) + 1) % 1_000_000:06}"
    refused = await visitor.post("/v1/me/phone/verify", {"verification_id": id, "code": wrong}, **bearer)
    assert (refused.status_code, refused.json()["code"]) == (422, "code_refused")
    right = await visitor.post("/v1/me/phone/verify", {"verification_id": id, "code": digits}, **bearer)
    assert right.json() == {"phone": "+4930901820", "verified": True}
    assert (await visitor.mail(1, GRACE["email"]))["Subject"] == "Your telephone number was confirmed"
    again = await visitor.post("/v1/me/phone/verify", {"verification_id": id, "code": digits}, **bearer)
    assert (again.status_code, again.json()["code"]) == (422, "code_refused")
    assert digits not in await visitor.everything_stored()


def _digits(caplog: pytest.LogCaptureFixture) -> str:
    found = re.search(r"SMS to \+4930901820: (\d{6}) is your code", caplog.text)
    assert found, caplog.text
    return found[1]
