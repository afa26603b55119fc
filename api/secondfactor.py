"""One's own second factor: enrolling an authenticator, backup codes, and doing without again."""

from datetime import datetime
from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, Person
from api.authlog import in_words, personal, tell_in
from api.collaborators import Collaborators, Parts
from api.fields import Body
from api.identity import Entrance, From
from api.mailing import send
from api.proof import WrongCode
from api.sessions import Device, SignIn
from api.stepup import Confirmed
from db.activity import Activities
from db.factors import Factors, TrustedDevices
from db.identity import Sessions, Users
from db.logins import Identities
from db.outbox import OutboxEntry
from domain.errors import Conflict, Invalid, Problem

router = APIRouter(prefix="/v1/me/mfa", tags=["identity"])


class DemandedByPolicy(Conflict):
    """An organization you belong to demands a second factor: enrol another authenticator instead of none."""

    code = "mfa_demanded"


class NotEnrolled(Conflict):
    """You have no second factor; set one up at /v1/me/mfa/totp first."""

    code = "mfa_not_enrolled"


class SecondFactorState(BaseModel):
    enabled: bool
    enrolled_at: datetime | None
    last_verified_at: datetime | None
    backup_codes_left: int
    #: Whether an organization you belong to demands it.
    demanded: bool


class Enrolment(BaseModel):
    """Scan the code or type the secret; then send a code to /v1/me/mfa/totp/confirm. Nothing here is shown again."""

    secret: str
    otpauth_uri: str
    qr_svg: str
    expires_at: datetime


class FirstCode(Body):
    code: Annotated[str, Field(min_length=1, max_length=64, examples=["492039"])]
    #: Sessions opened with the password alone end, unless they are to go on.
    end_other_sessions: bool = True


class BackupCodes(BaseModel):
    """Each signs in once, should the authenticator be lost. Shown in this answer only."""

    backup_codes: list[str]


@router.get("", operation_id="mfa_get", response_model=SecondFactorState)
async def get_second_factor(caller: Person, parts: Parts) -> SecondFactorState:
    """Whether you have a second factor, and how many backup codes are left."""
    return await state_of(caller, parts)


async def state_of(caller: Caller, parts: Collaborators) -> SecondFactorState:
    async with parts.database.transaction(caller.access) as tx:
        factors = Factors(tx, caller.user_id)
        row, left = await factors.get(), await factors.codes_left()
        demanded = await Identities(tx).mfa_required(caller.user_id)
    return SecondFactorState(
        enabled=row is not None and row["mfa_enabled"],
        enrolled_at=None if row is None else row["enrolled_at"],
        last_verified_at=None if row is None else row["last_verified"],
        backup_codes_left=left,
        demanded=demanded,
    )


@router.post("/totp", operation_id="mfa_begin", response_model=Enrolment)
async def begin(caller: Confirmed, parts: Parts, entrance: Entrance) -> Enrolment:
    """Begin to enrol an authenticator; one in use stays so until the new one has proven itself."""
    async with parts.database.transaction(caller.access) as tx:
        email = (await Users(tx).get(caller.user_id))["email"]
    begun = await entrance.factor.begin(caller.access, email)
    return Enrolment(secret=begun.secret, otpauth_uri=begun.uri, qr_svg=begun.qr_svg, expires_at=begun.until)


@router.post("/totp/confirm", operation_id="mfa_enable", response_model=BackupCodes)
async def enable(
    body: FirstCode, caller: Confirmed, parts: Parts, entrance: Entrance, device: From
) -> BackupCodes:
    """Prove the authenticator with its first code: from now on signing in asks for one. Answers backup codes."""
    try:
        codes = await enabled_by(
            caller, body.code, parts, entrance, device, end_others=body.end_other_sessions
        )
    except WrongCode:
        message = "This is not the code your authenticator shows now."
        mend = "Check its clock, and send the six digits it shows next."
        raise Invalid(problems=[Problem("#/code", message, mend, "wrong_code")]) from None
    return BackupCodes(backup_codes=codes)


async def enabled_by(
    caller: Caller,
    code: str,
    parts: Collaborators,
    entrance: SignIn,
    device: Device,
    *,
    end_others: bool = True,
) -> list[str]:
    """The backup codes, after the first code put the authenticator in use. Raises WrongCode, NothingPending."""
    now = parts.clock()
    entries: list[OutboxEntry | None] = []

    async def also(tx: AsyncConnection) -> None:
        sessions, mine = Sessions(tx, caller.user_id), cast(UUID, caller.session_id)
        await sessions.confirm(mine, now)
        if end_others:
            await sessions.end_others(mine, now)
        # Whoever let a device in did so with the authenticator before this one.
        await TrustedDevices(tx, caller.user_id).forget_all()
        await Activities(tx).note(personal(caller, device, "mfa.enrolled", "users", caller.user_id))
        entries.append(await _told(parts, tx, caller, "mfa-enrolled", now))

    codes = await entrance.factor.enable(caller.access, code, also)
    await send(parts, *entries)
    return codes


@router.delete("", status_code=204, operation_id="mfa_disable")
async def disable(caller: Confirmed, parts: Parts, device: From) -> Response:
    """Do without a second factor again; backup codes and trusted devices go with it."""
    now = parts.clock()
    async with parts.database.transaction(caller.access) as tx:
        if await Identities(tx).mfa_required(caller.user_id):
            raise DemandedByPolicy
        if not await Factors(tx, caller.user_id).disable():
            raise NotEnrolled
        await TrustedDevices(tx, caller.user_id).forget_all()
        await Activities(tx).note(personal(caller, device, "mfa.removed", "users", caller.user_id))
        entry = await _told(parts, tx, caller, "mfa-removed", now)
    await send(parts, entry)
    return Response(status_code=204)


@router.post("/backup-codes", operation_id="mfa_renew_backup_codes", response_model=BackupCodes)
async def renew_backup_codes(
    caller: Confirmed, parts: Parts, entrance: Entrance, device: From
) -> BackupCodes:
    """Ten new backup codes; every older one stops working."""
    if not await entrance.factor.is_enabled(caller.access):
        raise NotEnrolled

    async def also(tx: AsyncConnection) -> None:
        await Activities(tx).note(personal(caller, device, "backup_codes.renewed", "users", caller.user_id))

    return BackupCodes(backup_codes=await entrance.factor.renew_codes(caller.access, also))


async def _told(
    parts: Collaborators, tx: AsyncConnection, caller: Caller, template: str, now: datetime
) -> OutboxEntry | None:
    email = (await Users(tx).get(caller.user_id))["email"]
    return await tell_in(parts, tx, caller.access, email, template, at=in_words(now))
