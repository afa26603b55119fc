"""Schedules: when they fire next, what became of every fire, pausing, starting afterwards and at once."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Parts
from api.fields import Body, Moment
from api.idempotency import Answer, Idempotent
from api.pagination import Paging
from api.scheduleviews import OccurrencePage, SchedulePage, ScheduleView, show_occurrence, show_schedules
from api.scheduling import backfill_one, backfill_plan, pause_one, resume_one, run_one, view_of, withdraw_one
from api.starting import Accepted
from db.outbox import OutboxEntry
from db.schedules import OccurrenceFilters, Occurrences, Schedules
from domain.permissions import Permission
from domain.schedules.backfill import BackfillPlan
from domain.schedules.occurrences import LARGEST_BACKFILL, OccurrenceStatus

router = APIRouter(tags=["schedules"])
Reader = Annotated[Caller, Depends(require(Permission.TRIGGERS_READ))]
Writer = Annotated[Caller, Depends(require(Permission.TRIGGERS_WRITE))]
Starter = Annotated[Caller, Depends(require(Permission.EXECUTIONS_START))]
PATH = "/v1/schedules"
SHOWN = 100


class PauseBody(Body):
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] | None = None


class BackfillBody(Body):
    from_: Moment = Field(alias="from", description="The first nominal moment that may be started.")
    to: Moment = Field(description="The last one.")
    expected: int = Field(
        ge=0, le=LARGEST_BACKFILL, description="`count` of the plan that was looked at before."
    )
    side_by_side: bool = Field(
        False, description="Start all at once; otherwise each waits until the one before has ended."
    )


class BackfillView(BaseModel):
    count: int = Field(description="How many executions it starts.")
    already_started: int = Field(description="Fires of this span that have run, or are about to.")
    nominal: list[datetime] = Field(description=f"The first {SHOWN} nominal moments that it starts.")


class Withdrawn(BaseModel):
    withdrawn: int = Field(description="Fires that had not been started and will not be.")


@router.get(PATH, operation_id="schedules_list", response_model=SchedulePage)
async def list_schedules(
    caller: Reader, parts: Parts, paging: Paging, workflow_id: UUID | None = None
) -> Any:
    """Newest first; those of triggers that were removed and of archived workflows are left out."""
    async with parts.database.transaction(caller.access) as tx:
        rows = await Schedules(tx).page(before=paging.before, limit=paging.fetch, workflow_id=workflow_id)
        views = await show_schedules(tx, rows, parts.clock())
    return paging.page(views, lambda view: (view.created_at, view.id), lambda view: view)


@router.get(PATH + "/{id}", operation_id="schedules_get", response_model=ScheduleView)
async def get_schedule(caller: Reader, parts: Parts, id: UUID) -> Any:
    """With the next fires, and the last."""
    async with parts.database.transaction(caller.access) as tx:
        return await view_of(tx, await Schedules(tx).get(id), parts.clock())


@router.get(PATH + "/{id}/occurrences", operation_id="schedules_occurrences", response_model=OccurrencePage)
async def list_occurrences(
    *,
    caller: Reader,
    parts: Parts,
    paging: Paging,
    id: UUID,
    status: Annotated[list[OccurrenceStatus], Query(description="May be repeated.")] = [],  # noqa: B006
    nominal_from: Annotated[
        Moment | None, Query(alias="from", description="Nominal moment at or after.")
    ] = None,
    nominal_to: Annotated[Moment | None, Query(alias="to", description="Nominal moment before.")] = None,
) -> Any:
    """Every nominal fire of the last 90 days, the latest first."""
    filters = OccurrenceFilters(status, nominal_from, nominal_to)
    async with parts.database.transaction(caller.access) as tx:
        await Schedules(tx).get(id)
        ledger = Occurrences(tx, caller.organization, id)
        rows = await ledger.page(filters, before=paging.before, limit=paging.fetch)
    return paging.page(rows, lambda row: (row["nominal_at"], row["id"]), show_occurrence)


@router.post(PATH + "/{id}/pause", operation_id="schedules_pause", response_model=ScheduleView)
async def pause_schedule(
    caller: Writer, parts: Parts, once: Idempotent, id: UUID, body: PauseBody | None = None
) -> Response:
    """Nothing starts by its clock until it is resumed; each fire of that time is told as skipped."""

    async def pause(tx: AsyncConnection) -> Answer[None]:
        await pause_one(tx, caller, id, parts.clock(), body.reason if body else None)
        return Answer(200, await _viewed(tx, id, parts.clock()))

    return (await once.run(caller, pause)).response()


@router.post(PATH + "/{id}/resume", operation_id="schedules_resume", response_model=ScheduleView)
async def resume_schedule(caller: Writer, parts: Parts, once: Idempotent, id: UUID) -> Response:
    """It fires again from its next nominal moment on; what was skipped meanwhile can be backfilled."""

    async def resume(tx: AsyncConnection) -> Answer[None]:
        await resume_one(tx, caller, id, parts.clock())
        return Answer(200, await _viewed(tx, id, parts.clock()))

    return (await once.run(caller, resume)).response()


@router.get(PATH + "/{id}/backfill", operation_id="schedules_backfill_plan", response_model=BackfillView)
async def plan_backfill(
    caller: Reader,
    parts: Parts,
    id: UUID,
    first: Annotated[Moment | None, Query(alias="from", description="A day before `to`, if absent.")] = None,
    last: Annotated[Moment | None, Query(alias="to", description="This moment, if absent.")] = None,
) -> Any:
    """What a backfill of this span would start; nothing is started."""
    until = last or parts.clock()
    since = first or until - timedelta(days=1)
    async with parts.database.transaction(caller.access) as tx:
        plan = await backfill_plan(tx, await Schedules(tx).get(id), since, until, parts.clock())
    return show_backfill(plan)


@router.post(
    PATH + "/{id}/backfill", operation_id="schedules_backfill", status_code=202, response_model=BackfillView
)
async def backfill_schedule(
    caller: Writer, parts: Parts, once: Idempotent, id: UUID, body: BackfillBody
) -> Response:
    """Starts what was missed, skipped, or never there; what has run under a nominal moment is not run again."""

    async def backfill(tx: AsyncConnection) -> Answer[None]:
        plan = await backfill_one(
            tx,
            caller,
            id,
            parts.clock(),
            first=body.from_,
            last=body.to,
            expected=body.expected,
            side_by_side=body.side_by_side,
        )
        return Answer(202, show_backfill(plan).model_dump(mode="json"))

    return (await once.run(caller, backfill)).response()


@router.delete(PATH + "/{id}/backfill", operation_id="schedules_withdraw_backfill", response_model=Withdrawn)
async def withdraw_backfill(caller: Writer, parts: Parts, id: UUID) -> Any:
    """Backfilled fires that have not been started are left; executions under way go on."""
    async with parts.database.transaction(caller.access) as tx:
        return {"withdrawn": await withdraw_one(tx, caller, id, parts.clock())}


@router.post(PATH + "/{id}/run", operation_id="schedules_run", status_code=202, response_model=Accepted)
async def run_schedule(caller: Starter, parts: Parts, once: Idempotent, id: UUID) -> Response:
    """Starts one execution now, with the schedule's input, whatever its overlap and pause say."""

    async def run(tx: AsyncConnection) -> Answer[OutboxEntry]:
        entry, accepted = await run_one(tx, caller, id, parts.clock())
        return Answer(202, accepted, carry=entry)

    answer = await once.run(caller, run)
    if answer.carry is not None:
        await parts.dispatcher.dispatch(answer.carry)
    return answer.response()


async def _viewed(tx: AsyncConnection, id: UUID, now: datetime) -> dict[str, Any]:
    return (await view_of(tx, await Schedules(tx).get(id), now)).model_dump(mode="json")


def show_backfill(plan: BackfillPlan) -> BackfillView:
    return BackfillView(
        count=len(plan.starts), already_started=plan.settled, nominal=list(plan.starts[:SHOWN])
    )
