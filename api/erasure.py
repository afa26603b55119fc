"""Erasing an organization, and oneself: planned here, carried out by processes of the platform."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import NOBODY, Caller, Person
from api.collaborators import Collaborators, Parts
from api.fields import Body
from api.idempotency import Answer, Idempotent
from api.inside import confirmed_inside, inside
from api.mailing import in_platform, mail, send
from api.noting import noted
from api.stepup import Confirmed
from db.activity import Activities
from db.erasure import Departures, Erasures, owners_of
from db.executions import CancelResult, Executions, cancellation
from db.members import Members
from db.outbox import Outbox, OutboxEntry
from db.session import Access, Role, enter
from db.tenants import PLATFORM, Organizations
from domain.erasure import GRACE, LONGEST_GRACE, ErasureStatus, Subject
from domain.errors import Conflict, Invalid, NotFound, Problem
from domain.members import OwnersOnly
from domain.permissions import Permission
from domain.processes import Process
from domain.processes.erasure import ERASE_ORGANIZATION, ERASE_USER

router = APIRouter(tags=["erasure"])
PATH = "/v1/organizations/{organization_id}/erasure"
Owner = Annotated[Caller, Depends(confirmed_inside(Permission.ORGANIZATION_DELETE))]
Reader = Annotated[Caller, Depends(inside(Permission.ORGANIZATION_READ))]
_PLATFORM = Access(Role.WORKER, PLATFORM)
#: Requests that were let in before the doors closed end in this time, and starts they had accepted arrive.
SETTLE = "PT20S"


class LastOneThere(Conflict):
    """Others are members of an organization that only you own; hand it over, or erase it, before you go."""

    code = "sole_owner"


class PlanErasure(Body):
    name: Annotated[str, Field(max_length=500, description="The organization's name, typed as it stands.")]
    grace_days: Annotated[int, Field(ge=1, le=LONGEST_GRACE.days)] = GRACE.days


class ErasureView(BaseModel):
    id: UUID
    subject: Subject
    subject_id: UUID
    status: ErasureStatus
    scheduled_for: datetime = Field(description="Until then it can be called off.")
    phase: str | None = Field(description="What is being done at this moment.")
    progress: int = Field(description="Percent.", ge=0, le=100)
    erased: dict[str, int] = Field(description="Rows by table, and objects, that are gone.")
    created_at: datetime
    begun_at: datetime | None
    ended_at: datetime | None


@router.post(PATH, operation_id="erasure_plan", status_code=202, response_model=ErasureView)
async def plan_erasure(caller: Owner, parts: Parts, once: Idempotent, body: PlanErasure) -> Response:
    """Plan the end of the organization: after the grace period everything is deleted, for good.

    Its executions are terminated, its objects, rows and keys deleted; a line without personal data says so.
    """
    organization_id, grace = caller.organization, timedelta(days=body.grace_days)

    async def plan(tx: AsyncConnection) -> Answer[list[OutboxEntry]]:
        if not (await Members(tx, organization_id).actor(caller.user_id)).role.is_owner:
            raise OwnersOnly("Only an owner erases the organization.")
        organization = await Organizations(tx).get(organization_id)
        if body.name.strip() != organization["name"].strip():
            message = "This is not the organization's name."
            raise Invalid(problems=[Problem("#/name", message, "Type the name exactly as it stands.")])
        owners = await owners_of(tx)
        await Activities(tx).note([noted(caller, "erasure.planned", "organizations", organization_id)])
        due = parts.clock() + grace
        await enter(tx, _PLATFORM)
        row, entry = await planned(
            parts, tx, ERASE_ORGANIZATION, Subject.ORGANIZATION, organization_id, caller.user_id, due, grace
        )
        told = [
            await mail(
                parts,
                tx,
                "erasure-scheduled",
                to=address,
                values={
                    "what": f"the organization {organization['name']}",
                    "on": f"{due:%d %B %Y, %H:%M} UTC",
                },
                started_by=caller.user_id,
            )
            for address in owners
        ]
        await enter(tx, caller.access)
        return Answer(202, _shown(row, 0), carry=[entry, *filter(None, told)])

    answer = await once.run(caller, plan)
    await send(parts, *(answer.carry or ()))
    return answer.response()


@router.get(PATH, operation_id="erasure_get", response_model=ErasureView)
async def get_erasure(caller: Reader, parts: Parts) -> Any:
    """The latest erasure of the organization: planned, called off or under way."""
    async with in_platform(parts) as tx:
        return await _view(tx, await Erasures(tx).latest(caller.organization))


@router.delete(PATH, operation_id="erasure_cancel", response_model=ErasureView)
async def cancel_erasure(caller: Owner, parts: Parts) -> Any:
    """Call it off; possible until it begins."""
    async with parts.database.transaction(caller.access) as tx:
        organization = await Organizations(tx).get(caller.organization)
        owners = await owners_of(tx)
        await Activities(tx).note([noted(caller, "erasure.cancelled", "organizations", caller.organization)])
        await enter(tx, _PLATFORM)
        row = await Erasures(tx).cancel(caller.organization, parts.clock())
        entries: list[OutboxEntry | None] = [await stopped(tx, row)]
        what = {"what": f"the organization {organization['name']}"}
        for address in owners:
            entries.append(await mail(parts, tx, "erasure-cancelled", to=address, values=what))
        view = await _view(tx, row)
    await send(parts, *entries)
    return view


@router.get("/v1/me/erasures/{id}", operation_id="erasure_mine", response_model=ErasureView)
async def my_erasure(caller: Person, parts: Parts, id: UUID) -> Any:
    """An erasure that you asked for: this answers also when the organization can no longer be entered."""
    async with in_platform(parts) as tx:
        return await _view(tx, await Erasures(tx).requested_by(caller.user_id, id))


@router.delete("/v1/me", operation_id="erasure_me", status_code=202, response_model=ErasureView)
async def erase_me(caller: Confirmed, parts: Parts) -> Any:
    """Delete your account, for good and at once; organizations in which nobody else is go with it.

    What you made in other organizations is theirs and stays, without your name. Refused while others are members of
    an organization that only you own.
    """
    now = parts.clock()
    async with parts.database.transaction(NOBODY) as tx:
        alone = await Departures(tx).leave_for_good(caller.user_id, now)
        if others := [row["name"] for row in alone if row["others"]]:
            raise LastOneThere(
                f"Others are members of {', '.join(others[:5])}, which only you own; hand it over, or erase it."
            )
        await enter(tx, _PLATFORM)
        row, entry = await planned(
            parts, tx, ERASE_USER, Subject.USER, caller.user_id, caller.user_id, now, timedelta(0)
        )
        for organization in alone:
            await Erasures(tx).take_along(row["id"], organization["organization_id"], caller.user_id, now)
    await send(parts, entry)
    return _shown(row, 0)


async def planned(
    parts: Collaborators,
    tx: AsyncConnection,
    process: Process,
    subject: Subject,
    subject_id: UUID,
    by: UUID,
    due: datetime,
    grace: timedelta,
) -> tuple[RowMapping, OutboxEntry]:
    """The erasure with its execution, in a transaction inside the platform. Raises BeingErased."""
    id = uuid4()
    values = {
        "id": id,
        "subject": subject,
        "subject_id": subject_id,
        "requested_by": by,
        "scheduled_for": due,
    }
    row = await Erasures(tx).plan(values)
    begun = await parts.processes.start(
        tx,
        process,
        PLATFORM,
        input={"erasure_id": str(id), "grace_seconds": int(grace.total_seconds()), "settle": SETTLE},
        started_by=by,
    )
    await Erasures(tx).run_by(id, begun.execution_id)
    assert begun.entry is not None  # there is no trigger key that could have been used before
    return row, begun.entry


async def stopped(tx: AsyncConnection, row: RowMapping) -> OutboxEntry | None:
    """The execution need not wait any more: its row decides already that nothing happens."""
    if row["execution_id"] is None:
        return None
    result, execution = await Executions(tx).request_cancel(row["execution_id"])
    if result is not CancelResult.REQUESTED:
        return None
    entry = cancellation(execution, "the erasure was called off", result)
    await Outbox(tx).add(entry)
    return entry


async def _view(tx: AsyncConnection, row: RowMapping) -> dict[str, Any]:
    progress = 0
    if row["status"] == ErasureStatus.ERASED:
        progress = 100
    elif row["execution_id"] is not None:
        try:
            progress = (await Executions(tx).get(row["execution_id"]))["progress"]
        except NotFound:  # executions are forgotten after a while, tombstones are not
            progress = 0
    return _shown(row, progress)


def _shown(row: RowMapping, progress: int) -> dict[str, Any]:
    shown = {name: row[name] for name in ErasureView.model_fields if name != "progress"}
    return ErasureView(**shown, progress=progress).model_dump(mode="json")
