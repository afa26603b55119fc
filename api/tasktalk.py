"""What people do about a task besides deciding it: claim, release, delegate, comment, and look at its history."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import Caller
from api.collaborators import Collaborators, Parts
from api.fields import Body, Prose
from api.idempotency import Answer, Idempotent
from api.mailing import mail, send
from api.pagination import Paging
from api.tasks import Judge, Reader, TaskView, decider_of, shown
from db.outbox import OutboxEntry
from db.taskhandling import Handling
from db.taskhistory import TaskEvents
from db.tasks import Tasks
from db.tenants import Organizations
from domain.executions import TaskOutcome
from domain.permissions import Permission
from domain.tasks import Decider, OnOverdue
from domain.tasks.history import TaskEventKind
from domain.tasks.words import until

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])


class Delegation(Body):
    to: Annotated[str, Field(min_length=3, max_length=330, description="The member's e-mail address.")]
    comment: Prose | None = None


class CommentBody(Body):
    comment: Prose = Field(min_length=1)


class TaskEventView(BaseModel):
    id: UUID
    kind: TaskEventKind
    user_id: UUID | None
    client_id: UUID | None
    outcome: TaskOutcome | None
    comment: str | None
    data: Any = Field(description="What was filled in, with the words of those who decided.")
    about: dict[str, Any] = Field(
        description="What else there is to say: `to`, `mailed`, `unknown` candidates."
    )
    created_at: datetime


class TaskEventPage(BaseModel):
    items: list[TaskEventView]
    next_cursor: str | None


@router.post("/{id}/claim", operation_id="tasks_claim", response_model=TaskView)
async def claim_task(caller: Judge, parts: Parts, once: Idempotent, id: UUID) -> Response:
    """Take it upon yourself: nobody else decides it until you do, or release it."""

    async def claim(tx: AsyncConnection) -> Answer[None]:
        row = await Handling(tx).claim(id, await decider_of(tx, caller), at=parts.clock())
        return Answer(200, shown(row))

    return (await once.run(caller, claim)).response()


@router.post("/{id}/release", operation_id="tasks_release", response_model=TaskView)
async def release_task(caller: Judge, parts: Parts, once: Idempotent, id: UUID) -> Response:
    """Give it back to all candidates. Who may control executions also releases what others have claimed."""
    for_others = caller.may(Permission.EXECUTIONS_CONTROL)

    async def release(tx: AsyncConnection) -> Answer[None]:
        row = await Handling(tx).release(id, await decider_of(tx, caller), for_others=for_others)
        return Answer(200, shown(row))

    return (await once.run(caller, release)).response()


@router.post("/{id}/delegate", operation_id="tasks_delegate", response_model=TaskView)
async def delegate_task(
    caller: Judge, parts: Parts, once: Idempotent, id: UUID, body: Delegation
) -> Response:
    """Hand it to a colleague who may decide it; they are told by mail."""

    async def delegate(tx: AsyncConnection) -> Answer[OutboxEntry]:
        decider, now = await decider_of(tx, caller), parts.clock()
        row = await Handling(tx).delegate(id, decider, body.to, at=now, comment=body.comment)
        return Answer(200, shown(row), carry=await tell_delegate(parts, tx, caller, row, decider, body.to))

    answer = await once.run(caller, delegate)
    await send(parts, answer.carry)
    return answer.response()


async def tell_delegate(
    parts: Collaborators, tx: AsyncConnection, caller: Caller, task: RowMapping, by: Decider, to: str
) -> OutboxEntry | None:
    """The mail to a member who was just handed a task, to be sent once the transaction has committed."""
    organization = await Organizations(tx).get(caller.organization)
    ends = task["on_overdue"] != OnOverdue.KEEP
    return await mail(
        parts,
        tx,
        "task-delegated",
        to=to.removeprefix("user:"),
        values={
            "organization": organization["name"],
            "title": task["title"],
            "by": by.email,
            "when": until(task["due_at"], organization["timezone"], ends=ends, now=parts.clock()),
        },
        path=f"/tasks/{task['id']}",
        organization_id=caller.organization,
        started_by=caller.user_id,
    )


@router.post("/{id}/comments", operation_id="tasks_comment", status_code=201, response_model=TaskEventView)
async def comment_task(
    caller: Judge, parts: Parts, once: Idempotent, id: UUID, body: CommentBody
) -> Response:
    """Say something to whoever reads the task; it changes nothing about it."""

    async def comment(tx: AsyncConnection) -> Answer[None]:
        row = await Handling(tx).comment(id, await decider_of(tx, caller), body.comment)
        return Answer(201, TaskEventView.model_validate(dict(row)).model_dump(mode="json"))

    return (await once.run(caller, comment)).response()


@router.get("/{id}/comments", operation_id="tasks_comments", response_model=TaskEventPage)
async def list_comments(caller: Reader, parts: Parts, paging: Paging, id: UUID) -> Any:
    """Oldest first."""
    async with parts.database.transaction(caller.access) as tx:
        return await _page(tx, paging, id, TaskEventKind.COMMENTED)


@router.get("/{id}/events", operation_id="tasks_events", response_model=TaskEventPage)
async def list_task_events(caller: Reader, parts: Parts, paging: Paging, id: UUID) -> Any:
    """Everything that happened to the task, oldest first."""
    async with parts.database.transaction(caller.access) as tx:
        return await _page(tx, paging, id, None)


async def _page(tx: AsyncConnection, paging: Paging, id: UUID, kind: TaskEventKind | None) -> Any:
    await Tasks(tx).get(id)  # of another organization it is none, rather than one without a history
    rows = await TaskEvents(tx).page(id, kind=kind, after=paging.before, limit=paging.fetch)
    return paging.page(rows, lambda row: (row["created_at"], row["id"]), dict)
