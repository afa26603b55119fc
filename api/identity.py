"""Login, refresh and logout; one's own account, sessions and API keys."""

from datetime import datetime, timedelta
from typing import Annotated, Any, cast
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Anyone, Caller, Person, require
from api.collaborators import Parts
from api.fields import Body, Line, Moment
from api.idempotency import Answer, Idempotent
from api.pagination import Paging
from api.sessions import Device, SignIn
from api.tokens import ApiKey, sha256
from db.identity import ApiKeys, Sessions, Users
from db.logins import Identities
from domain.errors import Forbidden, Invalid, Problem
from domain.permissions import Permission, may_grant

router = APIRouter(prefix="/v1", tags=["identity"])

Password = Annotated[str, Field(min_length=1, max_length=1000, json_schema_extra={"format": "password"})]
LONGEST_KEY = timedelta(days=366)


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


class RefreshToken(Body):
    refresh_token: Annotated[str, Field(max_length=200)]


class NewApiKey(Body):
    name: Line
    scopes: Annotated[list[Permission], Field(min_length=1, max_length=50)]
    expires_at: Moment | None = None


@router.post("/auth/login", operation_id="identity_login")
async def login(body: Credentials, entrance: Entrance, device: From) -> dict[str, Any]:
    """Sign in with e-mail address and password: a 10-minute access token and a refresh token for one use."""
    found = await entrance.login(body.email, body.password, device)
    return await entrance.open_tokens(found.user_id, device)


@router.post("/auth/refresh", operation_id="identity_refresh")
async def refresh(body: RefreshToken, entrance: Entrance, device: From) -> dict[str, Any]:
    """Trade the refresh token for a new pair. One used twice ends every session that came from its login."""
    return await entrance.refresh(body.refresh_token, device)


@router.post("/auth/logout", status_code=204, operation_id="identity_logout")
async def logout(body: RefreshToken, entrance: Entrance) -> Response:
    """End the session of this refresh token; its access tokens stop working at once."""
    await entrance.end(sha256(body.refresh_token))
    return Response(status_code=204)


@router.get("/me", operation_id="identity_me")
async def me(caller: Anyone, parts: Parts) -> dict[str, Any]:
    """Who is calling, in which organization, and what they may do there."""
    async with parts.database.transaction(caller.access) as tx:
        user = await Users(tx).get(caller.user_id)
    return {
        "id": user["id"],
        "email": user["email"],
        "name": " ".join(filter(None, (user["first_name"], user["last_name"]))),
        "actor": caller.actor,
        "organization_id": caller.organization_id,
        "role": caller.role,
        "permissions": sorted(caller.permissions),
        "created_at": user["created_at"],
    }


@router.get("/me/sessions", operation_id="identity_list_sessions")
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
async def end_session(session_id: UUID, caller: Person, parts: Parts) -> Response:
    """Sign out there; the login's access tokens stop working at once."""
    async with parts.database.transaction(caller.access) as tx:
        family = await Sessions(tx, caller.user_id).family_of(session_id)
        await Identities(tx).revoke_family(family, parts.clock())
    return Response(status_code=204)


KeyWriter = Annotated[Caller, Depends(require(Permission.API_KEYS_WRITE))]


@router.get("/me/api-keys", operation_id="identity_list_api_keys")
async def list_api_keys(
    caller: Annotated[Caller, Depends(require(Permission.API_KEYS_READ))], parts: Parts, paging: Paging
) -> dict[str, Any]:
    """Your API keys in this organization, revoked ones included; never their secrets."""
    async with parts.database.transaction(caller.access) as tx:
        rows = await ApiKeys(tx, caller.user_id).page(paging.before, paging.fetch)
    return paging.page(rows, lambda row: (row["created_at"], row["id"]), dict)


@router.post("/me/api-keys", status_code=201, operation_id="identity_create_api_key")
async def create_api_key(
    body: NewApiKey, caller: KeyWriter, person: Person, parts: Parts, once: Idempotent
) -> Response:
    """Create a key for this organization. `key` is shown in this answer only; a replay leaves it out."""
    now = parts.clock()
    beyond = may_grant(caller.permissions, body.scopes)
    if beyond:
        raise Forbidden(f"You cannot give a key more than you hold yourself: {', '.join(sorted(beyond))}.")
    _check_expiry(body.expires_at, now)

    async def work(tx: AsyncConnection) -> Answer[None]:
        key = ApiKey.new()
        values = {
            "id": uuid4(),
            "organization_id": caller.organization,
            "name": body.name,
            "key_id": key.key_id,
            "secret_sha256": key.secret_sha256,
            "scopes": sorted(set(body.scopes)),
            "expires_at": body.expires_at,
            "created_at": now,
        }
        shown = dict(await ApiKeys(tx, person.user_id).add(values))
        return Answer(201, {**shown, "key": str(key)}, kept={**shown, "key": None})

    return (await once.run(caller, work)).response()


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and not now < expires_at <= now + LONGEST_KEY:
        message = "A key expires in the future, within 366 days."
        raise Invalid(problems=[Problem("#/expires_at", message, "Choose a nearer time, or leave it out.")])


@router.delete("/me/api-keys/{api_key_id}", status_code=204, operation_id="identity_revoke_api_key")
async def revoke_api_key(api_key_id: UUID, caller: KeyWriter, person: Person, parts: Parts) -> Response:
    """Revoke a key: the next request with it is refused."""
    async with parts.database.transaction(caller.access) as tx:
        await ApiKeys(tx, person.user_id).revoke(api_key_id, parts.clock())
    return Response(status_code=204)
