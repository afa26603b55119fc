"""Who is calling, and what they may do: resolved from the database for every request, never from a cache."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Header, Request
from fastapi.security import HTTPBearer

from api.collaborators import Collaborators, Parts
from api.tokens import KEY_PREFIX, AccessTokens, ApiKey, cookie_sha256, csrf_matches
from db.identity import USED_GRAIN, ApiKeys
from db.logins import Identities, KeyStanding, Standing
from db.session import Access, Role
from domain.errors import Forbidden, Unauthenticated
from domain.permissions import Permission, decide, known, of_role

#: Calls the definer functions that need no organization yet.
NOBODY = Access(Role.API)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_documented = HTTPBearer(
    auto_error=False,
    bearerFormat="access token, or API key perdure_live_…",
    description="`Authorization: Bearer` with an access token of /v1/auth/login or an API key.",
)


def cookie_name(parts: Collaborators) -> str:
    """Browsers keep a `__Host-` cookie only for this host over TLS; on plain loopback they would drop it."""
    return "__Host-perdure" if parts.security.is_https else "perdure_session"


@dataclass(frozen=True, slots=True)
class Caller:
    """A person or an API key, in one organization (none only for a user who is a member nowhere)."""

    user_id: UUID
    organization_id: UUID | None
    permissions: frozenset[Permission]
    actor: Literal["user", "api_key"]
    role: str | None = None
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    access: Access = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "access", Access(Role.API, self.organization_id, self.user_id))

    @property
    def name(self) -> str:
        """Who did it, for scopes and logs: `user:<id>` or `api_key:<id>`."""
        return f"{self.actor}:{self.api_key_id or self.user_id}"

    @property
    def organization(self) -> UUID:
        """The organization; raises Forbidden for a user who is a member nowhere."""
        if self.organization_id is None:
            raise Forbidden("You are not a member of any organization.")
        return self.organization_id

    def may(self, permission: Permission | str) -> bool:
        return permission in self.permissions


async def authenticate(
    request: Request,
    parts: Parts,
    _: Annotated[Any, Depends(_documented)] = None,
    x_organization_id: Annotated[
        str | None, Header(description="The organization to act in; your default one when absent.")
    ] = None,
) -> Caller:
    """The caller of this request. Raises Unauthenticated, or Forbidden for an organization that is not theirs."""
    wanted = _organization(x_organization_id)
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _sep, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        if token.startswith(KEY_PREFIX):
            return await by_api_key(parts, token, wanted)
        return await by_access_token(parts, token, wanted)
    cookie = request.cookies.get(cookie_name(parts))
    if cookie is None:
        raise Unauthenticated
    if request.method not in _SAFE:
        sent = request.headers.get("x-csrf-token", "")
        if not csrf_matches(parts.security.token_secret, cookie, sent):
            raise Forbidden("Send the page's CSRF token in X-CSRF-Token with this cookie.")
    return await by_cookie(parts, cookie, wanted)


async def by_api_key(parts: Collaborators, token: str, wanted: UUID | None) -> Caller:
    key = ApiKey.parse(token)
    async with parts.database.transaction(NOBODY) as tx:
        found = await Identities(tx).api_key(key.key_id, parts.clock())
    if found is None or not compare_digest(found.secret_sha256, key.secret_sha256):
        raise Unauthenticated("This API key is unknown, revoked or expired.")
    if wanted is not None and wanted != found.standing.organization_id:
        raise Forbidden("This API key belongs to another organization.")
    caller = _caller(found.standing, scopes=found.scopes, api_key_id=found.id)
    await _note_use(parts, caller, found)
    return caller


async def _note_use(parts: Collaborators, caller: Caller, found: KeyStanding) -> None:
    """Keeps `last_used_at` true to the minute, so that most requests cost no write."""
    now = parts.clock()
    if found.last_used_at is None or found.last_used_at < now - USED_GRAIN:
        async with parts.database.transaction(caller.access) as tx:
            await ApiKeys(tx, caller.user_id).used(found.id, now)


async def by_access_token(parts: Collaborators, token: str, wanted: UUID | None) -> Caller:
    now = parts.clock()
    claims = AccessTokens(parts.security.token_secret, parts.security.public_url).read(token, now)
    async with parts.database.transaction(NOBODY) as tx:
        standing = await Identities(tx).session(claims.session_id, claims.user_id, wanted, now)
    return _session_caller(standing, claims.session_id, wanted)


async def by_cookie(parts: Collaborators, cookie: str, wanted: UUID | None = None) -> Caller:
    now = parts.clock()
    async with parts.database.transaction(NOBODY) as tx:
        found = await Identities(tx).cookie(cookie_sha256(cookie), wanted, now)
    if found is None:
        raise Unauthenticated("Your session has ended; sign in again.")
    return _session_caller(found.standing, found.session_id, wanted)


def _session_caller(standing: Standing | None, session_id: UUID, wanted: UUID | None) -> Caller:
    if standing is None:
        raise Unauthenticated("Your session has ended; sign in again.")
    if wanted is not None and standing.organization_id != wanted:
        raise Forbidden("You are not an active member of this organization.")
    return _caller(standing, session_id=session_id)


def _caller(
    standing: Standing,
    *,
    scopes: list[str] | None = None,
    session_id: UUID | None = None,
    api_key_id: UUID | None = None,
) -> Caller:
    permissions: frozenset[Permission] = frozenset()
    if standing.organization_id is not None and standing.role is not None:
        base = known(standing.role_permissions) if standing.own_role else of_role(standing.role)
        permissions = decide(base, standing.permissions_override, scopes)
    return Caller(
        user_id=standing.user_id,
        organization_id=standing.organization_id,
        permissions=permissions,
        actor="user" if api_key_id is None else "api_key",
        role=standing.role,
        session_id=session_id,
        api_key_id=api_key_id,
    )


def _organization(header: str | None) -> UUID | None:
    if header is None:
        return None
    try:
        return UUID(header)
    except ValueError:  # answered like the id of somebody else's organization
        raise Forbidden("You are not an active member of this organization.") from None


def require(*permissions: Permission | str) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """A dependency giving the caller when all `permissions` are held: `Annotated[Caller, Depends(require("…"))]`."""
    needed = [Permission(permission) for permission in permissions]

    async def allowed(caller: Annotated[Caller, Depends(authenticate)]) -> Caller:
        missing = [permission for permission in needed if permission not in caller.permissions]
        if missing:
            raise Forbidden(
                f"This needs the permission {', '.join(missing)}; ask an administrator of the organization."
            )
        return caller

    return allowed


def require_person(caller: Annotated[Caller, Depends(authenticate)]) -> Caller:
    """A dependency for what only a signed-in person may do, never a key: their sessions and keys."""
    if caller.actor != "user":
        raise Forbidden("An API key cannot do this; sign in as a person.")
    return caller


Anyone = Annotated[Caller, Depends(authenticate)]
Person = Annotated[Caller, Depends(require_person)]
