"""Cancelling or repeating many executions: counted first, then carried out by a process with a report of each."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Parts
from api.fields import Body, Moment
from api.idempotency import Answer, Idempotent
from api.noting import noted
from api.pagination import Paging
from api.revisions import moment_of, revision_of
from db.activity import Activities
from db.bulk import Bulk
from db.executions import CancelResult, Executions, cancellation
from db.outbox import Outbox, OutboxEntry
from domain.activities import Act
from domain.bulk import MOST, BulkAction, BulkFilters, BulkOutcome, CountDiffers, parts_of
from domain.errors import Conflict, Invalid, Problem
from domain.executions import ExecutionStatus, TriggerType
from domain.permissions import Permission
from domain.processes.bulk import BULK

router = APIRouter(prefix="/v1/bulk", tags=["executions"])
Reader = Annotated[Caller, Depends(require(Permission.EXECUTIONS_READ))]
Canceller = Annotated[Caller, Depends(require(Permission.EXECUTIONS_CANCEL))]
#: As a rerun of one: its plan is made of what the executions say.
Starter = Annotated[Caller, Depends(require(Permission.EXECUTIONS_START, Permission.EXECUTIONS_READ))]
#: Executions that can be named one by one.
MOST_NAMED = 1_000


class OperationEnded(Conflict):
    """This operation has ended; nothing of it is left to be stopped."""

    code = "operation_ended"


class Filters(Body):
    """Which executions are meant; what is left out does not narrow."""

    workflow_id: UUID | None = None
    status: list[ExecutionStatus] = Field(
        default_factory=list,
        max_length=len(ExecutionStatus),
        description="Only open ones can be cancelled, only ended ones be repeated, whatever stands here.",
    )
    trigger: TriggerType | None = None
    created_from: Moment | None = Field(None, alias="from", description="Queued at or after.")
    created_to: Moment | None = Field(None, alias="to", description="Queued before.")
    parent_id: UUID | None = Field(None, description="Started by this execution.")
    ids: list[UUID] = Field(default_factory=list, max_length=MOST_NAMED, description="Among these.")

    def read(self) -> BulkFilters:
        return BulkFilters(
            self.workflow_id,
            self.status,
            self.trigger,
            self.created_from,
            self.created_to,
            self.parent_id,
            self.ids,
        )


class Counting(Body):
    action: BulkAction
    filters: Filters = Field(default_factory=Filters)


class Count(BaseModel):
    count: int = Field(description=f"How many are meant now; {MOST} at most can be.")


class _Asked(Body):
    filters: Filters = Field(default_factory=Filters)
    expected: Annotated[int, Field(ge=1, le=MOST)] = Field(
        description="What `count` said. If another number is meant by now, nothing is done (409 `count_differs`)."
    )


class BulkCancel(_Asked):
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""


class BulkRerun(_Asked):
    confirm_irreversible: bool = Field(
        False, description="Without it, executions whose rerun would do what cannot be undone are refused."
    )


class BulkView(BaseModel):
    id: UUID
    action: BulkAction
    filters: dict[str, Any]
    reason: str | None
    confirms_irreversible: bool
    status: ExecutionStatus = Field(description="Of the process that works on it.")
    total: int
    done: int
    refused: int
    progress: int = Field(description="Percent of the executions that were come to.")
    execution_id: UUID | None
    created_by: UUID | None
    created_at: datetime
    completed_at: datetime | None


class BulkPage(BaseModel):
    items: list[BulkView]
    next_cursor: str | None


class ItemView(BaseModel):
    number: int
    execution_id: UUID
    outcome: BulkOutcome | None = Field(description="Null while nobody has come to it.")
    detail: str | None
    rerun_id: UUID | None
    finished_at: datetime | None


class ItemPage(BaseModel):
    items: list[ItemView]
    next_cursor: str | None


@router.post("/count", operation_id="bulk_count", response_model=Count)
async def count(caller: Reader, parts: Parts, body: Counting) -> Count:
    """How many executions an operation with these filters would be about now. Nothing is done."""
    async with parts.database.transaction(caller.access) as tx:
        return Count(count=await Bulk(tx).count(body.action, body.filters.read()))


@router.post("/cancel", operation_id="bulk_cancel", status_code=202, response_model=BulkView)
async def cancel_many(caller: Canceller, parts: Parts, once: Idempotent, body: BulkCancel) -> Response:
    """Ask each of them to end, as `executions/{id}/cancel` does once."""
    return await _begin(caller, parts, once, BulkAction.CANCEL, body, reason=body.reason or None)


@router.post("/rerun", operation_id="bulk_rerun", status_code=202, response_model=BulkView)
async def rerun_many(caller: Starter, parts: Parts, once: Idempotent, body: BulkRerun) -> Response:
    """Repeat each of them from where it failed, or from its first step; each is planned by itself."""
    return await _begin(
        caller, parts, once, BulkAction.RERUN, body, confirms_irreversible=body.confirm_irreversible
    )


async def _begin(
    caller: Caller, parts: Parts, once: Idempotent, action: BulkAction, body: _Asked, **more: Any
) -> Response:
    id, filters = uuid4(), body.filters.read()

    async def begin(tx: AsyncConnection) -> Answer[OutboxEntry]:
        begun = await parts.processes.start(
            tx,
            BULK,
            caller.organization,
            input={"operation": str(id), "parts": parts_of(body.expected)},
            started_by=caller.user_id,
        )
        values = {
            "id": id,
            "organization_id": caller.organization,
            "action": action.value,
            "filters": filters.as_json(),
            "total": body.expected,
            "execution_id": begun.execution_id,
            "created_by": caller.user_id,
            **more,
        }
        found = await Bulk(tx).add(values, filters)
        if found > MOST:
            message = f"More than {MOST} executions are meant; narrow the filters."
            raise Invalid(problems=[Problem("#/filters", message, None, "too_many")])
        if found != body.expected:
            raise CountDiffers(
                f"{found} executions are meant by now, not {body.expected}; look whether that is still right, and"
                f" send `expected: {found}`."
            )
        activity = noted(
            caller,
            (Act.EXECUTIONS_CANCELLED if action is BulkAction.CANCEL else Act.EXECUTIONS_RERUN).value,
            "bulk_operations",
            id,
            count=found,
        )
        await Activities(tx).note([activity])
        return Answer(202, _shown(await Bulk(tx).get(id)), carry=begun.entry)

    answer = await once.run(caller, begin)
    if answer.carry is not None:
        await parts.dispatcher.dispatch(answer.carry)
    response = answer.response()
    response.headers["Location"] = f"/v1/bulk/{answer.body['id']}"
    return response


@router.get("", operation_id="bulk_list", response_model=BulkPage)
async def list_operations(caller: Reader, parts: Parts, paging: Paging) -> Any:
    """Newest first; they are kept for 30 days."""
    async with parts.database.transaction(caller.access) as tx:
        rows = await Bulk(tx).page(paging.before, paging.fetch)
    return paging.page(rows, lambda row: (row["created_at"], row["id"]), _shown)


@router.get("/{id}", operation_id="bulk_get", response_model=BulkView)
async def get_operation(caller: Reader, parts: Parts, id: UUID) -> Any:
    """How far it is, and what came of it."""
    async with parts.database.transaction(caller.access) as tx:
        return _shown(await Bulk(tx).get(id))


@router.get("/{id}/items", operation_id="bulk_items", response_model=ItemPage)
async def list_items(
    caller: Reader,
    parts: Parts,
    paging: Paging,
    id: UUID,
    outcome: Annotated[BulkOutcome | None, Query(description="Only those.")] = None,
) -> Any:
    """The report: each execution, the oldest first, and what came of it."""
    after = revision_of(paging.before[0]) if paging.before else 0
    async with parts.database.transaction(caller.access) as tx:
        await Bulk(tx).get(id)
        rows = await Bulk(tx).items(id, outcome=outcome, after=after, limit=paging.fetch)
    # A cursor holds a moment and an id; a number travels as so many microseconds.
    return paging.page(rows, lambda row: (moment_of(row["number"]), id), _item)


@router.post("/{id}/stop", operation_id="bulk_stop", status_code=202, response_model=BulkView)
async def stop_operation(caller: Canceller, parts: Parts, once: Idempotent, id: UUID) -> Response:
    """Leave the executions alone that nobody has come to yet. What was done stays done."""

    async def stop(tx: AsyncConnection) -> Answer[OutboxEntry]:
        operation = await Bulk(tx).get(id)
        if operation["completed_at"] is not None or operation["execution_id"] is None:
            raise OperationEnded
        result, row = await Executions(tx).request_cancel(operation["execution_id"])
        if result is CancelResult.TERMINAL and row["status"] != ExecutionStatus.CANCELLED:
            raise OperationEnded
        entry = None
        if result is CancelResult.REQUESTED:
            entry = cancellation(row, "the bulk operation was stopped", result)
            await Outbox(tx).add(entry)
        activity = noted(caller, Act.EXECUTION_CANCELLED.value, "workflow_executions", row["id"])
        await Activities(tx).note([activity])
        return Answer(202, _shown(await Bulk(tx).get(id)), carry=entry)

    answer = await once.run(caller, stop)
    if answer.carry is not None:
        await parts.dispatcher.dispatch(answer.carry)
    return answer.response()


def _shown(row: RowMapping) -> dict[str, Any]:
    come_to = row["done"] + row["refused"]
    complete = row["completed_at"] is not None
    status = ExecutionStatus.COMPLETED if complete else row["execution_status"] or ExecutionStatus.TERMINATED
    view = BulkView(
        **{name: row[name] for name in BulkView.model_fields if name not in ("status", "progress")},
        status=status,
        progress=100 if complete else min(99, 100 * come_to // max(1, row["total"])),
    )
    return view.model_dump(mode="json")


def _item(row: RowMapping) -> dict[str, Any]:
    return {name: row[name] for name in ItemView.model_fields}
