"""A telephone number proven by the code sent to it; the number counts once the code came back."""

import hmac
from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

import phonenumbers
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.authlog import personal
from api.collaborators import Parts
from api.fields import Body
from api.idempotency import Answer, Idempotent
from api.identity import Entrance, From
from api.mailing import at_home, mail, send
from api.stepup import Confirmed
from db.activity import Activities
from db.authtokens import AuthTokens, NewToken
from db.identity import Users
from db.outbox import OutboxEntry
from db.tenants import PLATFORM
from domain.errors import Conflict, Invalid, Problem
from domain.onetime import LIFETIMES, Purpose, code, derive, kept
from domain.processes.mails import PHONE_CODE

router = APIRouter(prefix="/v1/me/phone", tags=["identity"])


class NoMessages(Conflict):
    """This installation sends no short messages; its operator sets PERDURE_SMS."""

    code = "sms_unavailable"


class CodeRefused(Invalid):
    """The code is wrong, was used, has expired, or was tried too often; ask for a new one."""

    code = "code_refused"


class Number(Body):
    phone: Annotated[str, Field(min_length=3, max_length=40, description="Best as +49 30 123456.")]
    country: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Z]{2}$", description="ISO 3166 code, for a number without its + and country code."
        ),
    ] = None


class Code(Body):
    verification_id: UUID
    code: Annotated[str, Field(pattern=r"^[0-9]{6}$")]


class CodeSent(BaseModel):
    verification_id: UUID
    phone: str
    expires_at: datetime


class Confirmation(BaseModel):
    phone: str
    verified: bool = True


def in_e164(text: str, country: str | None) -> str:
    """`+4930123456`. Raises Invalid for what no telephone can have."""
    try:
        number = phonenumbers.parse(text, country)
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    except phonenumbers.NumberParseException:
        pass
    message = "This is not a telephone number that exists in its country."
    mend = "Begin with + and the country code, or send `country` along."
    raise Invalid(problems=[Problem("#/phone", message, mend, "invalid_phone")])


@router.post("", status_code=202, operation_id="identity_change_phone", response_model=CodeSent)
async def change_phone(
    *, body: Number, caller: Confirmed, parts: Parts, entrance: Entrance, device: From, once: Idempotent
) -> Response:
    """Send a six-digit code to this number; it becomes yours with POST /v1/me/phone/verify."""
    number = in_e164(body.phone, body.country)
    if not parts.has_sms:
        raise NoMessages
    await entrance.limits.message(caller.user_id, number)
    id, expires_at = uuid4(), parts.clock() + LIFETIMES[Purpose.VERIFY_PHONE]
    token = derive(parts.security.token_secret, Purpose.VERIFY_PHONE, id)
    new = NewToken(id, Purpose.VERIFY_PHONE, kept(token), expires_at, user_id=caller.user_id, target=number)

    async def work(tx: AsyncConnection) -> Answer[OutboxEntry]:
        await AuthTokens(tx).issue(new)
        await Activities(tx).note(personal(caller, device, "phone.change_asked", "users", caller.user_id))
        async with at_home(tx, caller.access):
            begun = await parts.processes.start(
                tx, PHONE_CODE, PLATFORM, input={"id": str(id)}, started_by=None
            )
        shown = CodeSent(verification_id=id, phone=number, expires_at=expires_at)
        return Answer(202, shown.model_dump(mode="json"), carry=begun.entry)

    answer = await once.run(caller, work)
    await send(parts, answer.carry)
    return answer.response()


@router.post("/verify", operation_id="identity_verify_phone", response_model=Confirmation)
async def verify_phone(
    body: Code, caller: Confirmed, parts: Parts, entrance: Entrance, device: From
) -> Confirmation:
    """Prove that the number is yours with the code that was sent there. Five tries per code."""
    passage = await entrance.limits.code(caller.user_id, "phone")
    now = parts.clock()
    token = derive(parts.security.token_secret, Purpose.VERIFY_PHONE, body.verification_id)
    async with parts.database.transaction(caller.access) as tx:  # committed whatever the code is
        tokens = AuthTokens(tx)
        found = await tokens.find(kept(token), Purpose.VERIFY_PHONE, now)
        tried = None
        if found is not None and found["user_id"] == caller.user_id:
            tried = await tokens.attempt(kept(token), Purpose.VERIFY_PHONE, now)
    if tried is None or not hmac.compare_digest(code(token), body.code):
        raise _refused()
    country = f"+{phonenumbers.parse(tried['target']).country_code}"
    async with parts.database.transaction(caller.access) as tx:
        number = await AuthTokens(tx).confirm_phone(kept(token), caller.user_id, country, now)
        if number is None:
            raise _refused()
        await Activities(tx).note(personal(caller, device, "phone.changed", "users", caller.user_id))
        person = await Users(tx).get(caller.user_id)
        async with at_home(tx, caller.access):
            values = {"phone": f"…{number[-3:]}"}
            entry = await mail(parts, tx, "phone-changed", to=person["email"], values=values)
    await passage.succeeded()
    await send(parts, entry)
    return Confirmation(phone=number)


def _refused() -> CodeRefused:
    return CodeRefused(problems=[Problem("#/code", CodeRefused().message, None, CodeRefused.code)])
