"""Tasks: the inbox of work that executions have for people."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Parts
from api.fields import AnyJson, Body, Prose
from api.idempotency import Answer, Idempotent
from api.pagination import Paging
from db.identity import Users
from db.outbox import OutboxEntry
from db.taskdeciding import Deciding
from db.tasks import TaskFilters, Tasks
from domain.executions import TaskOutcome, TaskStatus
from domain.permissions import Permission
from domain.tasks import Decider, Decision, OnOverdue

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])
Reader = Annotated[Caller, Depends(require(Permission.TASKS_READ))]
Judge = Annotated[Caller, Depends(require(Permission.TASKS_DECIDE))]


class DecisionBody(Body):
    outcome: TaskOutcome
    comment: Prose | None = None
    data: AnyJson = Field(None, description="What the task's form asks for.")
    arguments_digest: str | None = Field(
        None, max_length=64, description="The digest of the arguments you saw, where the task has arguments."
    )


class TaskView(BaseModel):
    id: UUID
    execution_id: UUID | None
    occurrence: str = Field(description="The step that waits, and its how-manieth visit.")
    step: str | None = Field(description="The step's name.")
    kind: str = Field(description="`form` is submitted; any other is approved or rejected.")
    title: str
    description: str | None
    form: Any = Field(description="JSON Schema of the `data` a decision brings.")
    arguments: Any = Field(description="What is decided about.")
    arguments_digest: str | None = Field(
        description="SHA-256 of the arguments' canonical form; a decision names it."
    )
    assignees: list[str] = Field(
        description="Candidates: user:<email>, role:<name> or client:<id>; empty: everybody who may decide."
    )
    four_eyes: bool = Field(description="Whoever started the execution may not decide.")
    four_eyes_steps: list[str] = Field(description="Whoever decided one of these steps may not decide.")
    quorum: int = Field(description="How many different people have to approve.")
    claimed_by: UUID | None
    claimed_at: datetime | None
    status: TaskStatus
    outcome: TaskOutcome | None
    decision: Any
    decided_by: UUID | None
    decided_by_client: UUID | None
    decided_at: datetime | None
    due_at: datetime | None
    on_overdue: OnOverdue
    overdue_at: datetime | None
    escalate_at: datetime | None
    escalate_to: list[str]
    escalated_at: datetime | None
    created_at: datetime
    updated_at: datetime


class TaskPage(BaseModel):
    items: list[TaskView]
    next_cursor: str | None


@router.get("", operation_id="tasks_list", response_model=TaskPage)
async def list_tasks(
    *,
    caller: Reader,
    parts: Parts,
    paging: Paging,
    status: TaskStatus | None = None,
    execution_id: UUID | None = None,
    mine: Annotated[bool, Query(description="Only what you may decide.")] = False,
) -> Any:
    """Newest first."""
    async with parts.database.transaction(caller.access) as tx:
        decider = await decider_of(tx, caller) if mine else None
        filters = TaskFilters(status, execution_id, decider)
        rows = await Tasks(tx).page(filters, before=paging.before, limit=paging.fetch)
    return paging.page(rows, lambda row: (row["created_at"], row["id"]), dict)


@router.get("/{id}", operation_id="tasks_get", response_model=TaskView)
async def get_task(caller: Reader, parts: Parts, id: UUID) -> Any:
    async with parts.database.transaction(caller.access) as tx:
        return dict(await Tasks(tx).get(id))


@router.post("/{id}/decision", operation_id="tasks_decide", response_model=TaskView)
async def decide_task(
    caller: Judge, parts: Parts, once: Idempotent, id: UUID, body: DecisionBody
) -> Response:
    """The first decision counts, or so many approvals as the task wants; one rejection rejects.

    The same decision of yours again answers the same; another answers 409 naming the one that stands. A key
    decides as its owner.
    """
    decision = Decision(body.outcome, body.comment, body.data, body.arguments_digest)

    async def decide(tx: AsyncConnection) -> Answer[OutboxEntry]:
        decided = await Deciding(tx).decide(id, decision, await decider_of(tx, caller), at=parts.clock())
        return Answer(200, shown(decided.task), carry=decided.entry)

    answer = await once.run(caller, decide)
    if answer.carry is not None:
        await parts.dispatcher.dispatch(answer.carry)
    return answer.response()


async def decider_of(tx: AsyncConnection, caller: Caller) -> Decider:
    """The caller as tasks know people; the console decides through the same words."""
    return Decider(caller.user_id, (await Users(tx).get(caller.user_id))["email"], caller.role or "")


def shown(row: RowMapping) -> dict[str, Any]:
    """A task as the API shows it."""
    return TaskView.model_validate(dict(row)).model_dump(mode="json")
