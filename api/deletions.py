"""Deleting an organization, and taking that back for thirty days; then everything it had is erased."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import NOBODY, Caller
from api.collaborators import Collaborators, Parts
from api.inside import confirmed_inside
from api.mailing import send
from api.noting import noted
from api.organizations import OrganizationView, show
from api.stepup import Confirmed
from db.activity import Activities
from db.members import Members
from db.outbox import OutboxEntry
from db.session import Access, Role, enter
from db.tenants import RESTORABLE_FOR, Foundations, Organizations
from domain.members import OwnersOnly
from domain.permissions import Permission
from domain.processes.organizations import STANDSTILL

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["tenants"])
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
    await send(parts, entry)
    return DeletedOrganization(id=organization_id, deleted_at=now, restorable_until=now + RESTORABLE_FOR)


@router.post("/restore", operation_id="organizations_restore", response_model=OrganizationView)
async def restore_organization(caller: Confirmed, parts: Parts, organization_id: UUID) -> OrganizationView:
    """Everything is as it was: members enter, keys and webhooks work, executions go on where they stood."""
    async with parts.database.transaction(NOBODY) as tx:
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
    await send(parts, entry)
    return OrganizationView.model_validate(show(row))


async def _standstill(
    tx: AsyncConnection, parts: Collaborators, caller: Caller, organization_id: UUID
) -> OutboxEntry | None:
    begun = await parts.processes.start(tx, STANDSTILL, organization_id, input={}, started_by=caller.user_id)
    return begun.entry
