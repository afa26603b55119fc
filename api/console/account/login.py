"""Signing in and out: the password, then a code where somebody has a second factor. No script."""

from secrets import token_urlsafe
from urllib.parse import quote, unquote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from api.auth import cookie_name
from api.authlog import note_login, note_outside
from api.challenges import Challenge, ChallengeOver
from api.collaborators import Collaborators, Parts
from api.console.frame.templates import render
from api.console.frame.visits import check_form, form_of, inside, set_cookie, signed_in
from api.console.home import home
from api.errors import status_of
from api.identification import MfaEnrolmentRequired
from api.identity import Entrance, From
from api.tokens import SESSION_LIFETIME, cookie_sha256, csrf_token
from domain.errors import DomainError, Forbidden, TooManyRequests, Unauthenticated
from domain.onetime import LIFETIMES, Purpose
from domain.secondfactor import TRUSTED

router = APIRouter(include_in_schema=False)

OVER = "code-missing"
#: Why somebody is asked to sign in; an address names a reason, never its words.
REASONS = {
    home.ENDED: "Your session has ended. Please sign in again.",
    "not-sent": "Your session has ended, so what you sent was not recorded. Please sign in and send it again.",
    "signed-out": "You are signed out.",
    OVER: ChallengeOver().message,
    "invited": "Sign in with the invited address; then you find the invitation here.",
}
_FORM, _CHALLENGE = "perdure_form", "perdure_code"
#: Where somebody wanted to go before they were asked to sign in; it outlives the second step.
_NEXT = "perdure_next"


@router.get("/login")
async def login_page(request: Request, parts: Parts, reason: str = "", next: str | None = None) -> Response:
    try:
        await signed_in(request, parts)
    except Unauthenticated:
        answer = _login_page(request, parts, reason=REASONS.get(reason, ""))
        if next is not None:
            set_cookie(parts, answer, _NEXT, quote(inside(next)), seconds=3600, path="/login")
        return answer
    except MfaEnrolmentRequired:
        pass
    return RedirectResponse(inside(next), 303)


@router.post("/login")
async def login(request: Request, parts: Parts, entrance: Entrance, device: From) -> Response:
    form = await form_of(request)
    email = form.get("email", "")
    try:
        check_form(request, parts, form, request.cookies.get(_FORM))
        found = await entrance.login(email, form.get("password", ""), device)
    except (Forbidden, Unauthenticated, TooManyRequests) as refusal:
        return _login_page(request, parts, refusal, email)
    step = await entrance.challenges.after_password(found.user_id, request.cookies.get(_device(parts)))
    if step.challenge is not None:
        return _to_code(parts, step.challenge)
    try:
        cookie = await entrance.open_cookie(found.user_id, device, confirmed=step.is_confirmed, by=found)
    except Unauthenticated as refusal:
        return _login_page(request, parts, refusal, email)
    await note_outside(
        parts, found.user_id, found.default_organization_id, device, "session.opened", by=step.method
    )
    return _welcome(request, parts, cookie)


@router.get("/login/code")
async def code_page(request: Request, parts: Parts) -> Response:
    if _CHALLENGE not in request.cookies:
        return _to_login(OVER)
    return _code_page(request, parts)


@router.post("/login/code")
async def second_step(request: Request, parts: Parts, entrance: Entrance, device: From) -> Response:
    form, token = await form_of(request), request.cookies.get(_CHALLENGE)
    try:
        check_form(request, parts, form, request.cookies.get(_FORM))
        if token is None:
            raise ChallengeOver
        user_id, proven = await entrance.challenges.answer(
            token, form.get("code", "")[:64], device.address, device.user_agent
        )
    except ChallengeOver:
        return _to_login(OVER)
    except (Forbidden, Unauthenticated, TooManyRequests) as refusal:
        return _code_page(request, parts, refusal)
    answer = _welcome(request, parts, await entrance.open_cookie(user_id, device))
    is_trusted = form.get("trust") == "yes"
    if is_trusted:
        trusted = await entrance.challenges.trust(user_id, device.address, device.user_agent, None)
        lifetime = int(TRUSTED.total_seconds())
        set_cookie(parts, answer, _device(parts), trusted.secret, seconds=lifetime)
    await note_login(parts, user_id, device, proven, is_trusted=is_trusted)
    return answer


@router.post("/logout")
async def logout(request: Request, parts: Parts, entrance: Entrance) -> Response:
    cookie = request.cookies.get(cookie_name(parts))
    if cookie is not None:
        check_form(request, parts, await form_of(request), cookie)
        await entrance.end(cookie_sha256(cookie))
    answer = _to_login("signed-out")
    answer.delete_cookie(
        cookie_name(parts), path="/", secure=parts.security.is_https, httponly=True, samesite="strict"
    )
    return answer


def _device(parts: Collaborators) -> str:
    """The cookie of a trusted device; it outlives sessions."""
    return "__Host-perdure-device" if parts.security.is_https else "perdure_device"


def _welcome(request: Request, parts: Collaborators, cookie: str) -> Response:
    # Looked at again: nobody but us sets this cookie, but what it holds came from an address.
    answer = RedirectResponse(inside(unquote(request.cookies.get(_NEXT, ""))), 303)
    set_cookie(parts, answer, cookie_name(parts), cookie, seconds=int(SESSION_LIFETIME.total_seconds()))
    for done in (_FORM, _CHALLENGE, _NEXT):
        answer.delete_cookie(done, path="/login")
    return answer


def _to_code(parts: Collaborators, challenge: Challenge) -> Response:
    """A redirect, so that the browser keeps the password in no page it could send again."""
    answer = RedirectResponse("/login/code", 303)
    lifetime = int(LIFETIMES[Purpose.MFA_CHALLENGE].total_seconds())
    set_cookie(parts, answer, _CHALLENGE, challenge.token, seconds=lifetime, path="/login")
    return answer


def _to_login(reason: str) -> RedirectResponse:
    return RedirectResponse(f"/login?reason={reason}", 303)


def _login_page(
    request: Request,
    parts: Collaborators,
    refusal: DomainError | None = None,
    email: str = "",
    reason: str = "",
) -> Response:
    return _page(request, parts, "account/login.html", refusal, reason=reason, email=email)


def _code_page(request: Request, parts: Collaborators, refusal: DomainError | None = None) -> Response:
    return _page(request, parts, "account/code.html", refusal)


def _page(
    request: Request, parts: Collaborators, template: str, refusal: DomainError | None, **values: str
) -> Response:
    # The form token is bound to a cookie of its own: no other site can sign a visitor in as somebody else.
    cookie = request.cookies.get(_FORM) or token_urlsafe(24)
    answer = render(
        template,
        200 if refusal is None else status_of(refusal),
        csrf=csrf_token(parts.security.token_secret, cookie),
        problem=refusal.message if refusal is not None else "",
        **values,
    )
    set_cookie(parts, answer, _FORM, cookie, seconds=3600, path="/login")
    if isinstance(refusal, TooManyRequests):
        answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer
