"""Sign in, home, sign out: the pages that work with a cookie, a form token and no script."""

from datetime import datetime
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from api.auth import Caller, cookie_name, identification_of
from api.collaborators import Collaborators, Parts
from api.console.templates import HERE, render
from api.errors import status_of
from api.identity import Entrance, From
from api.tokens import SESSION_LIFETIME, cookie_sha256, csrf_matches, csrf_token
from db.executions import Executions
from db.identity import Users
from db.tasks import TaskFilters, Tasks
from db.tenants import Organizations
from domain.errors import DomainError, Forbidden, NotFound, TooManyRequests, Unauthenticated
from domain.executions import ExecutionStatus, TaskOutcome, TaskStatus
from domain.permissions import Permission
from domain.tasks import Decider, Decision

router = APIRouter(include_in_schema=False)

NEWEST = 20
#: Told apart by shape as well as by word and colour.
SHAPES = {
    ExecutionStatus.QUEUED: "○",
    ExecutionStatus.RUNNING: "▶",
    ExecutionStatus.WAITING: "⏳",
    ExecutionStatus.PAUSED: "‖",
    ExecutionStatus.COMPLETED: "✓",
    ExecutionStatus.FAILED: "✗",
    ExecutionStatus.CANCELLED: "⊘",
    ExecutionStatus.TIMED_OUT: "⌛",
    ExecutionStatus.TERMINATED: "■",
}
ICON = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="7" fill="#1d5c63"/>
<path d="M11 25V8h6a5.5 5.5 0 0 1 0 11h-6" fill="none" stroke="#fff" stroke-width="3.4"/></svg>
"""
_BEFORE_LOGIN = "perdure_form"


@router.get("/login")
async def login_page(request: Request, parts: Parts) -> Response:
    return _login_page(request, parts)


@router.post("/login")
async def login(request: Request, parts: Parts, entrance: Entrance, device: From) -> Response:
    form = await _form(request)
    email = form.get("email", "")
    try:
        _check_form(request, parts, form, request.cookies.get(_BEFORE_LOGIN))
        found = await entrance.login(email, form.get("password", ""), device)
        cookie = await entrance.open_cookie(found.user_id, device)
    except (Forbidden, Unauthenticated, TooManyRequests) as refusal:
        return _login_page(request, parts, refusal, email)
    answer = RedirectResponse("/", 303)
    _set_cookie(parts, answer, cookie_name(parts), cookie, seconds=int(SESSION_LIFETIME.total_seconds()))
    answer.delete_cookie(_BEFORE_LOGIN, path="/login")
    return answer


@router.post("/logout")
async def logout(request: Request, parts: Parts, entrance: Entrance) -> Response:
    cookie = request.cookies.get(cookie_name(parts))
    if cookie is not None:
        _check_form(request, parts, await _form(request), cookie)
        await entrance.end(cookie_sha256(cookie))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(
        cookie_name(parts), path="/", secure=parts.security.is_https, httponly=True, samesite="strict"
    )
    return answer


@router.get("/")
async def home(request: Request, parts: Parts) -> Response:
    try:
        cookie, caller = await _signed_in(request, parts)
    except Unauthenticated:
        return RedirectResponse("/login", 303)
    return await _home(parts, cookie, caller)


@router.post("/tasks/{task_id}/decision")
async def decide(task_id: str, request: Request, parts: Parts) -> Response:
    try:
        cookie, caller = await _signed_in(request, parts)
    except Unauthenticated:
        return RedirectResponse("/login", 303)
    form = await _form(request)
    try:
        _check_form(request, parts, form, cookie)
        outcome = await _decide(parts, caller, _id(task_id), form)
    except DomainError as refusal:
        return await _home(parts, cookie, caller, problem=refusal)
    return await _home(parts, cookie, caller, notice=f"Your decision was recorded: {outcome}.")


async def _decide(parts: Collaborators, caller: Caller, task_id: UUID, form: dict[str, str]) -> TaskOutcome:
    if not caller.may(Permission.TASKS_DECIDE):
        raise Forbidden
    outcome = TaskOutcome.APPROVED if form.get("outcome") == TaskOutcome.APPROVED else TaskOutcome.REJECTED
    decision = Decision(outcome, form.get("comment", "").strip()[:2000] or None)
    async with parts.database.transaction(caller.access) as tx:
        user = await Users(tx).get(caller.user_id)
        decider = Decider(caller.user_id, user["email"], caller.role or "")
        decided = await Tasks(tx).decide(task_id, decision, decider, at=parts.clock())
    if decided.entry is not None:
        await parts.dispatcher.dispatch(decided.entry)
    return outcome


async def _home(
    parts: Collaborators, cookie: str, caller: Caller, *, notice: str = "", problem: DomainError | None = None
) -> Response:
    executions: Any = []
    tasks: Any = []
    name = "No organization"
    async with parts.database.transaction(caller.access) as tx:
        user = await Users(tx).get(caller.user_id)
        if caller.organization_id is not None:
            name = (await Organizations(tx).get(caller.organization_id))["name"]
        if caller.may(Permission.EXECUTIONS_READ):
            executions = await Executions(tx).page(limit=NEWEST)
        if caller.may(Permission.TASKS_READ):
            mine = Decider(caller.user_id, user["email"], caller.role or "")
            filters = TaskFilters(status=TaskStatus.OPEN, decider=mine)
            tasks = await Tasks(tx).page(filters, before=None, limit=NEWEST)
    return render(
        "home.html",
        200 if problem is None else status_of(problem),
        csrf=csrf_token(parts.security.token_secret, cookie),
        person=" ".join(filter(None, (user["first_name"], user["last_name"]))) or user["email"],
        email=user["email"],
        role=caller.role or "member",
        organization=name,
        executions=executions[:NEWEST],
        tasks=tasks,
        shapes=SHAPES,
        moment=_moment,
        notice=notice,
        problem=problem.message if problem is not None else "",
    )


def _login_page(
    request: Request, parts: Collaborators, refusal: DomainError | None = None, email: str = ""
) -> Response:
    # The form token is bound to a cookie of its own: no other site can sign a visitor in as somebody else.
    cookie = request.cookies.get(_BEFORE_LOGIN) or token_urlsafe(24)
    answer = render(
        "login.html",
        200 if refusal is None else status_of(refusal),
        csrf=csrf_token(parts.security.token_secret, cookie),
        problem=refusal.message if refusal is not None else "",
        email=email,
    )
    _set_cookie(parts, answer, _BEFORE_LOGIN, cookie, seconds=3600, path="/login")
    if isinstance(refusal, TooManyRequests):
        answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer


async def _signed_in(request: Request, parts: Collaborators) -> tuple[str, Caller]:
    cookie = request.cookies.get(cookie_name(parts))
    if cookie is None:
        raise Unauthenticated
    return cookie, await identification_of(request).by_cookie(cookie)


async def _form(request: Request) -> dict[str, str]:
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


def _check_form(request: Request, parts: Collaborators, form: dict[str, str], cookie: str | None) -> None:
    """A form of ours, from a page of ours: the token fits the cookie and the browser names no other site."""
    origin = request.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    token = form.get("csrf_token", "")
    if foreign or cookie is None or not csrf_matches(parts.security.token_secret, cookie, token):
        raise Forbidden("This form is no longer valid; please send it again.")


def _set_cookie(
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


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None


def _moment(moment: datetime) -> str:
    return f"{moment:%d %b %Y, %H:%M}"


@router.get("/static/console.css")
async def stylesheet() -> FileResponse:
    return FileResponse(HERE / "console.css", media_type="text/css", headers={"Cache-Control": "max-age=300"})


@router.get("/static/icon.svg")
async def icon() -> Response:
    return Response(ICON, media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})
