"""The demo's people: an account opened by mail, a colleague invited with a second factor, and who did what."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pyotp

from perdure.cli.demo_http import get, post
from perdure.cli.mailbox import Mailbox

ORGANIZATION = "Harbour & Lane"
COLLEAGUE = "grace@harbour-lane.example"
#: What her key may do: decide what she is asked.
SCOPES = ["tasks:read", "tasks:decide", "executions:read"]
PATIENCE_SECONDS = 60.0
#: So many entries of the log are shown, the newest.
SHOWN = 12


@dataclass(frozen=True, slots=True)
class SignedUp:
    organization_id: str
    bearer: dict[str, str]


async def sign_up(http: httpx2.AsyncClient, mailbox: Mailbox, address: str, password: str) -> SignedUp:
    """Open an account as anybody would: the link in the mail proves the address."""
    asked = {
        "email": address,
        "password": password,
        "name": "Ada Harbour",
        "organization_name": ORGANIZATION,
    }
    await post(http, "/v1/auth/register", asked)
    letter = await mailbox.wait(address, "", PATIENCE_SECONDS)
    opened = await post(http, "/v1/auth/verify-email", {"token": letter.token})
    bearer = _bearer(opened)
    # The link proves the mailbox; making keys asks for the password besides.
    await post(http, "/v1/auth/step-up", {"password": password}, bearer)
    return SignedUp(opened["organization"]["id"], bearer)


async def invite_colleague(
    http: httpx2.AsyncClient, mailbox: Mailbox, organization_id: str, owner: dict[str, str], address: str
) -> dict[str, Any]:
    """A manager: invited by mail, joined by its link, enrolled and signed in with the code of an authenticator.

    Answers her password, authenticator's secret and API key among the rest; each is shown this once.
    """
    base = f"/v1/organizations/{organization_id}"
    roles = (await get(http, f"{base}/roles", owner))["items"]
    role = next(role for role in roles if role["name"] == "manager")
    await post(http, f"{base}/invitations", {"email": address, "role_id": role["id"]}, owner)
    letter = await mailbox.wait(address, "", PATIENCE_SECONDS)
    password = secrets.token_urlsafe(12)
    newcomer = {"token": letter.token, "name": "Grace Lane", "password": password}
    grace = _bearer(await post(http, "/v1/invitations/register", newcomer))
    secret = (await post(http, "/v1/me/mfa/totp", {}, grace))["secret"]
    authenticator, now = pyotp.TOTP(secret), datetime.now(UTC)
    # A code counts once. The one just before still does, so that signing in need not wait for the next.
    first = authenticator.at(now - timedelta(seconds=authenticator.interval))
    codes = await post(http, "/v1/me/mfa/totp/confirm", {"code": first}, grace)
    asked = await post(http, "/v1/auth/login", {"email": address, "password": password})
    code = {"mfa_token": asked["mfa_token"], "code": authenticator.at(datetime.now(UTC))}
    grace = _bearer(await post(http, "/v1/auth/mfa", code))
    me = await get(http, "/v1/me", grace)
    key = await post(http, "/v1/me/api-keys", {"name": "demo", "scopes": SCOPES}, grace)
    return {
        "email": address,
        "password": password,
        "totp_secret": secret,
        "api_key": key["key"],
        "role": me["role"],
        "subject": letter.headers["Subject"],
        "backup_codes": len(codes["backup_codes"]),
        "signed_in_with": "password and code",
    }


async def free_address(http: httpx2.AsyncClient, organization_id: str, owner: dict[str, str]) -> str:
    """An address nobody here has yet: of a colleague whom an earlier release invited, the demo kept no key."""
    members = f"/v1/organizations/{organization_id}/members"
    name, _, domain = COLLEAGUE.partition("@")
    for number in range(1, 100):
        address = COLLEAGUE if number == 1 else f"{name}.{number}@{domain}"
        if not (await get(http, f"{members}?q={address}", owner))["items"]:
            return address
    raise AssertionError("a hundred colleagues are there, and none of them can be signed in")


async def sign_in(http: httpx2.AsyncClient, address: str, password: str) -> dict[str, str]:
    """The header of a new session."""
    return _bearer(await post(http, "/v1/auth/login", {"email": address, "password": password}))


async def show_people(
    http: httpx2.AsyncClient, organization_id: str, owner: dict[str, str]
) -> dict[str, Any]:
    """Who is there, and what the log of the organization says, as its owner reads it."""
    members = f"/v1/organizations/{organization_id}/members"
    log = await get(http, f"/v1/organizations/{organization_id}/audit-log?limit={SHOWN}", owner)
    return {"members": (await get(http, members, owner))["items"], "log": log["items"]}


def _bearer(answer: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer['access_token']}"}
