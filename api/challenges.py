"""Between the right password and the session: a code is asked for, unless the device is trusted."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import NOBODY
from api.collaborators import Collaborators
from api.proof import Proven, SecondFactor, WrongCode
from api.refusals import Refusals
from api.tokens import device_sha256, new_secret
from db.authtokens import AuthTokens, NewToken
from db.factors import TrustedDevices
from db.session import Access, Role
from domain.errors import Forbidden, Unauthenticated
from domain.onetime import LIFETIMES, Purpose, kept
from domain.secondfactor import TRUSTED


class ChallengeOver(Unauthenticated):
    """This sign-in was not finished in time, or with too many wrong codes; begin again with your password."""

    code = "challenge_over"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the code has to be sent along with."""

    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """What comes after the password: a challenge, or nothing more."""

    challenge: Challenge | None
    method: Literal["password", "trusted_device"] = "password"

    @property
    def is_confirmed(self) -> bool:
        """A trusted device spares the code at login, and is no proof for anything dangerous afterwards."""
        return self.method == "password"


@dataclass(frozen=True, slots=True)
class Trusted:
    secret: str = field(repr=False)
    until: datetime


class Challenges:
    def __init__(self, parts: Collaborators, factor: SecondFactor, refusals: Refusals) -> None:
        self._parts = parts
        self._factor = factor
        self._refusals = refusals

    async def after_password(self, user_id: UUID, device_secret: str | None) -> Step:
        """A challenge for who has a second factor and comes from no device they trust."""
        access = Access(Role.API, None, user_id)
        if not await self._factor.is_enabled(access):
            return Step(None)
        now = self._parts.clock()
        if device_secret:
            async with self._parts.database.transaction(access) as tx:
                if await TrustedDevices(tx, user_id).use(device_sha256(device_secret), now):
                    return Step(None, "trusted_device")
        secret, expires_at = new_secret(), now + LIFETIMES[Purpose.MFA_CHALLENGE]
        token = NewToken(uuid4(), Purpose.MFA_CHALLENGE, kept(secret), expires_at, user_id)
        async with self._parts.database.transaction(NOBODY) as tx:
            await AuthTokens(tx).issue(token)
        return Step(Challenge(secret, expires_at))

    async def answer(
        self, token: str, code: str, address: str, user_agent: str | None
    ) -> tuple[UUID, Proven]:
        """Who proved themselves, and how. Raises WrongCode, ChallengeOver, TooManyRequests.

        A challenge is used up together with the code, and worth nothing after five wrong ones.
        """
        sha256, now = kept(token), self._parts.clock()
        async with self._parts.database.transaction(NOBODY) as tx:
            found = await AuthTokens(tx).attempt(sha256, Purpose.MFA_CHALLENGE, now)
        if found is None:
            raise ChallengeOver

        async def use_up(tx: AsyncConnection) -> None:
            if await AuthTokens(tx).consume(sha256, Purpose.MFA_CHALLENGE, now) is None:
                raise ChallengeOver

        user_id = UUID(str(found["user_id"]))
        try:
            proven = await self._factor.prove(Access(Role.API, None, user_id), code, use_up)
        except Forbidden:  # closed since the password was accepted
            raise ChallengeOver from None
        except WrongCode:
            self._refusals.tell(user_id, address, user_agent, "code")
            raise
        return user_id, proven

    async def trust(self, user_id: UUID, address: str, user_agent: str | None, name: str | None) -> Trusted:
        """A secret for the device, which signs in without a code for thirty days."""
        secret, now = new_secret(), self._parts.clock()
        values = {
            "id": uuid4(),
            "device_id": device_sha256(secret),
            "device_name": name,
            "ip_address": address,
            "user_agent": user_agent,
            "created_at": now,
            "last_used": now,
            "expires_at": now + TRUSTED,
        }
        async with self._parts.database.transaction(Access(Role.API, None, user_id)) as tx:
            await TrustedDevices(tx, user_id).add(values)
        return Trusted(secret, now + TRUSTED)
