"""Who is calling, and what they may do: resolved from the database for every request, never from a cache."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Request
from fastapi.security import HTTPBearer
from structlog.contextvars import bind_contextvars

from api.caller import NOBODY, Caller
from api.collaborators import Collaborators, Parts
from api.identification import Identification
from api.tokens import KEY_PREFIX, csrf_matches
from db.session import Origin
from domain.errors import Forbidden, Unauthenticated
from domain.permissions import Permission

__all__ = ["NOBODY", "Anyone", "Caller", "Person", "authenticate", "require", "require_person"]


#: What remains to somebody whose organization demands a second factor they do not have: to set one up.
_ENROLLING = ("/v1/me/mfa", "/v1/auth/")
#: Of a client's own description, this much is written down.
LONGEST_AGENT = 300
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
#: The id of no organization.
NOBODYS = UUID(int=0)
_documented = HTTPBearer(
    auto_error=False,
    bearerFormat="access token, or API key perdure_live_…",
    description="`Authorization: Bearer` with an access token of /v1/auth/login or an API key.",
)


def cookie_name(parts: Collaborators) -> str:
    """Browsers keep a `__Host-` cookie only for this host over TLS; on plain loopback they would drop it."""
    return "__Host-perdure" if parts.security.is_https else "perdure_session"


def identification_of(request: Request) -> Identification:
    found: Identification = request.app.state.identification
    return found


async def authenticate(
    request: Request,
    parts: Parts,
    _: Annotated[Any, Depends(_documented)] = None,
    x_organization_id: Annotated[
        str | None, Header(description="The organization to act in; your default one when absent.")
    ] = None,
) -> Caller:
    """The caller of this request. Raises Unauthenticated, or Forbidden for a foreign organization."""
    caller = await _identified(request, parts, x_organization_id)
    bind_contextvars(caller=caller.name, organization=str(caller.organization_id))
    if caller.organization_id is not None:
        request.app.state.calls.count(caller.organization_id)
    return replace(caller, origin=origin_of(request, caller))


def origin_of(request: Request, caller: Caller) -> Origin:
    """Where the request came from, for the log of changes."""
    agent = request.headers.get("user-agent")
    return Origin(
        ip=request.client.host if request.client else None,
        agent=agent[:LONGEST_AGENT] if agent else None,
        api_key_id=caller.api_key_id,
    )


def _is_enrolling(request: Request) -> bool:
    path = request.url.path
    return path.startswith(_ENROLLING) or (path == "/v1/me" and request.method in _SAFE)


async def _identified(request: Request, parts: Collaborators, x_organization_id: str | None) -> Caller:
    identification = identification_of(request)
    wanted, is_enrolling = _organization(x_organization_id), _is_enrolling(request)
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _sep, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        if token.startswith(KEY_PREFIX):
            return await identification.by_api_key(token, wanted, is_enrolling=is_enrolling)
        return await identification.by_access_token(token, wanted, is_enrolling=is_enrolling)
    cookie = request.cookies.get(cookie_name(parts))
    if cookie is None:
        raise Unauthenticated
    if request.method not in _SAFE:
        sent = request.headers.get("x-csrf-token", "")
        if not csrf_matches(parts.security.token_secret, cookie, sent):
            raise Forbidden("Send the page's CSRF token in X-CSRF-Token with this cookie.")
    return await identification.by_cookie(cookie, wanted, is_enrolling=is_enrolling)


def _organization(header: str | None) -> UUID | None:
    if header is None:
        return None
    try:
        return UUID(header)
    except ValueError:  # answered like the id of somebody else's organization, once it is known who asks
        return NOBODYS


def require(*permissions: Permission | str) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """A dependency giving the caller if all are held: `Annotated[Caller, Depends(require("…"))]`."""
    needed = [Permission(permission) for permission in permissions]

    async def allowed(caller: Annotated[Caller, Depends(authenticate)]) -> Caller:
        missing = [permission for permission in needed if permission not in caller.permissions]
        if missing:
            raise Forbidden(
                f"This needs the permission {', '.join(missing)}; ask an administrator of the organization."
            )
        return caller

    return allowed


async def require_person(caller: Annotated[Caller, Depends(authenticate)]) -> Caller:
    """A dependency for what only a signed-in person may do, never a key: their sessions and keys."""
    if caller.actor != "user":
        raise Forbidden("An API key cannot do this; sign in as a person.")
    return caller


Anyone = Annotated[Caller, Depends(authenticate)]
Person = Annotated[Caller, Depends(require_person)]
