"""What every page shares: who visits, whether a form is ours, cookies, and how a moment is written."""

from dataclasses import replace

from fastapi import Request, Response

from api.auth import Caller, cookie_name, identification_of, origin_of
from api.collaborators import Collaborators
from api.tokens import csrf_matches
from domain.errors import Forbidden, Unauthenticated

LONGEST_PATH = 1_000


async def signed_in(
    request: Request, parts: Collaborators, *, is_enrolling: bool = False
) -> tuple[str, Caller]:
    """The session cookie and whose it is; raises Unauthenticated, MfaEnrolmentRequired."""
    cookie = request.cookies.get(cookie_name(parts))
    if cookie is None:
        raise Unauthenticated
    caller = await identification_of(request).by_cookie(cookie, is_enrolling=is_enrolling)
    return cookie, replace(caller, origin=origin_of(request, caller))


async def form_of(request: Request) -> dict[str, str]:
    """The form's texts, without the NUL characters that no page of ours sends and PostgreSQL keeps in no text."""
    sent = (await request.form()).items()
    return {name: value.replace("\0", "") for name, value in sent if isinstance(value, str)}


class FormOutdated(Forbidden):
    """This form is no longer valid; please send it again."""


def check_form(request: Request, parts: Collaborators, form: dict[str, str], cookie: str | None) -> None:
    """A form of ours, from a page of ours: the token fits the cookie and the browser names no other site."""
    token = form.get("csrf_token", "")
    if is_foreign(request) or cookie is None or not csrf_matches(parts.security.token_secret, cookie, token):
        raise FormOutdated


def is_ours(request: Request) -> bool:
    """Whether the browser itself says that a page of ours sent this; one that says nothing does not count."""
    return request.headers.get("sec-fetch-site", "same-origin") == "same-origin" and (
        request.headers.get("origin", "").partition("://")[2] == request.headers.get("host")
    )


def is_foreign(request: Request, *, may_be_private: bool = False) -> bool:
    """Whether the browser names another site; `may_be_private` where our own page tells nobody where it is."""
    origin = request.headers.get("origin")
    if origin is None or (may_be_private and origin == "null"):
        return False
    return origin.partition("://")[2] != request.headers.get("host")


def set_cookie(
    parts: Collaborators, answer: Response, name: str, value: str, *, seconds: int, path: str = "/"
) -> None:
    answer.set_cookie(
        name,
        value,
        max_age=seconds,
        path=path,
        secure=parts.security.is_https,
        httponly=True,
        samesite="strict",
    )


def inside(path: str | None) -> str:
    """Where to go after signing in: a path of ours, never another site; the home page for anything else."""
    if path is None or not path.startswith("/") or path.startswith(("//", "/\\")) or len(path) > LONGEST_PATH:
        return "/"
    return path if path.isprintable() else "/"
