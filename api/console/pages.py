"""Signing in and out, and what pages load: a cookie, a form token, no script."""

from secrets import token_urlsafe

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from api.auth import cookie_name
from api.collaborators import Collaborators, Parts
from api.console import home
from api.console.templates import HERE, render
from api.console.visits import check_form, form_of, set_cookie, signed_in
from api.errors import status_of
from api.identity import Entrance, From
from api.tokens import SESSION_LIFETIME, cookie_sha256, csrf_token
from domain.errors import DomainError, Forbidden, TooManyRequests, Unauthenticated

router = APIRouter(include_in_schema=False)
router.include_router(home.router)

ICON = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="7" fill="#1d5c63"/>
<path d="M11 25V8h6a5.5 5.5 0 0 1 0 11h-6" fill="none" stroke="#fff" stroke-width="3.4"/></svg>
"""
#: Why somebody is asked to sign in; an address names a reason, never its words.
REASONS = {
    home.ENDED: "Your session has ended. Please sign in again.",
    home.UNDECIDED: "Your session has ended, so your decision was not recorded. "
    "Please sign in and decide again.",
    "signed-out": "You are signed out.",
}
_BEFORE_LOGIN = "perdure_form"


@router.get("/login")
async def login_page(request: Request, parts: Parts, reason: str = "") -> Response:
    try:
        await signed_in(request, parts)
    except Unauthenticated:
        return _login_page(request, parts, reason=REASONS.get(reason, ""))
    return RedirectResponse("/", 303)


@router.post("/login")
async def login(request: Request, parts: Parts, entrance: Entrance, device: From) -> Response:
    form = await form_of(request)
    email = form.get("email", "")
    try:
        check_form(request, parts, form, request.cookies.get(_BEFORE_LOGIN))
        found = await entrance.login(email, form.get("password", ""), device)
        cookie = await entrance.open_cookie(found.user_id, device)
    except (Forbidden, Unauthenticated, TooManyRequests) as refusal:
        return _login_page(request, parts, refusal, email)
    answer = RedirectResponse("/", 303)
    set_cookie(parts, answer, cookie_name(parts), cookie, seconds=int(SESSION_LIFETIME.total_seconds()))
    answer.delete_cookie(_BEFORE_LOGIN, path="/login")
    return answer


@router.post("/logout")
async def logout(request: Request, parts: Parts, entrance: Entrance) -> Response:
    cookie = request.cookies.get(cookie_name(parts))
    if cookie is not None:
        check_form(request, parts, await form_of(request), cookie)
        await entrance.end(cookie_sha256(cookie))
    answer = RedirectResponse("/login?reason=signed-out", 303)
    answer.delete_cookie(
        cookie_name(parts), path="/", secure=parts.security.is_https, httponly=True, samesite="strict"
    )
    return answer


def _login_page(
    request: Request,
    parts: Collaborators,
    refusal: DomainError | None = None,
    email: str = "",
    reason: str = "",
) -> Response:
    # The form token is bound to a cookie of its own: no other site can sign a visitor in as somebody else.
    cookie = request.cookies.get(_BEFORE_LOGIN) or token_urlsafe(24)
    answer = render(
        "login.html",
        200 if refusal is None else status_of(refusal),
        csrf=csrf_token(parts.security.token_secret, cookie),
        problem=refusal.message if refusal is not None else "",
        reason=reason,
        email=email,
    )
    set_cookie(parts, answer, _BEFORE_LOGIN, cookie, seconds=3600, path="/login")
    if isinstance(refusal, TooManyRequests):
        answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer


@router.get("/static/console.css")
async def stylesheet() -> FileResponse:
    return FileResponse(HERE / "console.css", media_type="text/css", headers={"Cache-Control": "max-age=300"})


@router.get("/static/icon.svg")
async def icon() -> Response:
    return Response(ICON, media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})
