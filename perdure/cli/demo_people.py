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


async def show_people(
    http: httpx2.AsyncClient, mailbox: Mailbox, organization_id: str, address: str, password: str
) -> dict[str, Any]:
    """Invite a colleague unless she is there, and read the log of the organization as its owner."""
    owner = _bearer(await post(http, "/v1/auth/login", {"email": address, "password": password}))
    members = f"/v1/organizations/{organization_id}/members"
    found = (await get(http, f"{members}?q={COLLEAGUE}", owner))["items"]
    invited = None if found else await _invited(http, mailbox, organization_id, owner)
    log = await get(http, f"/v1/organizations/{organization_id}/audit-log?limit={SHOWN}", owner)
    return {"invited": invited, "members": (await get(http, members, owner))["items"], "log": log["items"]}


async def _invited(
    http: httpx2.AsyncClient, mailbox: Mailbox, organization_id: str, owner: dict[str, str]
) -> dict[str, Any]:
    """A manager: invited by mail, joined by its link, enrolled and signed in with the code of an authenticator."""
    base = f"/v1/organizations/{organization_id}"
    roles = (await get(http, f"{base}/roles", owner))["items"]
    role = next(role for role in roles if role["name"] == "manager")
    await post(http, f"{base}/invitations", {"email": COLLEAGUE, "role_id": role["id"]}, owner)
    letter = await mailbox.wait(COLLEAGUE, "", PATIENCE_SECONDS)
    password = secrets.token_urlsafe(12)
    newcomer = {"token": letter.token, "name": "Grace Lane", "password": password}
    grace = _bearer(await post(http, "/v1/invitations/register", newcomer))
    secret = (await post(http, "/v1/me/mfa/totp", {}, grace))["secret"]
    authenticator, now = pyotp.TOTP(secret), datetime.now(UTC)
    # A code counts once. The one just before still does, so that signing in need not wait for the next.
    first = authenticator.at(now - timedelta(seconds=authenticator.interval))
    codes = await post(http, "/v1/me/mfa/totp/confirm", {"code": first}, grace)
    asked = await post(http, "/v1/auth/login", {"email": COLLEAGUE, "password": password})
    code = {"mfa_token": asked["mfa_token"], "code": authenticator.at(datetime.now(UTC))}
    grace = _bearer(await post(http, "/v1/auth/mfa", code))
    me = await get(http, "/v1/me", grace)
    return {
        "email": COLLEAGUE,
        "password": password,
        "totp_secret": secret,
        "role": me["role"],
        "subject": letter.headers["Subject"],
        "backup_codes": len(codes["backup_codes"]),
        "signed_in_with": "password and code",
    }


def _bearer(answer: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer['access_token']}"}
