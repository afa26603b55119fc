"""Roles of an organization, and the closed set of permissions they are made of."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Anyone, Caller
from api.collaborators import Parts
from api.etags import ExpectedRevision
from api.fields import Body, Line, Prose
from api.idempotency import Answer, Idempotent
from api.inside import confirmed_inside, inside
from api.noting import noted
from api.revisions import moment_of, tagged
from db.activity import Activities
from db.members import Members
from db.roles import Roles, RoleShipped, role_of
from domain.errors import Invalid, Problem
from domain.members import require_held
from domain.permissions import DESCRIPTIONS, ROLES, Permission

router = APIRouter(tags=["tenants"])
PATH = "/v1/organizations/{organization_id}/roles"
Reader = Annotated[Caller, Depends(inside(Permission.ROLES_READ))]
Writer = Annotated[Caller, Depends(confirmed_inside(Permission.ROLES_WRITE))]
Permissions = Annotated[list[Permission], Field(max_length=100)]


class NewRole(Body):
    name: Line = Field(description="Unlike any other role's here, also when case is ignored.")
    description: Prose | None = None
    permissions: Permissions = Field(description="None that you do not hold yourself; GET /v1/permissions.")


class RoleChange(Body):
    """Only the fields that are sent change."""

    name: Line = Field(default_factory=str)
    description: Prose | None = None
    permissions: Permissions = Field(default_factory=list)


class RoleView(BaseModel):
    id: UUID
    name: str
    description: str | None
    is_shipped: bool = Field(description="Comes with Perdure and cannot be changed.")
    permissions: list[Permission]
    members: int
    invitations: int = Field(description="Open ones.")
    created_at: datetime
    updated_at: datetime


class RoleList(BaseModel):
    items: list[RoleView]


class PermissionView(BaseModel):
    name: Permission
    description: str
    roles: list[str] = Field(description="The shipped roles that have it.")


class PermissionList(BaseModel):
    items: list[PermissionView]


@router.get("/v1/permissions", operation_id="permissions_list", response_model=PermissionList)
async def list_permissions(_: Anyone) -> dict[str, Any]:
    """Everything that can be permitted, in words; roles and API keys are made of these."""
    return {
        "items": [
            {
                "name": permission,
                "description": DESCRIPTIONS[permission],
                "roles": [role for role, permitted in ROLES.items() if permission in permitted],
            }
            for permission in Permission
        ]
    }


@router.get(PATH, operation_id="roles_list", response_model=RoleList)
async def list_roles(caller: Reader, parts: Parts) -> dict[str, Any]:
    """The shipped roles, then those of the organization."""
    async with parts.database.transaction(caller.access) as tx:
        return {"items": [_show(row) for row in await Roles(tx).all(parts.clock())]}


@router.post(PATH, operation_id="roles_create", status_code=201, response_model=RoleView)
async def create_role(
    caller: Writer, parts: Parts, once: Idempotent, body: NewRole, organization_id: UUID
) -> Response:
    """A role of your own; it holds nothing that you do not hold yourself."""
    id = uuid4()
    values = {**body.model_dump(), "permissions": sorted(set(body.permissions))}

    async def create(tx: AsyncConnection) -> Answer[None]:
        await _hold(tx, caller, body.permissions)
        await Roles(tx).add(organization_id, id, values)
        about: dict[str, Any] = {"name": body.name, "permissions": values["permissions"]}
        await Activities(tx).note([noted(caller, "role.created", "roles", id, **about)])
        return Answer(201, _show(await Roles(tx).get(id, parts.clock())))

    return tagged(
        await once.run(caller, create), location=f"/v1/organizations/{organization_id}/roles/{{id}}"
    )


@router.get(PATH + "/{role_id}", operation_id="roles_get", response_model=RoleView)
async def get_role(caller: Reader, parts: Parts, role_id: UUID) -> Response:
    async with parts.database.transaction(caller.access) as tx:
        row = await Roles(tx).get(role_id, parts.clock())
    return tagged(Answer(200, _show(row)))


@router.patch(PATH + "/{role_id}", operation_id="roles_change", response_model=RoleView)
async def change_role(
    caller: Writer, parts: Parts, role_id: UUID, seen: ExpectedRevision, body: RoleChange
) -> Response:
    """Counts for whoever has the role from their next request on."""
    values = body.model_dump(exclude_unset=True)
    if not values:
        nothing = Problem("#", "The request changes nothing.", "Send at least one field.")
        raise Invalid(problems=[nothing])
    async with parts.database.transaction(caller.access) as tx:
        await _own(tx, caller, role_id)
        if "permissions" in values:
            await _hold(tx, caller, body.permissions)
            values["permissions"] = sorted(set(body.permissions))
        await Roles(tx).change(role_id, moment_of(seen), values)
        if "permissions" in values:
            await Members(tx, caller.organization).withdraw_beyond_role(role_id, parts.clock())
        row = await Roles(tx).get(role_id, parts.clock())
        about: dict[str, Any] = {
            "name": row["name"],
            "fields": sorted(values),
            "permissions": row["permissions"],
        }
        await Activities(tx).note([noted(caller, "role.changed", "roles", role_id, **about)])
    return tagged(Answer(200, _show(row)))


@router.delete(PATH + "/{role_id}", operation_id="roles_remove", status_code=204)
async def remove_role(caller: Writer, parts: Parts, role_id: UUID, seen: ExpectedRevision) -> None:
    """Refused with 409 while members or open invitations have it."""
    async with parts.database.transaction(caller.access) as tx:
        row = await _own(tx, caller, role_id)
        await Roles(tx).remove(role_id, moment_of(seen), parts.clock())
        about: dict[str, Any] = {"name": row["name"], "permissions": row["permissions"]}
        await Activities(tx).note([noted(caller, "role.removed", "roles", role_id, **about)])


async def _own(tx: AsyncConnection, caller: Caller, role_id: UUID) -> RowMapping:
    """A role of the organization that holds nothing beyond the caller. Raises NotFound, RoleShipped, BeyondYou."""
    row = await Roles(tx).row(role_id)
    if row["organization_id"] is None:
        raise RoleShipped
    await _hold(tx, caller, role_of(row).permissions)
    return row


async def _hold(tx: AsyncConnection, caller: Caller, wanted: Any) -> None:
    """Under the lock that changes of rights wait for, with what the caller holds at this moment."""
    members = Members(tx, caller.organization)
    await members.lock()
    actor = await members.actor(caller.user_id)
    require_held(actor.permissions & caller.permissions, wanted)


def _show(row: RowMapping) -> dict[str, Any]:
    role = role_of(row)
    shown = {
        **row,
        "is_shipped": role.is_shipped,
        # A permission that a release took away is none any more.
        "permissions": sorted(role.permissions),
    }
    return RoleView.model_validate(shown).model_dump(mode="json")
