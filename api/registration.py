"""Opening an account: with a proven e-mail address, without one where that is allowed, or not at all.

`verified`: registering answers everybody the same after the same work; what was entered waits a day in
`registrations` until the link in the mail is used. The worker alone looks whether the address has an account.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from api.auth import NOBODY
from api.collaborators import Collaborators, Parts
from api.fields import Body, Email, Line
from api.identity import Entrance, From, Password
from api.mailing import in_platform, send
from api.passwords import check
from api.sessions import Device, SignIn, slug
from db.authtokens import Registrations
from db.logins import Identities
from db.tenants import PLATFORM
from domain.email import Mailbox
from domain.errors import Forbidden, Invalid, Problem
from domain.onetime import LIFETIMES, Purpose, derive, kept
from domain.processes.mails import ACCOUNT_MAIL

router = APIRouter(prefix="/v1/auth", tags=["identity"])

#: Mails that anybody can cause for an address count together, whichever of these ways they came.
MAILS = "account"


class SignUpClosed(Forbidden):
    """Nobody registers here by themselves; ask the owner of an organization to invite you."""

    code = "sign_up_closed"


class TokenRefused(Invalid):
    """This link is not valid any more: it was used, has expired, or is not complete. Ask for a new one."""

    code = "token_refused"


def refused() -> TokenRefused:
    """One answer for tokens that never were, are used, or have expired."""
    return TokenRefused(problems=[Problem("#/token", TokenRefused().message, None, TokenRefused.code)])


class Register(Body):
    email: Email
    password: Password
    name: Line
    organization_name: Line


class OneUse(Body):
    token: Annotated[str, Field(min_length=1, max_length=200, description="From the link in the mail.")]


class Address(Body):
    email: Email


class Sent(BaseModel):
    status: Literal["verification_sent"] = "verification_sent"


class NewUser(BaseModel):
    id: UUID
    email: str
    name: str


class NewOrganization(BaseModel):
    id: UUID
    name: str
    role: Literal["owner"] = "owner"


class Opened(BaseModel):
    user: NewUser
    organization: NewOrganization
    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Registration:
    email: str
    password: str
    name: str
    organization_name: str

    @property
    def names(self) -> tuple[str, str | None]:
        first, _, last = self.name.partition(" ")
        return first, last.strip() or None


class Registrar:
    """What registering does, for the JSON routes and the pages."""

    def __init__(self, parts: Collaborators, sign_in: SignIn) -> None:
        self._parts = parts
        self._sign_in = sign_in

    async def begin(self, wanted: Registration, device: Device) -> None:
        """A registration that waits for its mail. Raises Invalid, TooManyRequests, SignUpClosed."""
        if self._parts.security.sign_up == "closed":
            raise SignUpClosed
        _check(wanted)
        email = wanted.email.lower()
        await self._sign_in.limits.mail(MAILS, email, device.address)
        id, now = uuid4(), self._parts.clock()
        first, last = wanted.names
        token = derive(self._parts.security.token_secret, Purpose.VERIFY_EMAIL, id)
        row = {
            "id": str(id),
            "email": email,
            "password": await self._sign_in.passwords.hash(wanted.password),
            "first_name": first,
            "last_name": last,
            "organization_name": wanted.organization_name,
            "slug": slug(wanted.organization_name),
            "token_sha256": kept(token),
            "expires_at": (now + LIFETIMES[Purpose.VERIFY_EMAIL]).isoformat(),
        }
        async with in_platform(self._parts) as tx:
            await Registrations(tx).add(row)
            begun = await self._parts.processes.start(
                tx,
                ACCOUNT_MAIL,
                PLATFORM,
                input={"about": "registration", "id": str(id)},
                started_by=None,
            )
        await send(self._parts, begun.entry)

    async def again(self, email: str, device: Device) -> None:
        """The newest registration's mail once more, if there is one. Raises TooManyRequests."""
        await self._sign_in.limits.mail(MAILS, email.lower(), device.address)
        async with in_platform(self._parts) as tx:
            begun = await self._parts.processes.start(
                tx, ACCOUNT_MAIL, PLATFORM, input={"about": "resend", "email": email.lower()}, started_by=None
            )
        await send(self._parts, begun.entry)

    async def complete(self, token: str) -> tuple[NewUser, NewOrganization]:
        """User, organization and membership, once. Raises TokenRefused; AddressTaken if somebody was quicker."""
        user_id, organization_id = uuid4(), uuid4()
        async with self._parts.database.transaction(NOBODY) as tx:
            made = await Registrations(tx).complete(
                kept(token), user_id, organization_id, self._parts.clock()
            )
        if made is None:
            raise refused()
        user = NewUser(id=user_id, email=made["email"], name=made["name"])
        return user, NewOrganization(id=organization_id, name=made["organization_name"])

    async def open(self, wanted: Registration, device: Device) -> tuple[NewUser, NewOrganization]:
        """Without proof of the address. Raises EmailTaken, Invalid, TooManyRequests.

        Success signs in, so the answer cannot be the same for a known address. What is left is done: the text
        names no account, both ways cost the same hash, and refusals are rationed (five, then ever more slowly
        per network address), so that probing a list of addresses does not pay.
        """
        _check(wanted)
        passage = await self._sign_in.limits.registration(device.address)
        email = wanted.email.lower()
        user_id, organization_id = uuid4(), uuid4()
        first, last = wanted.names
        user = {
            "id": str(user_id),
            "username": email,
            "email": email,
            "password": await self._sign_in.passwords.hash(wanted.password),
            "first_name": first,
            "last_name": last,
        }
        organization = {
            "id": str(organization_id),
            "name": wanted.organization_name,
            "slug": slug(wanted.organization_name),
        }
        async with self._parts.database.transaction(NOBODY) as tx:
            await Identities(tx).register(user, organization)
        await passage.succeeded()
        return (
            NewUser(id=user_id, email=email, name=wanted.name),
            NewOrganization(id=organization_id, name=wanted.organization_name),
        )


@router.post(
    "/register",
    status_code=202,
    operation_id="identity_register",
    response_model=Sent,
    responses={201: {"model": Opened, "description": "Where addresses need no proof: signed in."}},
)
async def register(body: Register, parts: Parts, entrance: Entrance, device: From) -> JSONResponse:
    """Open an account with an organization of its own.

    `202` for every address: a mail says how to go on, also where there is an account already. Installations that
    ask for no proof answer `201` with the new session's tokens.
    """
    registrar = Registrar(parts, entrance)
    wanted = Registration(body.email, body.password, body.name, body.organization_name)
    if parts.security.sign_up == "open":
        return await _opened(entrance, device, *await registrar.open(wanted, device), confirmed=True)
    await registrar.begin(wanted, device)
    return JSONResponse(Sent().model_dump(), 202)


@router.post("/verify-email", status_code=201, operation_id="identity_verify_email", response_model=Opened)
async def verify_email(body: OneUse, parts: Parts, entrance: Entrance, device: From) -> JSONResponse:
    """Open the account that the mail's link was for, and sign in. Works once."""
    made = await Registrar(parts, entrance).complete(body.token)
    return await _opened(entrance, device, *made, confirmed=False)


@router.post(
    "/resend-verification",
    status_code=202,
    operation_id="identity_resend_verification",
    response_model=Sent,
)
async def resend(body: Address, parts: Parts, entrance: Entrance, device: From) -> Sent:
    """Send the link of a registration once more; the answer is the same where there is none."""
    await Registrar(parts, entrance).again(body.email, device)
    return Sent()


async def _opened(
    entrance: SignIn, device: Device, user: NewUser, organization: NewOrganization, *, confirmed: bool
) -> JSONResponse:
    tokens: dict[str, Any] = await entrance.open_tokens(user.id, device, confirmed=confirmed)
    return JSONResponse(
        {
            "user": user.model_dump(mode="json"),
            "organization": organization.model_dump(mode="json"),
            **tokens,
        },
        201,
    )


def _check(wanted: Registration) -> None:
    """Raises Invalid: an address no mail can reach, a password anybody guesses."""
    problems = check(wanted.password, email=wanted.email, pointer="#/password")
    if problems:
        raise Invalid(problems=problems)
    reachable(wanted.email)


def reachable(email: str) -> None:
    """Raises Invalid for an address that no mail of ours could be sent to."""
    try:
        Mailbox.parse(email)
    except ValueError as refusal:
        raise Invalid(problems=[Problem("#/email", f"The e-mail address {refusal}.")]) from None
