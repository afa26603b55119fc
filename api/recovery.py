"""What a person proves through the mail: that a forgotten password may be replaced, that an address is theirs."""

from typing import Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import NOBODY
from api.authlog import in_words, note_outside, personal
from api.collaborators import Collaborators, Parts
from api.idempotency import Answer, Idempotent
from api.identity import Entrance, From, Password
from api.mailing import at_home, in_platform, mail, send
from api.passwords import check
from api.registration import MAILS, Address, OneUse, Sent, reachable, refused
from api.sessions import Device, SignIn
from api.stepup import Confirmed
from db.activity import Activities
from db.authtokens import AuthTokens, NewToken
from db.factors import TrustedDevices
from db.outbox import OutboxEntry
from db.session import Access, Role, enter
from db.tenants import PLATFORM
from domain.errors import Invalid
from domain.onetime import LIFETIMES, Purpose, derive, kept
from domain.processes.mails import ACCOUNT_MAIL

router = APIRouter(prefix="/v1", tags=["identity"])


class NewPassword(OneUse):
    password: Password


class SentIfKnown(BaseModel):
    status: Literal["sent_if_known"] = "sent_if_known"


class PasswordChanged(BaseModel):
    status: Literal["password_changed"] = "password_changed"


class EmailChanged(BaseModel):
    status: Literal["email_changed"] = "email_changed"
    email: str


class Recovery:
    """What these routes do, for the pages too."""

    def __init__(self, parts: Collaborators, sign_in: SignIn) -> None:
        self._parts = parts
        self._sign_in = sign_in

    async def forgotten(self, email: str, device: Device) -> None:
        """The same rows and the same process for every address; who it belongs to is the worker's question.

        Raises TooManyRequests, which counts what is asked, not what is there.
        """
        parts, email = self._parts, email.lower()
        await self._sign_in.limits.mail(MAILS, email, device.address)
        async with in_platform(parts) as tx:
            entry = await begin(parts, tx, Purpose.RESET_PASSWORD, "reset", target=email)
        await send(parts, entry)

    async def reset(self, token: str, password: str, device: Device) -> None:
        """Replaces the password and ends what was begun with the old one: sessions with their access tokens,
        trusted devices, other tokens. Signs nobody in, so a second factor is asked for as ever. API keys stay.

        Raises TokenRefused, and Invalid for a weak password, which leaves the token good.
        """
        parts, now, sha256 = self._parts, self._parts.clock(), kept(token)
        async with parts.database.transaction(NOBODY) as tx:
            found = await AuthTokens(tx).find(sha256, Purpose.RESET_PASSWORD, now)
        if found is None:
            raise refused()
        problems = check(password, email=found["email"], pointer="#/password")
        if problems:
            raise Invalid(problems=problems)
        hashed = await self._sign_in.passwords.hash(password)
        async with parts.database.transaction(NOBODY) as tx:
            done = await AuthTokens(tx).reset_password(sha256, hashed, now)
            if done is None:  # used or expired while we hashed
                raise refused()
            await enter(tx, Access(Role.API, None, done["user_id"]))
            await TrustedDevices(tx, done["user_id"]).forget_all()
            async with at_home(tx, NOBODY):
                values = {"at": in_words(now)}
                entry = await mail(parts, tx, "password-changed", to=done["email"], values=values)
        await send(parts, entry)
        await self._sign_in.limits.welcome(done["email"], device.address)
        await note_outside(parts, done["user_id"], done["default_organization_id"], device, "password.reset")

    async def confirm_email(self, token: str, device: Device) -> str:
        """Moves the account to the address the link was sent to; its old one is told. Answers the new address.

        Raises TokenRefused, and AddressTaken when the address got another account meanwhile.
        """
        parts, now = self._parts, self._parts.clock()
        entry: OutboxEntry | None = None
        async with parts.database.transaction(NOBODY) as tx:
            moved = await AuthTokens(tx).change_email(kept(token), now)
            if moved is None:
                raise refused()
            old, new = moved["old_email"], moved["new_email"]
            if old.lower() != new.lower():
                async with at_home(tx, NOBODY):
                    entry = await mail(parts, tx, "e-mail-changed", to=old, values={"new_email": new})
        await send(parts, entry)
        await note_outside(parts, moved["user_id"], moved["default_organization_id"], device, "email.changed")
        return str(new)


async def begin(
    parts: Collaborators,
    tx: AsyncConnection,
    purpose: Purpose,
    about: str,
    *,
    target: str,
    user_id: UUID | None = None,
) -> OutboxEntry | None:
    """A token and the process that mails it; the transaction acts in the platform's organization."""
    id, now = uuid4(), parts.clock()
    token = derive(parts.security.token_secret, purpose, id)
    await AuthTokens(tx).issue(
        NewToken(id, purpose, kept(token), now + LIFETIMES[purpose], user_id=user_id, target=target)
    )
    begun = await parts.processes.start(
        tx, ACCOUNT_MAIL, PLATFORM, input={"about": about, "id": str(id)}, started_by=None
    )
    return begun.entry


@router.post(
    "/auth/forgot-password",
    status_code=202,
    operation_id="identity_forgot_password",
    response_model=SentIfKnown,
)
async def forgot_password(body: Address, parts: Parts, entrance: Entrance, device: From) -> SentIfKnown:
    """Mail a link to choose a new password; the answer is the same for every address."""
    await Recovery(parts, entrance).forgotten(body.email, device)
    return SentIfKnown()


@router.post("/auth/reset-password", operation_id="identity_reset_password", response_model=PasswordChanged)
async def reset_password(
    body: NewPassword, parts: Parts, entrance: Entrance, device: From
) -> PasswordChanged:
    """Choose a new password with the link of the mail, once. Every session ends; sign in with the new one."""
    await Recovery(parts, entrance).reset(body.token, body.password, device)
    return PasswordChanged()


@router.post("/auth/confirm-email", operation_id="identity_confirm_email", response_model=EmailChanged)
async def confirm_email(body: OneUse, parts: Parts, entrance: Entrance, device: From) -> EmailChanged:
    """Use the new e-mail address that the mail's link was sent to, once."""
    return EmailChanged(email=await Recovery(parts, entrance).confirm_email(body.token, device))


@router.post("/me/email", status_code=202, operation_id="identity_change_email", response_model=Sent)
async def change_email(
    *,
    body: Address,
    caller: Confirmed,
    parts: Parts,
    entrance: Entrance,
    device: From,
    once: Idempotent,
) -> Response:
    """Ask to use another e-mail address; it counts once the link mailed there is used.

    The address of now is told. With the address of now, this proves it.
    """
    reachable(body.email)
    await entrance.limits.mail(MAILS, body.email, device.address)

    async def work(tx: AsyncConnection) -> Answer[OutboxEntry]:
        await Activities(tx).note(personal(caller, device, "email.change_asked", "users", caller.user_id))
        async with at_home(tx, caller.access):
            entry = await begin(
                parts,
                tx,
                Purpose.CHANGE_EMAIL,
                "email_change",
                target=body.email.lower(),
                user_id=caller.user_id,
            )
        return Answer(202, Sent().model_dump(), carry=entry)

    answer = await once.run(caller, work)
    await send(parts, answer.carry)
    return answer.response()
