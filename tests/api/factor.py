"""What tests of the second factor share: an authenticator, and a person who has one."""

from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pyotp

from tests.api.conftest import PASSWORD, Account, World


@dataclass(frozen=True)
class Enrolled:
    """Somebody with a second factor, signed in."""

    world: World
    account: Account
    secret: str
    backup_codes: list[str]

    def code(self) -> str:
        """What their authenticator shows now."""
        return pyotp.TOTP(self.secret).at(self.world.clock())

    def next_code(self) -> str:
        """The code of the next half minute, once that has come."""
        self.world.clock.forward(seconds=30)
        return self.code()


async def enrol(world: World, account: Account) -> Enrolled:
    begun = await account.post("/v1/me/mfa/totp")
    assert begun.status_code == 200, begun.text
    secret = begun.json()["secret"]
    code = pyotp.TOTP(secret).at(world.clock())
    confirmed = await account.post("/v1/me/mfa/totp/confirm", json={"code": code})
    assert confirmed.status_code == 200, confirmed.text
    return Enrolled(world, account, secret, confirmed.json()["backup_codes"])


async def log_in(world: World, email: str, **more: Any) -> httpx2.Response:
    return await world.http.post("/v1/auth/login", json={"email": email, "password": PASSWORD, **more})


async def challenge(world: World, email: str) -> str:
    """The token that a code has to be sent along with."""
    answer = (await log_in(world, email)).json()
    assert answer["mfa_required"] is True
    return str(answer["mfa_token"])


async def answer(world: World, token: str, code: str, **more: Any) -> httpx2.Response:
    return await world.http.post("/v1/auth/mfa", json={"mfa_token": token, "code": code, **more})


def signed_in(account: Account, tokens: dict[str, Any]) -> Account:
    """The same person in the session of these tokens."""
    return replace(account, access_token=tokens["access_token"], refresh_token=tokens["refresh_token"])
