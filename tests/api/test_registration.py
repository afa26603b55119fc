"""Accounts through the mail, as far as routes and pages go: same work for every address, tokens once, no leaks.

Whole journeys with the worker and a mail server: tests/workflows/test_accounts.py.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from api.collaborators import Collaborators
from api.limits import MAILS_TO
from db.engine import create_engine
from db.session import Database
from domain.actions import Catalogue
from domain.onetime import Purpose, code, derive
from tests.api.conftest import PASSWORD, PROCESSES, SECURITY, Clock, Recorder, keys_of

SignUp = Literal["verified", "open", "closed"]
GRACE = {
    "email": "grace@example.com",
    "password": PASSWORD,
    "name": "Grace Hopper",
    "organization_name": "Harbour",
}
STRANGER = "203.0.113.9"


@dataclass
class Hall:
    """An installation without a worker; `admin` sees what is stored."""

    app: Any
    http: httpx2.AsyncClient
    database: Database
    admin: AsyncEngine
    clock: Clock
    dispatcher: Recorder

    async def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx2.Response:
        return await self.http.post(path, json=body, headers=headers)

    async def all(self, query: str) -> list[Any]:
        async with self.admin.connect() as connection:
            return list((await connection.execute(text(query))).mappings())

    async def run(self, statement: str) -> None:
        async with self.admin.begin() as connection:
            await connection.execute(text(statement))

    async def token(self, table: str, purpose: Purpose) -> str:
        """As the mail would bring it: of the newest row."""
        [row] = await self.all(f"SELECT id FROM {table} ORDER BY created_at DESC LIMIT 1")
        return derive(SECURITY.token_secret, purpose, UUID(str(row["id"])))

    async def opened(self) -> dict[str, Any]:
        """Grace's account."""
        assert (await self.post("/v1/auth/register", GRACE)).status_code == 202
        token = await self.token("registrations", Purpose.VERIFY_EMAIL)
        answer = await self.post("/v1/auth/verify-email", {"token": token})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def bearer(self) -> dict[str, str]:
        answer = await self.post("/v1/auth/login", {"email": GRACE["email"], "password": PASSWORD})
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    async def reset_token(self) -> str:
        """As if the worker had looked and sent the mail."""
        assert (await self.post("/v1/auth/forgot-password", {"email": GRACE["email"]})).status_code == 202
        await self.run(
            "UPDATE auth_tokens AS t SET user_id = u.id FROM users AS u "
            "WHERE u.email = t.target AND t.purpose = 'reset_password'"
        )
        return await self.token("auth_tokens", Purpose.RESET_PASSWORD)

    @contextmanager
    def working(self) -> Iterator[list[str]]:
        """What is done meanwhile: every statement, and every hash as `hash`."""
        done: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            done.append(" ".join(statement.split()))

        passwords, engine = self.app.state.sign_in.passwords, self.database._engine.sync_engine
        run = passwords._run

        async def hashing(work: Any) -> Any:
            done.append("hash")
            return await run(work)

        passwords._run = hashing
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield done
        finally:
            event.remove(engine, "before_cursor_execute", note)
            passwords._run = run


Build = Callable[[SignUp], Awaitable[Hall]]


@pytest.fixture
async def build(database_url: str, admin_url: str) -> AsyncIterator[Build]:
    halls: list[Hall] = []

    async def make(sign_up: SignUp) -> Hall:
        database, clock, dispatcher = Database(database_url, pool_size=8), Clock(), Recorder()
        security = replace(SECURITY, sign_up=sign_up)
        parts = Collaborators(
            database,
            keys_of(database),
            Catalogue([]),
            dispatcher,
            security,
            clock,
            PROCESSES,
            has_sms=True,
        )
        app = create_app(parts)
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=SECURITY.public_url)
        halls.append(Hall(app, http, database, create_engine(admin_url), clock, dispatcher))
        return halls[-1]

    yield make
    for hall in halls:
        await hall.http.aclose()
        await hall.database.close()
        await hall.admin.dispose()


@pytest.fixture
async def hall(build: Build) -> Hall:
    return await build("verified")


async def test_registering_writes_one_row_and_no_user(hall: Hall) -> None:
    answer = await hall.post("/v1/auth/register", GRACE)
    assert (answer.status_code, answer.json()) == (202, {"status": "verification_sent"})
    assert await hall.all("SELECT 1 FROM users") == []
    [row] = await hall.all("SELECT * FROM registrations")
    assert row["password"].startswith("v1$")
    [entry] = hall.dispatcher.entries
    assert entry.payload["input"] == {"about": "registration", "id": str(row["id"])}


Ask = Callable[[Hall, str], Awaitable[httpx2.Response]]
ASKING: dict[str, Ask] = {
    "register": lambda hall, email: hall.post("/v1/auth/register", {**GRACE, "email": email}),
    "resend": lambda hall, email: hall.post("/v1/auth/resend-verification", {"email": email}),
    "forgot": lambda hall, email: hall.post("/v1/auth/forgot-password", {"email": email}),
    "register page": lambda hall, email: hall.http.post("/register", data={**GRACE, "email": email}),
    "forgot page": lambda hall, email: hall.http.post("/forgot-password", data={"email": email}),
}


@pytest.mark.parametrize("name", ASKING)
async def test_nobody_learns_whether_an_address_is_known(hall: Hall, name: str) -> None:
    """Not from the answer, and not from its time: the same statements and hashes are done for each address."""
    await hall.opened()
    await ASKING[name](hall, "warm@example.com")  # the first of its kind also writes the process down
    seen = []
    for email in (GRACE["email"], "nobody@example.com"):
        with hall.working() as done:
            answer = await ASKING[name](hall, email)
        comparable = {key: value for key, value in answer.headers.items() if key != "x-request-id"}
        seen.append((answer.status_code, answer.text, comparable, done))
    assert seen[0] == seen[1]
    assert seen[0][0] in (200, 202)
    assert any("outbox" in statement for statement in seen[0][3])  # so something was compared


async def test_logging_in_does_the_same_work_for_known_and_unknown_addresses(hall: Hall) -> None:
    await hall.opened()
    seen = []
    for email in (GRACE["email"], "nobody@example.com"):
        with hall.working() as done:
            answer = await hall.post("/v1/auth/login", {"email": email, "password": "not the password"})
        seen.append((answer.status_code, answer.json()["detail"], done))
    assert seen[0] == seen[1]
    assert seen[0][2].count("hash") == 1


async def test_asking_for_a_known_address_as_ones_new_one_is_answered_the_same(hall: Hall) -> None:
    await hall.opened()
    bearer = await hall.bearer()
    other = {**GRACE, "email": "ada@example.com"}
    await hall.post("/v1/auth/register", other)
    await hall.post(
        "/v1/auth/verify-email", {"token": await hall.token("registrations", Purpose.VERIFY_EMAIL)}
    )
    seen = []
    for email in ("warm@example.com", "ada@example.com", "nobody@example.com"):
        with hall.working() as done:
            answer = await hall.post("/v1/me/email", {"email": email}, **bearer)
        seen.append((answer.status_code, answer.text, done))
    assert seen[1] == seen[2]
    assert seen[1][0] == 202


@pytest.mark.parametrize("times", [1, 8])
async def test_a_link_works_once_however_many_send_it_at_once(hall: Hall, times: int) -> None:
    await hall.post("/v1/auth/register", GRACE)
    token = await hall.token("registrations", Purpose.VERIFY_EMAIL)
    answers = await asyncio.gather(
        *(hall.post("/v1/auth/verify-email", {"token": token}) for _ in range(times))
    )
    again = await hall.post("/v1/auth/verify-email", {"token": token})
    codes = sorted(answer.status_code for answer in (*answers, again))
    assert codes == [201] + [422] * times
    assert again.json()["code"] == "token_refused"
    assert again.json()["errors"][0]["pointer"] == "#/token"
    assert len(await hall.all("SELECT 1 FROM users")) == 1


async def test_a_link_expires(hall: Hall) -> None:
    await hall.post("/v1/auth/register", GRACE)
    token = await hall.token("registrations", Purpose.VERIFY_EMAIL)
    hall.clock.forward(hours=24, seconds=1)
    assert (await hall.post("/v1/auth/verify-email", {"token": token})).status_code == 422
    hall.clock.forward(hours=-24, seconds=-1)
    await hall.post("/v1/auth/verify-email", {"token": token})
    reset = await hall.reset_token()
    hall.clock.forward(hours=1, seconds=1)
    answer = await hall.post("/v1/auth/reset-password", {"token": reset, "password": "slow rivers carry"})
    assert (answer.status_code, answer.json()["code"]) == (422, "token_refused")


async def test_a_token_of_one_purpose_is_none_of_another(hall: Hall) -> None:
    await hall.opened()
    token = await hall.reset_token()
    for path in ("/v1/auth/verify-email", "/v1/auth/confirm-email"):
        assert (await hall.post(path, {"token": token})).json()["code"] == "token_refused"
    [row] = await hall.all("SELECT id FROM auth_tokens")
    id = UUID(str(row["id"]))
    assert len({derive(SECURITY.token_secret, purpose, id) for purpose in Purpose}) == len(Purpose)


async def test_no_row_holds_what_a_link_needs(hall: Hall) -> None:
    await hall.opened()
    token = await hall.reset_token()
    stored = str(
        [
            await hall.all(f"SELECT * FROM {table}")
            for table in ("auth_tokens", "outbox", "workflow_executions")
        ]
    )
    assert token not in stored
    assert derive(b"another secret of thirty-two bytes", Purpose.RESET_PASSWORD, uuid4()) not in stored


async def test_a_reset_ends_sessions_devices_and_tokens_and_signs_nobody_in(hall: Hall) -> None:
    opened = await hall.opened()
    user_id = opened["user"]["id"]
    await hall.run(
        "INSERT INTO trusted_devices (user_id, device_id, expires_at) "
        f"VALUES ('{user_id}', 'known', now() + interval '1 day')"
    )
    bearer = await hall.bearer()
    await hall.post("/v1/me/email", {"email": "elsewhere@example.com"}, **bearer)
    change = await hall.token("auth_tokens", Purpose.CHANGE_EMAIL)
    token = await hall.reset_token()
    body = {"token": token, "password": "slow rivers carry stones"}
    answer = await hall.post("/v1/auth/reset-password", body)
    assert (answer.status_code, answer.json()) == (200, {"status": "password_changed"})
    assert "set-cookie" not in answer.headers
    assert await hall.all("SELECT 1 FROM sessions WHERE revoked_at IS NULL") == []
    assert await hall.all("SELECT 1 FROM trusted_devices") == []
    assert await hall.all("SELECT 1 FROM auth_tokens WHERE used_at IS NULL") == []
    assert (await hall.http.get("/v1/me", headers=bearer)).status_code == 401
    assert (await hall.post("/v1/auth/confirm-email", {"token": change})).status_code == 422
    told = hall.dispatcher.entries[-1].payload["input"]
    assert (told["template"], told["to"]) == ("password-changed", GRACE["email"])


async def test_a_login_under_way_does_not_survive_the_reset(hall: Hall, monkeypatch: Any) -> None:
    """Its password was matched just before: without looking again, its session would begin just after."""
    await hall.opened()
    challenges = hall.app.state.sign_in.challenges
    after_password = challenges.after_password
    words = iter(("slow rivers carry stones", "wide skies over salt"))

    async def meanwhile(*given: Any) -> Any:
        step = await after_password(*given)
        body = {"token": await hall.reset_token(), "password": next(words)}
        assert (await hall.post("/v1/auth/reset-password", body)).status_code == 200
        return step

    page = await hall.http.get("/login")
    [csrf] = re.findall(r'name="csrf_token" value="([^"]+)"', page.text)
    monkeypatch.setattr(challenges, "after_password", meanwhile)
    late = await hall.post("/v1/auth/login", {"email": GRACE["email"], "password": PASSWORD})
    assert late.status_code == 401
    form = {"email": GRACE["email"], "password": "slow rivers carry stones", "csrf_token": csrf}
    late = await hall.http.post("/login", data=form)
    assert (late.status_code, "perdure_session" in hall.http.cookies) == (401, False)
    assert await hall.all("SELECT 1 FROM sessions WHERE revoked_at IS NULL") == []


async def test_a_reset_is_no_way_around_the_second_factor(hall: Hall) -> None:
    """After it, the login with the new password still answers with a challenge instead of tokens."""
    opened = await hall.opened()
    await hall.run(
        "INSERT INTO user_mfa (user_id, mfa_enabled, totp_secret) "
        f"VALUES ('{opened['user']['id']}', true, 'sealed')"
    )
    body = {"token": await hall.reset_token(), "password": "slow rivers carry stones"}
    assert (await hall.post("/v1/auth/reset-password", body)).json() == {"status": "password_changed"}
    [row] = await hall.all("SELECT mfa_enabled, totp_secret FROM user_mfa")
    assert dict(row) == {"mfa_enabled": True, "totp_secret": "sealed"}
    login = {"email": GRACE["email"], "password": body["password"]}
    answer = (await hall.post("/v1/auth/login", login)).json()
    assert answer.get("mfa_required") is True, answer
    assert "access_token" not in answer


async def test_a_disabled_account_is_not_revived_by_a_reset(hall: Hall) -> None:
    await hall.opened()
    token = await hall.reset_token()
    await hall.run("UPDATE users SET is_active = false")
    body = {"token": token, "password": "slow rivers carry stones"}
    assert (await hall.post("/v1/auth/reset-password", body)).json()["code"] == "token_refused"


async def test_a_reset_sent_to_an_address_given_up_meanwhile_is_worth_nothing(hall: Hall) -> None:
    await hall.opened()
    token = await hall.reset_token()
    await hall.run("UPDATE users SET email = 'moved@example.com'")
    body = {"token": token, "password": "slow rivers carry stones"}
    assert (await hall.post("/v1/auth/reset-password", body)).json()["code"] == "token_refused"


async def test_a_weak_password_leaves_the_link_good(hall: Hall) -> None:
    await hall.opened()
    token = await hall.reset_token()
    for weak in ("short", "password123", GRACE["email"]):
        answer = await hall.post("/v1/auth/reset-password", {"token": token, "password": weak})
        assert answer.json()["errors"][0]["code"] == "weak_password"
    answer = await hall.post("/v1/auth/reset-password", {"token": token, "password": "slow rivers carry"})
    assert answer.status_code == 200


async def test_mails_to_one_address_are_rationed_whoever_asks(hall: Hall) -> None:
    for number in range(int(MAILS_TO.free)):
        route = ("forgot", "resend", "register")[number % 3]
        assert (await ASKING[route](hall, "mara@example.com")).status_code == 202
    stopped = await hall.post("/v1/auth/forgot-password", {"email": "MARA@example.com"})
    assert (stopped.status_code, stopped.json()["code"]) == (429, "too_many_requests")
    assert int(stopped.headers["retry-after"]) > 0
    assert (await ASKING["forgot"](hall, "else@example.com")).status_code == 202


async def test_two_accounts_that_want_one_address_at_once(hall: Hall) -> None:
    await hall.opened()
    bearer = await hall.bearer()
    await hall.post("/v1/me/email", {"email": "wanted@example.com"}, **bearer)
    change = await hall.token("auth_tokens", Purpose.CHANGE_EMAIL)
    await hall.post("/v1/auth/register", {**GRACE, "email": "Wanted@example.com"})
    register = await hall.token("registrations", Purpose.VERIFY_EMAIL)
    assert (await hall.post("/v1/auth/verify-email", {"token": register})).status_code == 201
    answer = await hall.post("/v1/auth/confirm-email", {"token": change})
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")
    assert (await hall.http.get("/v1/me", headers=bearer)).json()["email"] == GRACE["email"]


async def test_a_new_address_needs_a_fresh_proof_of_who_asks(hall: Hall) -> None:
    await hall.opened()
    bearer = await hall.bearer()
    hall.clock.forward(minutes=9)
    assert (await hall.post("/v1/me/email", {"email": "a@example.com"}, **bearer)).status_code == 202
    await hall.run("UPDATE sessions SET confirmed_at = confirmed_at - interval '11 minutes'")
    for path, body in (
        ("/v1/me/email", {"email": "b@example.com"}),
        ("/v1/me/phone", {"phone": "+4930901820"}),
    ):
        answer = await hall.post(path, body, **bearer)
        assert (answer.status_code, answer.json()["code"]) == (403, "step_up_required")


async def test_a_repeated_request_changes_nothing_twice(hall: Hall) -> None:
    await hall.opened()
    bearer = await hall.bearer()
    before = len(hall.dispatcher.entries)
    for _ in range(2):
        answer = await hall.post(
            "/v1/me/email", {"email": "a@example.com"}, **bearer, **{"Idempotency-Key": "once"}
        )
        assert answer.status_code == 202
    assert len(hall.dispatcher.entries) == before + 1


async def test_closed_means_by_invitation_only(build: Build) -> None:
    hall = await build("closed")
    answer = await hall.post("/v1/auth/register", GRACE)
    assert (answer.status_code, answer.json()["code"]) == (403, "sign_up_closed")
    page = await hall.http.get("/register")
    assert page.status_code == 403
    assert "invite" in page.text
    assert (await hall.http.post("/register", data=GRACE)).status_code == 403
    assert await hall.all("SELECT 1 FROM registrations") == []


async def test_open_signs_in_at_once(build: Build) -> None:
    hall = await build("open")
    answer = await hall.post("/v1/auth/register", GRACE)
    assert answer.status_code == 201
    assert answer.json()["organization"]["role"] == "owner"
    assert answer.json()["access_token"]
    taken = await hall.post("/v1/auth/register", GRACE)
    assert (taken.status_code, taken.json()["code"]) == (409, "registration_refused")


@pytest.mark.parametrize("email", ["jürgen@example.com", "a@b.c\r\nBcc: x@y.z", "@", "a@-.-", "x" * 300])
async def test_an_address_no_mail_can_reach_is_refused_at_once(hall: Hall, email: str) -> None:
    answer = await hall.post("/v1/auth/register", {**GRACE, "email": email})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/email"
    assert hall.dispatcher.entries == []


async def test_opening_a_link_uses_nothing_up(hall: Hall) -> None:
    """Scanners of mail open every link, some twice."""
    await hall.post("/v1/auth/register", GRACE)
    token = await hall.token("registrations", Purpose.VERIFY_EMAIL)
    for _ in range(3):
        page = await hall.http.get(f"/verify-email?token={token}")
        assert page.status_code == 200
        assert (await hall.http.head(f"/verify-email?token={token}")).status_code in (200, 405)
    done = await hall.http.post("/verify-email", data={"token": token}, headers={"Origin": "null"})
    assert done.status_code == 200
    assert "Your account is open" in done.text
    over = await hall.http.post("/verify-email", data={"token": token})
    assert over.status_code == 422
    assert "not valid any more" in over.text
    assert token not in over.text


PRIVATE = ("/verify-email", "/reset-password", "/confirm-email")


async def test_a_page_takes_a_nul_for_nothing(hall: Hall) -> None:
    """PostgreSQL keeps none in a text; what a program sends in the place of a browser is no error of ours."""
    page = await hall.http.get("/login")
    [csrf] = re.findall(r'name="csrf_token" value="([^"]+)"', page.text)
    form = {
        "email": "gra\0ce@example.com",
        "password": PASSWORD,
        "name": "Gra\0ce",
        "organization_name": "H\0",
    }
    assert (await hall.http.post("/register", data=form)).status_code == 200
    [waiting] = await hall.all("SELECT email, first_name FROM registrations")
    assert dict(waiting) == {"email": "grace@example.com", "first_name": "Grace"}
    assert (await hall.http.post("/forgot-password", data=form)).status_code == 200
    assert (await hall.http.post("/login", data={**form, "csrf_token": csrf})).status_code == 401


@pytest.mark.parametrize("path", PRIVATE)
async def test_pages_with_a_token_tell_nobody_where_they_were(hall: Hall, path: str) -> None:
    hostile = '"><script>alert(1)</script>'
    for answer in (
        await hall.http.get(path, params={"token": hostile}),
        await hall.http.post(path, data={"token": hostile, "password": "x"}),
        await hall.http.get(path),
    ):
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "<script" not in answer.text
        assert not re.search(r"(?:src|href)=\"(?![/#])", answer.text)  # nothing foreign is loaded or linked


@pytest.mark.parametrize("path", [*PRIVATE, "/register", "/forgot-password"])
async def test_a_form_of_another_site_is_refused(hall: Hall, path: str) -> None:
    answer = await hall.http.post(
        path, data={**GRACE, "token": "x"}, headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403
    if path not in PRIVATE:
        hidden = await hall.http.post(path, data=GRACE, headers={"Origin": "null"})
        assert hidden.status_code == 403
    assert hall.dispatcher.entries == []


async def test_the_pages_lead_through(hall: Hall) -> None:
    assert "/forgot-password" in (await hall.http.get("/login")).text
    assert (await hall.http.get("/register")).status_code == 200
    weak = await hall.http.post("/register", data={**GRACE, "password": "password1"})
    assert weak.status_code == 422
    assert "commonly used" in weak.text
    assert GRACE["email"] in weak.text
    assert "password1" not in weak.text
    incomplete = await hall.http.post("/register", data={"email": GRACE["email"], "password": PASSWORD})
    assert incomplete.status_code == 400
    await hall.opened()
    token = await hall.reset_token()
    refused = await hall.http.post("/reset-password", data={"token": token, "password": "short"})
    assert refused.status_code == 422
    assert token in refused.text  # the form is there again
    done = await hall.http.post("/reset-password", data={"token": token, "password": "slow rivers carry"})
    assert "Your password was changed" in done.text


CODE = "/v1/me/phone/verify"


async def sent(hall: Hall, bearer: dict[str, str], phone: str = "+49 30 901820") -> tuple[str, str]:
    """A verification under way: its id, and the code of its message."""
    answer = await hall.post("/v1/me/phone", {"phone": phone}, **bearer)
    assert answer.status_code == 202, answer.text
    id: str = answer.json()["verification_id"]
    return id, code(derive(SECURITY.token_secret, Purpose.VERIFY_PHONE, UUID(id)))


async def test_a_code_is_worth_five_tries(hall: Hall) -> None:
    await hall.opened()
    bearer = await hall.bearer()
    id, digits = await sent(hall, bearer)
    wrong = f"{(int(digits) + 1) % 1_000_000:06}"
    for _ in range(5):
        answer = await hall.post(CODE, {"verification_id": id, "code": wrong}, **bearer)
        assert (answer.status_code, answer.json()["code"]) == (422, "code_refused")
    right = await hall.post(CODE, {"verification_id": id, "code": digits}, **bearer)
    assert (right.status_code, right.json()["code"]) == (422, "code_refused")
    [user] = await hall.all("SELECT phone, phone_verified FROM users")
    assert dict(user) == {"phone": None, "phone_verified": False}


async def test_guessing_codes_at_once_gets_no_further(hall: Hall) -> None:
    await hall.opened()
    bearer = await hall.bearer()
    id, digits = await sent(hall, bearer)
    wrong = f"{(int(digits) + 1) % 1_000_000:06}"
    await asyncio.gather(
        *(hall.post(CODE, {"verification_id": id, "code": wrong}, **bearer) for _ in range(9))
    )
    [row] = await hall.all("SELECT attempts FROM auth_tokens")
    assert row["attempts"] == 5


async def test_a_proven_number_is_written_in_one_form(hall: Hall) -> None:
    await hall.opened()
    bearer = await hall.bearer()
    id, digits = await sent(hall, bearer)
    answer = await hall.post(CODE, {"verification_id": id, "code": digits}, **bearer)
    assert answer.json() == {"phone": "+4930901820", "verified": True}
    [user] = await hall.all("SELECT phone, country_code, phone_verified, phone_verified_at FROM users")
    assert user["phone_verified_at"] is not None
    assert (user["phone"], user["country_code"], user["phone_verified"]) == ("+4930901820", "+49", True)


async def test_a_code_expires_and_is_its_owners_alone(hall: Hall) -> None:
    await hall.opened()
    bearer = await hall.bearer()
    id, digits = await sent(hall, bearer)
    await hall.post("/v1/auth/register", {**GRACE, "email": "eve@example.com"})
    verify = await hall.token("registrations", Purpose.VERIFY_EMAIL)
    await hall.post("/v1/auth/verify-email", {"token": verify})
    login = await hall.post("/v1/auth/login", {"email": "eve@example.com", "password": PASSWORD})
    eve = {"Authorization": f"Bearer {login.json()['access_token']}"}
    answer = await hall.post(CODE, {"verification_id": id, "code": digits}, **eve)
    assert answer.json()["code"] == "code_refused"
    [row] = await hall.all("SELECT attempts FROM auth_tokens")
    assert row["attempts"] == 0  # a stranger does not use tries up
    hall.clock.forward(minutes=10, seconds=1)
    bearer = await hall.bearer()
    answer = await hall.post(CODE, {"verification_id": id, "code": digits}, **bearer)
    assert answer.json()["code"] == "code_refused"


@pytest.mark.parametrize(
    "phone", ["12345", "+49 30", "++49", "+99 123 456 789", "call me", "+1 000 000 0000"]
)
async def test_what_is_no_number_is_refused(hall: Hall, phone: str) -> None:
    await hall.opened()
    bearer = await hall.bearer()
    answer = await hall.post("/v1/me/phone", {"phone": phone}, **bearer)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/phone")


async def test_without_a_provider_nobody_waits_for_a_code(build: Build) -> None:
    hall = await build("verified")
    hall.app.state.collaborators = replace(hall.app.state.collaborators, has_sms=False)
    await hall.opened()
    answer = await hall.post("/v1/me/phone", {"phone": "+4930901820"}, **await hall.bearer())
    assert (answer.status_code, answer.json()["code"]) == (409, "sms_unavailable")


async def test_two_links_of_one_account_used_at_once_do_not_wait_for_each_other(hall: Hall) -> None:
    await hall.opened()
    for number in range(3):
        made = [await hall.reset_token() for _ in range(3)]
        answers = await asyncio.gather(
            *(
                hall.post(
                    "/v1/auth/reset-password", {"token": each, "password": f"slow rivers carry {number}"}
                )
                for each in made
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200, 422, 422]
        await hall.run("DELETE FROM login_attempts")


async def test_two_registrations_of_one_address_finished_at_once_make_one_account(hall: Hall) -> None:
    for _ in range(4):
        assert (await hall.post("/v1/auth/register", GRACE)).status_code == 202
    ids = [UUID(str(row["id"])) for row in await hall.all("SELECT id FROM registrations")]
    tokens = [derive(SECURITY.token_secret, Purpose.VERIFY_EMAIL, id) for id in ids]
    answers = await asyncio.gather(
        *(hall.post("/v1/auth/verify-email", {"token": token}) for token in (*tokens, *tokens))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 7
    assert len(await hall.all("SELECT 1 FROM users")) == 1
