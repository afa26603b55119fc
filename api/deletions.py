"""Deleting an organization, and taking that back for thirty days; then everything it had is erased."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import NOBODY, Caller
from api.collaborators import Collaborators, Parts
from api.erasure import planned, stopped
from api.inside import confirmed_inside
from api.mailing import send
from api.noting import noted
from api.organizations import OrganizationView, show
from api.stepup import Confirmed
from db.activity import Activities
from db.erasure import Erasures
from db.members import Members
from db.outbox import OutboxEntry
from db.session import Access, Role, enter
from db.tenants import PLATFORM, RESTORABLE_FOR, Foundations, Organizations
from domain.erasure import OPEN, ErasureStatus, Subject
from domain.errors import NotFound
from domain.members import OwnersOnly
from domain.permissions import Permission
from domain.processes.erasure import ERASE_ORGANIZATION
from domain.processes.organizations import STANDSTILL

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["tenants"])
PLATFORM_ACCESS = Access(Role.WORKER, PLATFORM)
Owner = Annotated[Caller, Depends(confirmed_inside(Permission.ORGANIZATION_DELETE))]


class DeletedOrganization(BaseModel):
    id: UUID
    deleted_at: datetime
    restorable_until: datetime


@router.delete("", operation_id="organizations_remove", response_model=DeletedOrganization)
async def remove_organization(caller: Owner, parts: Parts, organization_id: UUID) -> DeletedOrganization:
    """From now on nobody enters, no key and no webhook is accepted, and what runs stands still.

    An owner may restore it until `restorable_until`; then all of it is erased.
    """
    now = parts.clock()
    async with parts.database.transaction(caller.access) as tx:
        members = Members(tx, organization_id)
        await members.lock()
        if not (await members.actor(caller.user_id)).role.is_owner:
            raise OwnersOnly("Only an owner deletes the organization.")
        await Activities(tx).note([noted(caller, "organization.deleted", "organizations", organization_id)])
        entry = await _standstill(tx, parts, caller, organization_id)
        if not await Foundations(tx).close(organization_id, caller.user_id, now):
            raise OwnersOnly("Only an owner deletes the organization.")
        await enter(tx, PLATFORM_ACCESS)
        until, erasure = await _erased_by(tx, parts, caller, organization_id, now + RESTORABLE_FOR)
    await send(parts, entry, *erasure)
    return DeletedOrganization(id=organization_id, deleted_at=now, restorable_until=until)


@router.post("/restore", operation_id="organizations_restore", response_model=OrganizationView)
async def restore_organization(caller: Confirmed, parts: Parts, organization_id: UUID) -> OrganizationView:
    """Everything is as it was: members enter, keys and webhooks work, executions go on where they stood."""
    async with parts.database.transaction(NOBODY) as tx:
        deleted = await Foundations(tx).deleted(caller.user_id, parts.clock())
        await Foundations(tx).restore(organization_id, caller.user_id, parts.clock())
        await enter(tx, Access(Role.API, organization_id, caller.user_id))
        activity = noted(
            caller,
            "organization.restored",
            "organizations",
            organization_id,
            organization_id=organization_id,
        )
        await Activities(tx).note([activity])
        entry = await _standstill(tx, parts, caller, organization_id)
        row = await Organizations(tx).get(organization_id)
        due = next(each["deleted_at"] for each in deleted if each["id"] == organization_id) + RESTORABLE_FOR
        await enter(tx, PLATFORM_ACCESS)
        called_off = await _called_off(tx, parts, organization_id, due)
    await send(parts, entry, called_off)
    return OrganizationView.model_validate(show(row))


async def _standstill(
    tx: AsyncConnection, parts: Collaborators, caller: Caller, organization_id: UUID
) -> OutboxEntry | None:
    begun = await parts.processes.start(tx, STANDSTILL, organization_id, input={}, started_by=caller.user_id)
    return begun.entry


async def _erased_by(
    tx: AsyncConnection, parts: Collaborators, caller: Caller, organization_id: UUID, due: datetime
) -> tuple[datetime, list[OutboxEntry | None]]:
    """When it is erased: then, unless somebody had planned that for an earlier day."""
    known, later = await _erasure(tx, organization_id), None
    if known is not None and known["status"] in OPEN:
        if known["scheduled_for"] <= due:
            return known["scheduled_for"], []
        later = await stopped(tx, await Erasures(tx).cancel(organization_id, parts.clock()))
    _, entry = await planned(
        parts,
        tx,
        ERASE_ORGANIZATION,
        Subject.ORGANIZATION,
        organization_id,
        caller.user_id,
        due,
        RESTORABLE_FOR,
    )
    return due, [later, entry]


async def _called_off(
    tx: AsyncConnection, parts: Collaborators, organization_id: UUID, due: datetime
) -> OutboxEntry | None:
    """The erasure that the deletion had planned; one that was planned besides stays planned."""
    known = await _erasure(tx, organization_id)
    if known is None or (known["status"], known["scheduled_for"]) != (ErasureStatus.SCHEDULED, due):
        return None
    return await stopped(tx, await Erasures(tx).cancel(organization_id, parts.clock()))


async def _erasure(tx: AsyncConnection, organization_id: UUID) -> RowMapping | None:
    try:
        return await Erasures(tx).latest(organization_id)
    except NotFound:
        return None
