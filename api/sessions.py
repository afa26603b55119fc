"""Opening, renewing and ending sessions: shared by the JSON routes and the pages."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from secrets import token_hex
from uuid import UUID, uuid4

from api.auth import NOBODY
from api.challenges import Challenges
from api.collaborators import Collaborators
from api.limits import Limits
from api.passwords import Passwords
from api.proof import SecondFactor
from api.refusals import Refusals
from api.tokens import (
    ACCESS_LIFETIME,
    REFRESH_GRACE,
    REFRESH_LIFETIME,
    SESSION_LIFETIME,
    AccessClaims,
    AccessTokens,
    cookie_sha256,
    new_secret,
    next_refresh_token,
    refresh_sha256,
)
from db.logins import Identities, Login, NewSession
from domain.errors import Unauthenticated

#: One text for all reasons.
WRONG = "The e-mail address or the password is wrong."


@dataclass(frozen=True, slots=True)
class Device:
    """Where a login comes from, as far as the connection itself tells."""

    address: str
    user_agent: str | None


class SignIn:
    """Proving who one is; one per application, for it holds the brakes and the hashing threads."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts
        self.passwords = Passwords(parts.security.pepper, parts.security.password_cost)
        self.limits = Limits(parts)
        self.factor = SecondFactor(parts)
        self.refusals = Refusals(parts)
        self.challenges = Challenges(parts, self.factor, self.refusals)
        self._tokens = AccessTokens(parts.security.token_secret, parts.security.public_url)

    def close(self) -> None:
        """Ends the hashing threads."""
        self.passwords.close()
        self.factor.close()

    async def login(self, email: str, password: str, device: Device) -> Login:
        """The user of these credentials. Raises Unauthenticated, one text for all reasons, in equal time."""
        email = email.lower()
        passage = await self.limits.login(email, device.address)
        async with self._parts.database.transaction(NOBODY) as tx:
            found = await Identities(tx).login(email)
        matches = await self.passwords.verify(password, found.password if found is not None else None)
        if found is None or not matches or not found.is_active:
            if found is not None:
                self.refusals.tell(found.user_id, device.address, device.user_agent, "password")
            raise Unauthenticated(WRONG)
        await passage.succeeded()
        if self.passwords.outdated(found.password):
            renewed = await self.passwords.hash(password)
            async with self._parts.database.transaction(NOBODY) as tx:
                is_renewed = await Identities(tx).renew_password(found.user_id, found.password, renewed)
            # Somebody was quicker: with the same password, or with another one.
            return (
                replace(found, password=renewed) if is_renewed else await self.login(email, password, device)
            )
        return found

    async def open_tokens(
        self, user_id: UUID, device: Device, *, confirmed: bool = True, by: Login | None = None
    ) -> dict[str, object]:
        """A new session for a program: access and refresh token. `confirmed` unless a device was just trusted.

        With `by`, raises Unauthenticated when the password has been replaced since that login.
        """
        secret, session_id = new_secret(), uuid4()
        await self._open(session_id, user_id, refresh_sha256(secret), device, REFRESH_LIFETIME, confirmed, by)
        return self._issued(user_id, session_id, secret, self._parts.clock())

    async def open_cookie(
        self, user_id: UUID, device: Device, *, confirmed: bool = True, by: Login | None = None
    ) -> str:
        """A new session for a browser: the value of its cookie. `confirmed` and `by` as for tokens."""
        secret = new_secret()
        await self._open(uuid4(), user_id, cookie_sha256(secret), device, SESSION_LIFETIME, confirmed, by)
        return secret

    async def refresh(self, refresh_token: str, device: Device) -> dict[str, object]:
        """Trades a refresh token for a new pair; one used twice was stolen, so its family ends.

        A client that never got the answer may ask again within seconds: it gets the same refresh token, as long
        as nobody used that. So there is one newest token at any time, and a copied one is still found out.
        """
        now, session_id = self._parts.clock(), uuid4()
        session = NewSession(
            id=session_id,
            refresh_sha256=refresh_sha256(self._next(refresh_token, session_id)),
            expires_at=now + REFRESH_LIFETIME,
            user_agent=device.user_agent,
            ip_address=device.address,
        )
        async with self._parts.database.transaction(NOBODY) as tx:
            renewal = await Identities(tx).renew_session(
                refresh_sha256(refresh_token), session, now, REFRESH_GRACE
            )
        # Outside the transaction: the revocation of a reused family must be committed.
        if renewal.session_id is None or renewal.user_id is None:
            raise Unauthenticated("The refresh token is not valid any more; sign in again.")
        token = self._next(refresh_token, renewal.session_id)
        return self._issued(renewal.user_id, renewal.session_id, token, now)

    def _next(self, refresh_token: str, session_id: UUID) -> str:
        return next_refresh_token(self._parts.security.token_secret, refresh_token, session_id)

    async def end(self, kept_sha256: str) -> None:
        """Ends the session whose refresh token or cookie is kept under this hash, with its whole family."""
        async with self._parts.database.transaction(NOBODY) as tx:
            identities = Identities(tx)
            found = await identities.find_session(kept_sha256)
            if found is not None:
                await identities.revoke_family(found["family_id"], self._parts.clock())

    async def _open(
        self,
        session_id: UUID,
        user_id: UUID,
        kept_sha256: str,
        device: Device,
        lifetime: timedelta,
        confirmed: bool,
        by: Login | None,
    ) -> None:
        now = self._parts.clock()
        session = NewSession(
            id=session_id,
            user_id=user_id,
            family_id=session_id,
            refresh_sha256=kept_sha256,
            expires_at=now + lifetime,
            ends_at=now + SESSION_LIFETIME,
            confirmed_at=now if confirmed else None,
            last_seen_at=now,
            user_agent=device.user_agent,
            ip_address=device.address,
        )
        async with self._parts.database.transaction(NOBODY) as tx:
            identities = Identities(tx)
            # A password replaced since it was matched ends sessions that are there; this one would have followed.
            if by is not None and not await identities.keeps_password(user_id, by.password):
                raise Unauthenticated(WRONG)
            await identities.open_session(session)

    def _issued(
        self, user_id: UUID, session_id: UUID, refresh_token: str, now: datetime
    ) -> dict[str, object]:
        return {
            "access_token": self._tokens.issue(AccessClaims(user_id, session_id), now),
            "token_type": "Bearer",
            "expires_in": int(ACCESS_LIFETIME.total_seconds()),
            "refresh_token": refresh_token,
        }


def slug(name: str) -> str:
    """A readable, unguessable handle: two organizations of one name do not learn of each other."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{words or 'organization'}-{token_hex(4)}"
