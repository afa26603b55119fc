"""POST /v1/auth/step-up: proving again who one is, for what is dangerous; and changing the password."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, Person
from api.authlog import in_words, personal, tell_in, tell_of_codes
from api.collaborators import Collaborators, Parts
from api.fields import Body
from api.identity import Code, Entrance, From, Password
from api.mailing import send
from api.passwords import check
from api.proof import WrongCode
from api.sessions import Device, SignIn
from api.stepup import CONFIRMED_FOR, require_confirmed
from db.activity import Activities
from db.factors import TrustedDevices
from db.identity import Sessions, Users
from db.logins import Identities, Login
from domain.errors import Forbidden, Invalid, Problem

router = APIRouter(prefix="/v1", tags=["identity"])


class ConfirmationRefused(Forbidden):
    """The password or code is wrong, or the code was used before; nothing was confirmed."""

    code = "confirmation_refused"


class CodeRequired(Forbidden):
    """Your account has a second factor: confirm with a code, the password alone is not enough."""

    code = "code_required"


class StepUp(Body):
    """One of the two: a code for whoever has a second factor, the password for everybody else."""

    password: Password | None = None
    code: Code | None = None


class Stepped(BaseModel):
    confirmed_at: datetime
    expires_at: datetime


class PasswordChange(Body):
    old_password: Password
    new_password: Password


@router.post("/auth/step-up", operation_id="identity_step_up", response_model=Stepped)
async def step_up(body: StepUp, caller: Person, parts: Parts, entrance: Entrance, device: From) -> Stepped:
    """Confirm that it is you: for ten minutes this login may do what is dangerous."""
    if (body.password is None) == (body.code is None):
        message = "Send either the password or a code."
        raise Invalid(problems=[Problem("#", message, "Leave one of the two out.")])
    now = parts.clock()

    async def confirm(tx: AsyncConnection) -> None:
        await Sessions(tx, caller.user_id).confirm(cast(UUID, caller.session_id), now)
        await Activities(tx).note(
            personal(caller, device, "session.confirmed", "sessions", caller.session_id)
        )

    if body.code is not None:
        await _by_code(caller, body.code, parts, entrance, confirm)
    else:
        if await entrance.factor.is_enabled(caller.access):
            raise CodeRequired
        if await proven_password(caller, cast(str, body.password), parts, entrance) is None:
            raise ConfirmationRefused
        async with parts.database.transaction(caller.access) as tx:
            await confirm(tx)
    return Stepped(confirmed_at=now, expires_at=now + CONFIRMED_FOR)


async def _by_code(caller: Caller, code: str, parts: Collaborators, entrance: SignIn, confirm: Any) -> None:
    try:
        proven = await entrance.factor.prove(caller.access, code, confirm)
    except WrongCode:
        raise ConfirmationRefused from None
    if proven.codes_left is not None:
        async with parts.database.transaction(caller.access) as tx:
            user = await Users(tx).get(caller.user_id)
        await tell_of_codes(parts, user["email"], proven)


@router.put("/me/password", status_code=204, operation_id="identity_change_password")
async def change_password(
    body: PasswordChange, caller: Person, parts: Parts, entrance: Entrance, device: From
) -> Response:
    """Change the password. Every other session ends, and no device is trusted any more.

    Whoever has a second factor has proven it within ten minutes: the old password alone replaces nothing.
    """
    if await entrance.factor.is_enabled(caller.access):
        await require_confirmed(caller, parts)
    found = await proven_password(caller, body.old_password, parts, entrance)
    if found is None:
        message = "The old password is wrong."
        raise Invalid(problems=[Problem("#/old_password", message, "Send the password you sign in with.")])
    await set_password(caller, found, body.new_password, parts, entrance, device)
    return Response(status_code=204)


async def proven_password(
    caller: Caller, password: str, parts: Collaborators, entrance: SignIn
) -> Login | None:
    """What is kept of the caller, if this is their password. Raises TooManyRequests: attempts are counted."""
    passage = await entrance.limits.code(caller.user_id, "password")
    async with parts.database.transaction(caller.access) as tx:
        user = await Users(tx).get(caller.user_id)
        found = await Identities(tx).login(user["email"])
    matches = await entrance.passwords.verify(password, None if found is None else found.password)
    if found is None or not matches:
        return None
    await passage.succeeded()
    return found


async def set_password(
    caller: Caller, found: Login, wanted: str, parts: Collaborators, entrance: SignIn, device: Device
) -> None:
    async with parts.database.transaction(caller.access) as tx:
        user = await Users(tx).get(caller.user_id)
    problems = check(wanted, email=user["email"], pointer="#/new_password")
    if not problems and await entrance.passwords.verify(wanted, found.password):
        message = "The new password is the old one."
        problems = [Problem("#/new_password", message, "Choose a different one.", "weak_password")]
    if problems:
        raise Invalid(problems=problems)
    hashed, now = await entrance.passwords.hash(wanted), parts.clock()
    async with parts.database.transaction(caller.access) as tx:
        if not await Identities(tx).change_password(caller.user_id, found.password, hashed, now):
            raise Invalid(
                problems=[Problem("#/old_password", "The password was changed meanwhile.", "Sign in again.")]
            )
        await Sessions(tx, caller.user_id).end_others(cast(UUID, caller.session_id), now)
        await TrustedDevices(tx, caller.user_id).forget_all()
        await Activities(tx).note(personal(caller, device, "password.changed", "users", caller.user_id))
        at = in_words(now)
        entry = await tell_in(parts, tx, caller.access, user["email"], "password-changed", at=at)
    await send(parts, entry)
