"""Home: what waits for this person, what ran last, and deciding a task with a plain form."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, cookie_name
from api.collaborators import Collaborators, Parts
from api.console.templates import render
from api.console.visits import check_form, form_of, moment, signed_in
from api.errors import status_of
from api.tokens import csrf_token
from db.identity import Users
from db.overview import newest_executions
from db.tasks import TaskFilters, Tasks
from db.tenants import Organizations
from domain.errors import DomainError, Forbidden, Invalid, NotFound, Unauthenticated
from domain.executions import ExecutionStatus, TaskOutcome, TaskStatus
from domain.permissions import Permission
from domain.tasks import Decider, Decision, TaskClosed

router = APIRouter(include_in_schema=False)

NEWEST = 20
COMMENT_LENGTH = 2000
#: Told apart by shape as well as by word and colour. Plain geometry that text fonts have: an hourglass, say,
#: shows as an empty box where no emoji font is installed and as a coloured picture where one is.
SHAPES = {
    ExecutionStatus.QUEUED: "○",
    ExecutionStatus.RUNNING: "▸",
    ExecutionStatus.WAITING: "◐",
    ExecutionStatus.PAUSED: "‖",
    ExecutionStatus.COMPLETED: "✓",
    ExecutionStatus.FAILED: "✗",
    ExecutionStatus.CANCELLED: "⊘",
    ExecutionStatus.TIMED_OUT: "◷",
    ExecutionStatus.TERMINATED: "■",
}
ENDED, UNDECIDED = "session-ended", "not-decided"


@router.get("/")
async def home(request: Request, parts: Parts, decided: str = "") -> Response:
    try:
        cookie, caller = await signed_in(request, parts)
    except Unauthenticated:
        return _to_login(ENDED if cookie_name(parts) in request.cookies else "")
    return await _home(parts, cookie, caller, decided=decided)


@router.post("/tasks/{task_id}/decision")
async def decide(task_id: str, request: Request, parts: Parts) -> Response:
    try:
        cookie, caller = await signed_in(request, parts)
    except Unauthenticated:
        return _to_login(UNDECIDED)
    form = await form_of(request)
    try:
        check_form(request, parts, form, cookie)
        await _decide(parts, caller, _id(task_id), form)
    except TaskClosed:
        return await _home(parts, cookie, caller, problem=TaskClosed(await _closed(parts, caller, task_id)))
    except DomainError as refusal:
        return await _home(parts, cookie, caller, problem=refusal)
    # A redirect, so that reloading the page sends nothing again.
    return RedirectResponse(f"/?decided={task_id}", 303)


def _to_login(reason: str) -> Response:
    return RedirectResponse(f"/login?reason={reason}" if reason else "/login", 303)


async def _decide(parts: Collaborators, caller: Caller, task_id: UUID, form: Mapping[str, str]) -> None:
    if not caller.may(Permission.TASKS_DECIDE):
        raise Forbidden
    if form.get("outcome") not in set(TaskOutcome):
        raise Invalid("Nothing was decided: choose Approve or Reject.")
    decision = Decision(
        TaskOutcome(form["outcome"]), form.get("comment", "").strip()[:COMMENT_LENGTH] or None
    )
    async with parts.database.transaction(caller.access) as tx:
        user = await Users(tx).get(caller.user_id)
        decider = Decider(caller.user_id, user["email"], caller.role or "")
        decided = await Tasks(tx).decide(task_id, decision, decider, at=parts.clock())
    if decided.entry is not None:
        await parts.dispatcher.dispatch(decided.entry)


async def _home(
    parts: Collaborators,
    cookie: str,
    caller: Caller,
    *,
    decided: str = "",
    problem: DomainError | None = None,
) -> Response:
    executions: Any = []
    tasks: Any = []
    done: RowMapping | None = None
    name = "No organization"
    async with parts.database.transaction(caller.access) as tx:
        user = await Users(tx).get(caller.user_id)
        if caller.organization_id is not None:
            name = (await Organizations(tx).get(caller.organization_id))["name"]
        if caller.may(Permission.EXECUTIONS_READ):
            executions = await newest_executions(tx, NEWEST + 1)
        if caller.may(Permission.TASKS_READ):
            mine = Decider(caller.user_id, user["email"], caller.role or "")
            filters = TaskFilters(status=TaskStatus.OPEN, decider=mine)
            tasks = await Tasks(tx).page(filters, before=None, limit=NEWEST + 1)
            done = await _decided(tx, caller, decided)
    return render(
        "home.html",
        200 if problem is None else status_of(problem),
        csrf=csrf_token(parts.security.token_secret, cookie),
        person=" ".join(filter(None, (user["first_name"], user["last_name"]))) or user["email"],
        email=user["email"],
        role=caller.role or "member",
        organization=name,
        executions=[{**each, "detail": _detail(each)} for each in executions],
        may_read_executions=caller.may(Permission.EXECUTIONS_READ),
        may_decide=caller.may(Permission.TASKS_DECIDE),
        tasks=tasks,
        newest=NEWEST,
        shapes=SHAPES,
        moment=moment,
        comment_length=COMMENT_LENGTH,
        decided=done,
        problem=problem.message if problem is not None else "",
    )


async def _closed(parts: Collaborators, caller: Caller, task_id: str) -> str:
    """What became of a task somebody wanted to decide, in words for a person instead of ids."""
    async with parts.database.transaction(caller.access) as tx:
        task = await Tasks(tx).get(_id(task_id))
    if task["outcome"] is None:
        return f"“{task['title']}” no longer needs a decision: its execution has ended."
    who = "You" if task["decided_by"] == caller.user_id else "Somebody else"
    at = moment(task["decided_at"])
    return f"{who} {task['outcome']} “{task['title']}” before, on {at}; the first decision counts."


def _detail(execution: Mapping[str, Any]) -> str:
    """What an execution waits for or why it failed; empty while there is nothing to tell."""
    waiting = execution["waiting_on"]
    if execution["status"] == ExecutionStatus.WAITING and waiting:
        until = f", until {moment(datetime.fromisoformat(waiting['until']))}" if "until" in waiting else ""
        return f"Waits for: {waiting.get('title') or waiting.get('step', 'an event')}{until}"
    return execution["error_message"] or ""


async def _decided(tx: AsyncConnection, caller: Caller, task_id: str) -> RowMapping | None:
    """The task the address says was decided, if this person did: a link cannot make us claim anything else."""
    if not task_id:
        return None
    try:
        task = await Tasks(tx).get(_id(task_id))
    except NotFound:
        return None
    return task if task["decided_by"] == caller.user_id else None


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None
