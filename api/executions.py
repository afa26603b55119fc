"""Executions: what runs and ran, step by step, and asking one to stop."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Parts
from api.executionviews import ExecutionSummary, ExecutionView, StepView, show_all, show_one
from api.fields import Body, Moment
from api.idempotency import Answer, Idempotent
from api.noting import noted
from api.pagination import Paging
from api.revisions import moment_of, revision_of
from db.activity import Activities
from db.control import ExecutionClosed
from db.executions import CancelResult, Executions, cancellation
from db.outbox import Outbox, OutboxEntry
from domain.activities import Act
from domain.executions import ExecutionStatus, TriggerType
from domain.permissions import Permission

router = APIRouter(tags=["executions"])

Reader = Annotated[Caller, Depends(require(Permission.EXECUTIONS_READ))]
Canceller = Annotated[Caller, Depends(require(Permission.EXECUTIONS_CANCEL))]
PATH = "/v1/executions"


class CancelBody(Body):
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""


class ExecutionPage(BaseModel):
    items: list[ExecutionSummary]
    next_cursor: str | None


class StepPage(BaseModel):
    items: list[StepView]
    next_cursor: str | None


class LogView(BaseModel):
    items: list[Any] = Field(description="The last entries, oldest first; `steps` holds everything.")


@router.get(PATH, operation_id="executions_list", response_model=ExecutionPage)
async def list_executions(
    *,
    caller: Reader,
    parts: Parts,
    paging: Paging,
    workflow_id: UUID | None = None,
    status: Annotated[list[ExecutionStatus], Query(description="May be repeated.")] = [],  # noqa: B006
    trigger: TriggerType | None = None,
    created_from: Annotated[Moment | None, Query(alias="from", description="Queued at or after.")] = None,
    created_to: Annotated[Moment | None, Query(alias="to", description="Queued before.")] = None,
    parent_id: Annotated[UUID | None, Query(description="Started by this execution.")] = None,
    rerun_of_id: Annotated[UUID | None, Query(description="Repeating this execution.")] = None,
) -> Any:
    """Newest first."""
    async with parts.database.transaction(caller.access) as tx:
        rows = await Executions(tx).page(
            limit=paging.limit,
            before=paging.before,
            workflow_id=workflow_id,
            statuses=status,
            trigger=trigger,
            created_from=created_from,
            created_to=created_to,
            parent_id=parent_id,
            rerun_of_id=rerun_of_id,
        )
        views = await show_all(tx, rows, ExecutionSummary)
    return paging.page(views, lambda view: (view.created_at, view.id), lambda view: view)


@router.get(PATH + "/{id}", operation_id="executions_get", response_model=ExecutionView)
async def get_execution(caller: Reader, parts: Parts, id: UUID) -> Any:
    """The whole mirror of one execution: where it stands, what it waits for, what came out."""
    async with parts.database.transaction(caller.access) as tx:
        return await show_one(tx, await Executions(tx).get(id))


@router.get(PATH + "/{id}/steps", operation_id="executions_steps", response_model=StepPage)
async def list_steps(caller: Reader, parts: Parts, paging: Paging, id: UUID) -> Any:
    """Every entry into a step, in the order in which they began."""
    after = revision_of(paging.before[0]) if paging.before else None
    async with parts.database.transaction(caller.access) as tx:
        await Executions(tx).get(id)
        rows = await Executions(tx).steps(id, limit=paging.limit, after=after)
    # A cursor holds a moment and an id; a position travels as so many microseconds.
    return paging.page(rows, lambda row: (moment_of(row["position"]), id), StepView.of)


@router.get(PATH + "/{id}/log", operation_id="executions_log", response_model=LogView)
async def get_log(caller: Reader, parts: Parts, id: UUID) -> Any:
    async with parts.database.transaction(caller.access) as tx:
        row = await Executions(tx).get(id)
    return {"items": row["execution_log"]}


@router.post(
    PATH + "/{id}/cancel",
    operation_id="executions_cancel",
    status_code=202,
    response_model=ExecutionView,
    responses={200: {"model": ExecutionView, "description": "It is closed; nothing was running."}},
)
async def cancel_execution(
    caller: Canceller, parts: Parts, once: Idempotent, id: UUID, body: CancelBody | None = None
) -> Response:
    """What has not started closes at once (200); what runs is asked to stop (202).

    What still runs 5 seconds later or more is terminated by a second request: at once, without compensation.
    """

    async def cancel(tx: AsyncConnection) -> Answer[OutboxEntry]:
        result, row = await Executions(tx).request_cancel(id)
        if result is CancelResult.TERMINAL and not _cancelled_on_request(row):
            raise ExecutionClosed(f"This execution is {row['status']}; there is nothing left to cancel.")
        entry = None
        if result not in (CancelResult.TERMINAL, CancelResult.ALREADY_REQUESTED):
            activity = noted(
                caller, Act.EXECUTION_CANCELLED.value, "workflow_executions", id, how=result.value
            )
            await Activities(tx).note([activity])
        if result in (CancelResult.REQUESTED, CancelResult.TERMINATE):
            entry = cancellation(row, body.reason if body else "", result)
            await Outbox(tx).add(entry)
        view = (await show_one(tx, row)).model_dump(mode="json")
        return Answer(202 if result in _PENDING else 200, view, carry=entry)

    answer = await once.run(caller, cancel)
    if answer.carry is not None:
        await parts.dispatcher.dispatch(answer.carry)
    return answer.response()


_PENDING = (CancelResult.REQUESTED, CancelResult.ALREADY_REQUESTED, CancelResult.TERMINATE)


def _cancelled_on_request(row: RowMapping) -> bool:
    """So a caller that lost the first answer gets it again."""
    return row["status"] == ExecutionStatus.CANCELLED and row["cancel_requested_at"] is not None
