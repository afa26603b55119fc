"""What the home page shows: tasks and executions, each in words a person reads."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import Response
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller
from api.collaborators import Collaborators
from api.console.templates import render
from api.console.wording import moment
from api.errors import status_of
from api.tokens import csrf_token
from db.identity import Users
from db.logins import Identities
from db.overview import newest_executions
from db.tasks import TaskFilters, Tasks
from db.tenants import Organizations
from domain.errors import DomainError, NotFound
from domain.executions import ExecutionStatus, TaskStatus
from domain.permissions import Permission
from domain.tasks import Decider

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


async def front_page(
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
        mine = await Identities(tx).organizations(caller.user_id)
        if caller.organization_id is not None:
            name = (await Organizations(tx).get(caller.organization_id))["name"]
        if caller.may(Permission.EXECUTIONS_READ):
            executions = await newest_executions(tx, NEWEST + 1)
        if caller.may(Permission.TASKS_READ):
            decider = Decider(caller.user_id, user["email"], caller.role or "")
            filters = TaskFilters(status=TaskStatus.OPEN, decider=decider)
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
        organization_id=caller.organization_id,
        organizations=mine,
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
        task = await Tasks(tx).get(task_id_of(task_id))
    except NotFound:
        return None
    return task if task["decided_by"] == caller.user_id else None


def task_id_of(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None
