"""The one place that turns errors into answers: RFC 9457 `application/problem+json` with a stable `code`."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
    ResourceClosedError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.console.frame.templates import render
from api.invalid import problems_of
from domain import errors
from domain.blobs import BlobsUnavailable
from domain.errors import DomainError, Invalid, Problem
from domain.keys import MasterKeyMissing

logger = logging.getLogger("perdure.api")

MEDIA_TYPE = "application/problem+json"
#: Where a request finds what knows every method of an address (`api/methods.py`).
METHODS = "perdure.methods"


class PayloadTooLarge(DomainError):
    """The body is larger than 1 MB; send less, or send it in parts."""

    code = "payload_too_large"


class UnsupportedMediaType(DomainError):
    """The body has an unsupported type; send Content-Type: application/json."""

    code = "unsupported_media_type"


class RouteNotFound(DomainError):
    """There is no such address; /docs lists all of them."""

    code = "no_such_route"


class MethodNotAllowed(DomainError):
    """This address does not support this method; the Allow header lists those it does."""

    code = "method_not_allowed"


class Unavailable(DomainError):
    """The database does not answer at this moment; nothing was changed. Try again shortly."""

    code = "unavailable"


class Unexpected(DomainError):
    """Something went wrong on our side and was logged under the id in `instance`."""

    code = "unexpected"


#: Most specific first: the first class an error is an instance of decides.
STATUSES: Mapping[type[DomainError], int] = {
    errors.NotFound: 404,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.Invalid: 422,
    errors.Conflict: 409,
    errors.Stale: 412,
    errors.PreconditionRequired: 428,
    errors.TooManyRequests: 429,
    PayloadTooLarge: 413,
    UnsupportedMediaType: 415,
    RouteNotFound: 404,
    MethodNotAllowed: 405,
    Unavailable: 503,
    BlobsUnavailable: 503,
    Unexpected: 500,
}


def status_of(error: DomainError) -> int:
    return next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 400)


def respond(error: DomainError, *, instance: str | None = None, allow: str | None = None) -> Response:
    """The answer for a domain error; `instance` is set only for faults of ours, to find the log entry."""
    status = status_of(error)
    # One text for every id that is not yours: a message naming the id would tell foreign from unknown.
    detail = errors.NotFound().message if type(error) is errors.NotFound else error.message
    problem: dict[str, Any] = {
        "type": f"/docs#{error.code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": error.code,
    }
    if instance:
        problem["instance"] = instance
    if error.problems:
        problem["errors"] = [_entry(each) for each in error.problems]
    headers = {}
    if isinstance(error, errors.TooManyRequests):
        headers["Retry-After"] = str(max(1, error.retry_after))
    elif isinstance(error, Unavailable | BlobsUnavailable):
        headers["Retry-After"] = "2"
    elif isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="perdure"'
    if allow:
        headers["Allow"] = allow
    body = orjson.dumps(problem, default=str)
    return Response(body, status, headers, media_type=MEDIA_TYPE)


def _entry(problem: Problem) -> dict[str, str | None]:
    return {
        "pointer": problem.pointer,
        "detail": problem.message,
        "suggestion": problem.suggestion,
        "code": problem.code,
    }


def unexpected(error: BaseException) -> Response:
    """Logs a fault of ours under a fresh id and answers with that id alone."""
    instance = f"urn:uuid:{uuid4()}"
    logger.error("unexpected error %s", instance, exc_info=error)
    return respond(Unexpected(), instance=instance)


def answer(request: Request, error: DomainError, *, allow: str | None = None) -> Response:
    """The same for a request: a page where a browser asked for one, a problem document everywhere else."""
    is_page = not request.url.path.startswith(("/v1/", "/codec/")) and "text/html" in request.headers.get(
        "accept", ""
    )
    made = respond(error, allow=allow)
    if not is_page:
        return made
    title = HTTPStatus(made.status_code).phrase
    page = render("frame/problem.html", made.status_code, title=title, detail=error.message)
    page.headers.update({name: value for name, value in made.headers.items() if name in _KEPT_ON_PAGES})
    return page


_KEPT_ON_PAGES = ("allow", "retry-after", "www-authenticate")


async def _domain(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    return answer(request, error)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    # An id that is no UUID is just one more id nobody has.
    if any(each["loc"][0] == "path" for each in found):
        return answer(request, errors.NotFound())
    return answer(request, Invalid(problems=problems_of(found, request.scope.get("route"))))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = error.headers or {}
    if error.status_code == 404:
        return answer(request, RouteNotFound())
    if error.status_code == 405:
        said = headers.get("Allow") or headers.get("allow") or ""
        known = request.scope.get(METHODS)
        allow = known.allow(request.url.path, said) if known else said
        return answer(request, MethodNotAllowed(), allow=allow)
    if error.status_code == 413:
        return answer(request, PayloadTooLarge())
    return answer(request, Invalid(str(error.detail)))


async def _database(_: Request, error: Exception) -> Response:
    """The database being away is not the caller's fault and not a bug; anything else it says is a bug."""
    if is_unavailable(error):
        logger.warning("database unavailable: %s", type(error).__name__)
        return respond(Unavailable())
    return unexpected(error)


async def _key_missing(_: Request, error: Exception) -> Response:
    """The operators' mistake: every caller has to wait until the settings hold the key again."""
    logger.error("%s", error)  # it names keys by their ids, never their bytes
    return respond(Unavailable())


#: Shutting down or starting (57P0x), too many connections (53300), deadlock, serialisation, lock timeout.
_PASSING = ("57P01", "57P02", "57P03", "53300", "40001", "40P01", "55P03")


def is_unavailable(error: BaseException) -> bool:
    """True when repeating the request later, unchanged, can succeed."""
    if isinstance(error, OSError | PoolTimeout | TimeoutError | PendingRollbackError | ResourceClosedError):
        return True  # the last two: a connection was lost, and somebody still asked it something
    if isinstance(error, DBAPIError):
        state = str(getattr(error.orig, "sqlstate", "") or "")
        lost = error.connection_invalidated or state.startswith("08") or state in _PASSING
        return lost or (isinstance(error, InterfaceError | OperationalError) and not state)
    state = str(getattr(error, "sqlstate", "") or "")
    return state.startswith("08") or state in _PASSING


def install(app: FastAPI) -> None:
    app.add_exception_handler(DomainError, _domain)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(MasterKeyMissing, _key_missing)
    for kind in (DBAPIError, PoolTimeout, PendingRollbackError, ResourceClosedError, OSError):
        app.add_exception_handler(kind, _database)


def every_kind() -> list[type[DomainError]]:
    """All errors with a code of their own, for the reference page."""
    found: dict[str, type[DomainError]] = {}
    pending = [DomainError]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        found.setdefault(kind.code, kind)
    return [found[code] for code in sorted(found)]
