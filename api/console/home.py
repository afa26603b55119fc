"""Home, and deciding a task there with a plain form."""

from collections.abc import Mapping
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from api.auth import Caller, cookie_name
from api.collaborators import Collaborators, Parts
from api.console.front import COMMENT_LENGTH, front_page, task_id_of
from api.console.visits import check_form, form_of, signed_in
from api.console.wording import moment
from api.identification import MfaEnrolmentRequired
from db.identity import Users
from db.tasks import Tasks
from domain.errors import DomainError, Forbidden, Invalid, Unauthenticated
from domain.executions import TaskOutcome
from domain.onetime import PATHS, Purpose
from domain.permissions import Permission
from domain.tasks import Decider, Decision, TaskClosed

router = APIRouter(include_in_schema=False)

#: Holds the link of an invitation while its reader signs in.
INVITED = "perdure_invitation"
ENDED, UNDECIDED = "session-ended", "not-decided"


@router.get("/")
async def home(request: Request, parts: Parts, decided: str = "") -> Response:
    try:
        cookie, caller = await signed_in(request, parts)
    except Unauthenticated:
        return _to_login(ENDED if cookie_name(parts) in request.cookies else "")
    except MfaEnrolmentRequired:
        return RedirectResponse("/second-factor", 303)
    if INVITED in request.cookies:
        return RedirectResponse(PATHS[Purpose.INVITATION], 303)
    return await front_page(parts, cookie, caller, decided=decided)


@router.post("/tasks/{task_id}/decision")
async def decide(task_id: str, request: Request, parts: Parts) -> Response:
    try:
        cookie, caller = await signed_in(request, parts)
    except Unauthenticated:
        return _to_login(UNDECIDED)
    except MfaEnrolmentRequired:
        return RedirectResponse("/second-factor", 303)
    form = await form_of(request)
    try:
        check_form(request, parts, form, cookie)
        await _decide(parts, caller, task_id_of(task_id), form)
    except TaskClosed:
        return await front_page(
            parts, cookie, caller, problem=TaskClosed(await _closed(parts, caller, task_id))
        )
    except DomainError as refusal:
        return await front_page(parts, cookie, caller, problem=refusal)
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


async def _closed(parts: Collaborators, caller: Caller, task_id: str) -> str:
    """What became of a task somebody wanted to decide, in words for a person instead of ids."""
    async with parts.database.transaction(caller.access) as tx:
        task = await Tasks(tx).get(task_id_of(task_id))
    if task["outcome"] is None:
        return f"“{task['title']}” no longer needs a decision: its execution has ended."
    who = "You" if task["decided_by"] == caller.user_id else "Somebody else"
    at = moment(task["decided_at"])
    return f"{who} {task['outcome']} “{task['title']}” before, on {at}; the first decision counts."
