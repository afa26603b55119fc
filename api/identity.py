"""Signing in, with a second factor where there is one; refreshing, signing out, and where one is signed in."""

from datetime import datetime
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from api.auth import Person
from api.authlog import note_login, note_outside, personal
from api.collaborators import Parts
from api.fields import Body, Line
from api.pagination import Paging
from api.sessions import Device, SignIn
from api.tokens import refresh_sha256
from db.activity import Activities
from db.identity import Sessions
from db.logins import Identities

router = APIRouter(prefix="/v1", tags=["identity"])

Password = Annotated[str, Field(min_length=1, max_length=1000, json_schema_extra={"format": "password"})]
Code = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        examples=["492039"],
        description="Six digits of the authenticator, or a backup code.",
    ),
]
Secret = Annotated[str, Field(max_length=200)]


async def sign_in(request: Request) -> SignIn:
    return cast(SignIn, request.app.state.sign_in)


async def device(request: Request) -> Device:
    agent = request.headers.get("user-agent")
    return Device(request.client.host if request.client else "unknown", agent[:300] if agent else None)


Entrance = Annotated[SignIn, Depends(sign_in)]
From = Annotated[Device, Depends(device)]


class Credentials(Body):
    email: Annotated[str, Field(max_length=254)]
    password: Password
    #: Of a device that was trusted before.
    device_token: Secret | None = None


class SecondStep(Body):
    mfa_token: Secret
    code: Code
    trust_device: bool = False
    device_name: Line | None = None


class RefreshToken(Body):
    refresh_token: Secret


class Tokens(BaseModel):
    """`refresh_token` is for one use; `device_token` comes once, when the device is trusted from now on."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str


class TrustingTokens(Tokens):
    device_token: str | None = None
    device_trusted_until: datetime | None = None


class MfaRequired(BaseModel):
    """The password was right; a code is missing. Send both to /v1/auth/mfa."""

    mfa_required: Literal[True] = True
    mfa_token: str
    methods: list[Literal["totp", "backup_code"]] = ["totp", "backup_code"]
    expires_at: datetime


class OpenSession(BaseModel):
    id: UUID
    user_agent: str | None
    ip_address: str | None
    created_at: datetime
    last_seen_at: datetime | None
    expires_at: datetime
    current: bool


class OpenSessions(BaseModel):
    items: list[OpenSession]
    next_cursor: str | None


@router.post("/auth/login", operation_id="identity_login", response_model=Tokens | MfaRequired)
async def login(body: Credentials, entrance: Entrance, parts: Parts, device: From) -> Any:
    """Sign in with e-mail address and password: a 10-minute access token and a refresh token for one use.

    Somebody with a second factor gets an `mfa_token` instead, unless the device is trusted.
    """
    found = await entrance.login(body.email, body.password, device)
    step = await entrance.challenges.after_password(found.user_id, body.device_token)
    if step.challenge is not None:
        return MfaRequired(mfa_token=step.challenge.token, expires_at=step.challenge.expires_at)
    tokens = await entrance.open_tokens(found.user_id, device, confirmed=step.is_confirmed, by=found)
    await note_outside(
        parts, found.user_id, found.default_organization_id, device, "session.opened", by=step.method
    )
    return tokens


@router.post("/auth/mfa", operation_id="identity_mfa", response_model=TrustingTokens)
async def second_step(body: SecondStep, entrance: Entrance, parts: Parts, device: From) -> Any:
    """Finish signing in with a code. With `trust_device`, this device is asked for none for thirty days."""
    user_id, proven = await entrance.challenges.answer(
        body.mfa_token, body.code, device.address, device.user_agent
    )
    tokens: dict[str, Any] = await entrance.open_tokens(user_id, device)
    if body.trust_device:
        trusted = await entrance.challenges.trust(
            user_id, device.address, device.user_agent, body.device_name
        )
        tokens |= {"device_token": trusted.secret, "device_trusted_until": trusted.until}
    await note_login(parts, user_id, device, proven, is_trusted=body.trust_device)
    return tokens


@router.post("/auth/refresh", operation_id="identity_refresh", response_model=Tokens)
async def refresh(body: RefreshToken, entrance: Entrance, device: From) -> Any:
    """Trade the refresh token for a new pair. One used twice ends every session that came from its login.

    Whose answer got lost may repeat the request from the same place within ten seconds.
    """
    return await entrance.refresh(body.refresh_token, device)


@router.post("/auth/logout", status_code=204, operation_id="identity_logout")
async def logout(body: RefreshToken, entrance: Entrance) -> Response:
    """End the session of this refresh token; its access tokens stop working at once."""
    await entrance.end(refresh_sha256(body.refresh_token))
    return Response(status_code=204)


@router.post("/auth/logout-everywhere", status_code=204, operation_id="identity_logout_everywhere")
async def logout_everywhere(caller: Person, parts: Parts, device: From) -> Response:
    """End every session of yours, this one too; access tokens and cookies stop working at once."""
    async with parts.database.transaction(caller.access) as tx:
        await Sessions(tx, caller.user_id).end_all(parts.clock())
        await Activities(tx).note(personal(caller, device, "sessions.ended", "users", caller.user_id))
    return Response(status_code=204)


@router.get("/me/sessions", operation_id="identity_list_sessions", response_model=OpenSessions)
async def list_sessions(caller: Person, parts: Parts, paging: Paging) -> dict[str, Any]:
    """Where you are signed in."""
    async with parts.database.transaction(caller.access) as tx:
        sessions = Sessions(tx, caller.user_id)
        rows = await sessions.page(paging.before, paging.fetch, parts.clock())
        current = await sessions.family_of(cast(UUID, caller.session_id))

    def show(row: Any) -> dict[str, Any]:
        shown = {name: value for name, value in row.items() if name != "family_id"}
        return {**shown, "current": row["family_id"] == current}

    return paging.page(rows, lambda row: (row["created_at"], row["id"]), show)


@router.delete("/me/sessions/{session_id}", status_code=204, operation_id="identity_end_session")
async def end_session(session_id: UUID, caller: Person, parts: Parts, device: From) -> Response:
    """Sign out there; the login's access tokens stop working at once."""
    async with parts.database.transaction(caller.access) as tx:
        family = await Sessions(tx, caller.user_id).family_of(session_id)
        await Identities(tx).revoke_family(family, parts.clock())
        await Activities(tx).note(personal(caller, device, "session.ended", "sessions", session_id))
    return Response(status_code=204)
