"""The second factor itself: an authenticator enrolled, a code proven, backup codes made."""

import io
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

import pyotp
import segno
from pyotp.exceptions import OTPVerificationError
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.collaborators import Collaborators
from api.limits import Limits
from api.passwords import Passwords
from db.factors import Factors
from db.sealed import from_text, place, to_text
from db.session import Access
from db.tenants import PLATFORM
from domain import secondfactor
from domain.errors import Conflict, Unauthenticated
from domain.secondfactor import BackupCode

ISSUER = "Perdure"
#: One step of 30 seconds to either side, for clocks that differ and people who type slowly (ASVS 6.5.5 knowingly).
WINDOW = 1
#: bcrypt's cost for 60 random bits behind a pepper; ten codes are hashed at once.
CODE_COST = 10

Also = Callable[[AsyncConnection], Awaitable[None]]


class WrongCode(Unauthenticated):
    """This code is wrong, was used before, or its time is over; wait for the next one your authenticator shows."""

    code = "wrong_code"


class NothingPending(Conflict):
    """No authenticator waits for its first code: begin at /v1/me/mfa/totp, and send the code within 15 minutes."""

    code = "nothing_pending"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What is shown once to let an authenticator in."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)
    qr_svg: str = field(repr=False)
    until: datetime


@dataclass(frozen=True, slots=True)
class Proven:
    """By what, and how many backup codes are left when one was used up."""

    method: Literal["totp", "backup_code"]
    codes_left: int | None = None


class SecondFactor:
    """One per application, for it hashes on threads of its own. `access` always names the person."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts
        self._limits = Limits(parts)
        self._hashes = Passwords(parts.security.pepper, min(CODE_COST, parts.security.password_cost))

    def close(self) -> None:
        self._hashes.close()

    async def begin(self, access: Access, email: str) -> Enrolment:
        """A new secret, which counts only once a code has proven it; one in use stays in use until then."""
        async with self._parts.database.transaction(access) as tx:
            id = await Factors(tx, _person(access)).row_id()
        secret = pyotp.random_base32()
        until = self._parts.clock() + secondfactor.ENROLMENT
        sealed = await self._sealed(secret, "pending_secret", id)
        async with self._parts.database.transaction(access) as tx:
            await Factors(tx, _person(access)).begin(sealed, until)
        uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)
        return Enrolment(secret, uri, _qr(uri), until)

    async def enable(self, access: Access, code: str, also: Also) -> list[str]:
        """Puts the pending authenticator in use; the backup codes made for it. Raises WrongCode, NothingPending."""
        now, user_id = self._parts.clock(), _person(access)
        row = await self._row(access)
        if row is None or row["pending_secret"] is None or row["pending_until"] <= now:
            raise NothingPending
        passage = await self._limits.code(user_id, "enrol")
        secret = await self._opened(row, "pending_secret")
        timecode = self._timecode(secret, code, now)
        if timecode is None:
            raise WrongCode
        sealed = await self._sealed(secret, "totp_secret", row["id"])
        codes, kept = await self._new_codes()
        async with self._parts.database.transaction(access) as tx:
            factors = Factors(tx, user_id)
            if not await factors.enable(row["pending_secret"], sealed, timecode, now):
                raise NothingPending
            await factors.replace_codes(kept)
            await also(tx)
        await passage.succeeded()
        return codes

    async def renew_codes(self, access: Access, also: Also) -> list[str]:
        """Ten new backup codes in the place of all others."""
        codes, kept = await self._new_codes()
        async with self._parts.database.transaction(access) as tx:
            await Factors(tx, _person(access)).replace_codes(kept)
            await also(tx)
        return codes

    async def is_enabled(self, access: Access) -> bool:
        row = await self._row(access)
        return row is not None and bool(row["mfa_enabled"])

    async def prove(self, access: Access, code: str, also: Also) -> Proven:
        """Uses up a code of the authenticator or a backup code; `also` happens in the same transaction.

        Raises WrongCode, TooManyRequests: attempts are counted per person before it is known how they end.
        """
        now, user_id = self._parts.clock(), _person(access)
        passage = await self._limits.code(user_id, "mfa")
        row = await self._row(access)
        if row is None or not row["mfa_enabled"]:
            raise WrongCode
        if secondfactor.digits(code) is not None:
            proven = await self._by_totp(access, row, code, now, also)
        else:
            proven = await self._by_backup_code(access, code, now, also)
        await passage.succeeded()
        return proven

    async def _by_totp(self, access: Access, row: RowMapping, code: str, now: datetime, also: Also) -> Proven:
        timecode = self._timecode(await self._opened(row, "totp_secret"), code, now)
        if timecode is None:
            raise WrongCode
        async with self._parts.database.transaction(access) as tx:
            if not await Factors(tx, _person(access)).use_timecode(row["totp_secret"], timecode, now):
                raise WrongCode
            await also(tx)
        return Proven("totp")

    async def _by_backup_code(self, access: Access, text: str, now: datetime, also: Also) -> Proven:
        code, found = BackupCode.parse(text), None
        if code is not None:
            async with self._parts.database.transaction(access) as tx:
                found = await Factors(tx, _person(access)).find_code(code.selector)
        secret = "" if code is None else code.secret
        matches = await self._hashes.verify(secret, None if found is None else found["secret_hash"])
        if found is None or not matches:
            raise WrongCode
        async with self._parts.database.transaction(access) as tx:
            factors = Factors(tx, _person(access))
            if not await factors.use_code(found["id"], now):
                raise WrongCode
            await also(tx)
            return Proven("backup_code", await factors.codes_left())

    def _timecode(self, secret: str, code: str, now: datetime) -> int | None:
        """The step whose code this is; None for any other text."""
        digits = secondfactor.digits(code)
        try:
            return pyotp.TOTP(secret).verify_and_get_timecode(digits or "", for_time=now, valid_window=WINDOW)
        except OTPVerificationError:
            return None

    async def _row(self, access: Access) -> RowMapping | None:
        async with self._parts.database.transaction(access) as tx:
            return await Factors(tx, _person(access)).get()

    async def _new_codes(self) -> tuple[list[str], list[dict[str, str]]]:
        """What is shown, and what is kept of it."""
        made: dict[str, BackupCode] = {}
        while len(made) < secondfactor.CODES:
            code = BackupCode.of("".join(map(_letter, range(secondfactor.LETTERS))))
            made[code.selector] = code
        kept = [
            {"selector": code.selector, "secret_hash": await self._hashes.hash(code.secret)}
            for code in made.values()
        ]
        return [str(code) for code in made.values()], kept

    async def _sealed(self, secret: str, column: str, id: UUID) -> str:
        return to_text(await self._parts.keys.seal(PLATFORM, secret.encode(), place("user_mfa", column, id)))

    async def _opened(self, row: RowMapping, column: str) -> str:
        where = place("user_mfa", column, row["id"])
        return (await self._parts.keys.open(PLATFORM, from_text(row[column]), where)).decode()


def _letter(_: int) -> str:
    return secrets.choice(secondfactor.ALPHABET)


def _qr(uri: str) -> str:
    """Black on white whatever the page's colours are: cameras want it so."""
    drawn = io.BytesIO()
    segno.make(uri, error="m", micro=False).save(
        drawn, kind="svg", scale=5, border=4, dark="#000", light="#fff", xmldecl=False, svgns=True,
        title="QR code for your authenticator",
    )  # fmt: skip
    return drawn.getvalue().decode()


def _person(access: Access) -> UUID:
    assert access.user_id is not None
    return access.user_id
