"""One's API keys in the organization one acts in: made, listed, replaced while both work, revoked."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, Person, require
from api.authlog import personal
from api.collaborators import Parts
from api.fields import Body, Line, Moment
from api.idempotency import Answer, Idempotent
from api.identity import From
from api.pagination import Paging
from api.stepup import Confirmed
from api.tokens import ApiKey
from db.activity import Activities
from db.identity import ApiKeys
from domain.errors import Conflict, Forbidden, Invalid, Problem
from domain.permissions import Permission, may_grant

router = APIRouter(prefix="/v1/me/api-keys", tags=["identity"])

LONGEST_KEY = timedelta(days=366)
KeyWriter = Annotated[Caller, Depends(require(Permission.API_KEYS_WRITE))]


class NewApiKey(Body):
    name: Line
    scopes: Annotated[list[Permission], Field(min_length=1, max_length=50)]
    expires_at: Moment | None = None


class Rotation(Body):
    """The old key goes on for `overlap_minutes` (a day unless said otherwise), so that nothing stands still."""

    overlap_minutes: Annotated[int, Field(ge=0, le=30 * 24 * 60)] = 24 * 60
    expires_at: Moment | None = None


class ShownApiKey(BaseModel):
    id: UUID
    name: str
    key_id: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    #: The key this one took over from.
    replaces: UUID | None


class MadeApiKey(ShownApiKey):
    """`key` is shown in this answer only; the replay of an Idempotency-Key has null."""

    key: str | None


class ApiKeyPage(BaseModel):
    items: list[ShownApiKey]
    next_cursor: str | None


@router.get("", operation_id="identity_list_api_keys", response_model=ApiKeyPage)
async def list_api_keys(
    caller: Annotated[Caller, Depends(require(Permission.API_KEYS_READ))], parts: Parts, paging: Paging
) -> dict[str, Any]:
    """Your API keys in this organization, revoked ones included; never their secrets."""
    async with parts.database.transaction(caller.access) as tx:
        rows = await ApiKeys(tx, caller.user_id).page(paging.before, paging.fetch)
    return paging.page(rows, lambda row: (row["created_at"], row["id"]), dict)


@router.post("", status_code=201, operation_id="identity_create_api_key", response_model=MadeApiKey)
async def create_api_key(
    *, body: NewApiKey, caller: KeyWriter, _: Confirmed, parts: Parts, once: Idempotent, device: From
) -> Response:
    """Create a key for this organization. `key` is shown in this answer only; a replay leaves it out."""
    now = parts.clock()
    beyond = may_grant(caller.permissions, body.scopes)
    if beyond:
        raise Forbidden(f"You cannot give a key more than you hold yourself: {', '.join(sorted(beyond))}.")
    _check_expiry(body.expires_at, now)

    async def work(tx: AsyncConnection) -> Answer[None]:
        values = {"name": body.name, "scopes": sorted(set(body.scopes)), "expires_at": body.expires_at}
        answer = await _made(tx, caller, values, now)
        id = answer.body["id"]
        await Activities(tx).note(personal(caller, device, "api_key.created", "api_keys", id, name=body.name))
        return answer

    return (await once.run(caller, work)).response()


@router.post(
    "/{api_key_id}/rotate", status_code=201, operation_id="identity_rotate_api_key", response_model=MadeApiKey
)
async def rotate_api_key(
    *,
    api_key_id: UUID,
    body: Rotation,
    caller: KeyWriter,
    _: Confirmed,
    parts: Parts,
    once: Idempotent,
    device: From,
) -> Response:
    """A new key of the same name and scopes; the old one works a while longer. Once per key."""
    now = parts.clock()
    _check_expiry(body.expires_at, now)

    async def work(tx: AsyncConnection) -> Answer[None]:
        keys = ApiKeys(tx, caller.user_id)
        old = await keys.lock(api_key_id)
        if old["revoked_at"] is not None or (old["expires_at"] is not None and old["expires_at"] <= now):
            raise Conflict("This key is revoked or expired; create a new one.")
        if await keys.is_replaced(api_key_id):
            raise Conflict("This key was rotated already; rotate the one that took its place.")
        ends = now + timedelta(minutes=body.overlap_minutes)
        await keys.expire(api_key_id, ends if old["expires_at"] is None else min(ends, old["expires_at"]))
        values = {
            "name": old["name"],
            "scopes": old["scopes"],
            "expires_at": body.expires_at,
            "replaces": api_key_id,
        }
        answer = await _made(tx, caller, values, now)
        noted = personal(caller, device, "api_key.rotated", "api_keys", api_key_id, by=str(answer.body["id"]))
        await Activities(tx).note(noted)
        return answer

    return (await once.run(caller, work)).response()


@router.delete("/{api_key_id}", status_code=204, operation_id="identity_revoke_api_key")
async def revoke_api_key(
    *, api_key_id: UUID, caller: KeyWriter, _: Person, parts: Parts, device: From
) -> Response:
    """Revoke a key: the next request with it is refused."""
    async with parts.database.transaction(caller.access) as tx:
        await ApiKeys(tx, caller.user_id).revoke(api_key_id, parts.clock())
        await Activities(tx).note(personal(caller, device, "api_key.revoked", "api_keys", api_key_id))
    return Response(status_code=204)


async def _made(tx: AsyncConnection, caller: Caller, values: dict[str, Any], now: datetime) -> Answer[None]:
    key = ApiKey.new()
    row = {
        "id": uuid4(),
        "organization_id": caller.organization,
        "key_id": key.key_id,
        "secret_sha256": key.secret_sha256,
        "created_at": now,
        **values,
    }
    shown = dict(await ApiKeys(tx, caller.user_id).add(row))
    return Answer(201, {**shown, "key": str(key)}, kept={**shown, "key": None})


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and not now < expires_at <= now + LONGEST_KEY:
        message = "A key expires in the future, within 366 days."
        raise Invalid(problems=[Problem("#/expires_at", message, "Choose a nearer time, or leave it out.")])
