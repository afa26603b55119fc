"""The members of an organization: who they are, what they may do, and changing that."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller
from api.collaborators import Parts
from api.etags import ExpectedRevision
from api.fields import Body
from api.idempotency import Answer
from api.inside import confirmed_inside, inside
from api.noting import noted
from api.pagination import Paging
from api.revisions import moment_of, tagged
from db.activity import Activities
from db.members import Filters, Member, Members
from db.roles import Roles, role_of
from domain.errors import Forbidden, Invalid, NotFound, Problem
from domain.members import Holder, require_grant, require_reach
from domain.permissions import Override, Permission
from domain.tenants import MembershipStatus

router = APIRouter(tags=["tenants"])
PATH = "/v1/organizations/{organization_id}/members"
Reader = Annotated[Caller, Depends(inside(Permission.MEMBERS_READ))]
Writer = Annotated[Caller, Depends(inside(Permission.MEMBERS_WRITE))]
ConfirmedWriter = Annotated[Caller, Depends(confirmed_inside(Permission.MEMBERS_WRITE))]
Listed = Annotated[list[Permission], Field(max_length=100)]


class Exceptions(Body):
    """What a member may do besides their role, and what they may not in spite of it; deny wins."""

    grant: Listed = Field(default_factory=list)
    deny: Listed = Field(default_factory=list)


class MemberChange(Body):
    """Only the fields that are sent change."""

    role_id: UUID = Field(default_factory=lambda: UUID(int=0), description="A role of GET …/roles.")
    permissions_override: Exceptions = Field(default_factory=Exceptions)


class MemberRole(BaseModel):
    id: UUID
    name: str
    is_shipped: bool


class MemberView(BaseModel):
    user_id: UUID
    email: str | None = Field(description="null until they have accepted.")
    name: str | None
    role: MemberRole
    status: MembershipStatus
    permissions: list[Permission] = Field(
        description="What they may do: the role and the exceptions from it."
    )
    permissions_override: Exceptions
    invited_by: UUID | None
    joined_at: datetime | None
    last_active_at: datetime | None
    created_at: datetime
    updated_at: datetime


class MemberPage(BaseModel):
    items: list[MemberView]
    next_cursor: str | None


@router.get(PATH, operation_id="members_list", response_model=MemberPage)
async def list_members(
    caller: Reader,
    parts: Parts,
    paging: Paging,
    q: Annotated[
        str | None, Query(max_length=200, description="Text in the name or e-mail address, ignoring case.")
    ] = None,
    status: MembershipStatus | None = None,
    role_id: UUID | None = None,
) -> Any:
    """Newest first."""
    async with parts.database.transaction(caller.access) as tx:
        members = Members(tx, caller.organization)
        found = await members.page(Filters(q, status, role_id), paging.before, paging.fetch)
    return paging.page(found, lambda each: (each.row["created_at"], each.row["id"]), show)


@router.get(PATH + "/{user_id}", operation_id="members_get", response_model=MemberView)
async def get_member(caller: Reader, parts: Parts, user_id: UUID) -> Response:
    async with parts.database.transaction(caller.access) as tx:
        return tagged(Answer(200, show(await Members(tx, caller.organization).get(user_id))))


@router.patch(PATH + "/{user_id}", operation_id="members_change", response_model=MemberView)
async def change_member(
    caller: ConfirmedWriter, parts: Parts, user_id: UUID, seen: ExpectedRevision, body: MemberChange
) -> Response:
    """Another role, or other exceptions from it: nothing that you do not hold yourself. Counts at once."""
    wanted = body.model_dump(exclude_unset=True)
    if not wanted:
        nothing = Problem("#", "The request changes nothing.", "Send at least one field.")
        raise Invalid(problems=[nothing])
    async with parts.database.transaction(caller.access) as tx:
        members = Members(tx, caller.organization)
        actor, target = await reached(members, caller, user_id)
        after = await _after(tx, target.holder, body)
        require_grant(actor, caller.permissions, after)
        values = {"role_id": after.role.id, "permissions_override": dict(after.override)}
        changed = await members.change(user_id, moment_of(seen), values)
        # What somebody promised others as more than they now are is no promise any more.
        await members.withdraw(user_id, parts.clock(), beyond=changed.holder)
        about: dict[str, Any] = {
            "role": {"before": target.holder.role.name, "after": after.role.name},
            "permissions_override": values["permissions_override"],
        }
        await Activities(tx).note([noted(caller, "member.changed", "user_organizations", user_id, **about)])
    return tagged(Answer(200, show(changed)))


async def reached(members: Members, caller: Caller, user_id: UUID) -> tuple[Holder, Member]:
    """The caller as they stand under the lock, and the member they may change. Raises Forbidden, NotFound."""
    await members.lock()
    actor = await members.actor(caller.user_id)
    if Permission.MEMBERS_WRITE not in actor.permissions:
        raise Forbidden
    target = await members.get(user_id)
    require_reach(actor, caller.permissions, target.holder)
    return actor, target


async def _after(tx: AsyncConnection, before: Holder, body: MemberChange) -> Holder:
    role, override = before.role, before.override
    if "role_id" in body.model_fields_set:
        try:
            role = role_of(await Roles(tx).row(body.role_id))
        except NotFound:
            raise no_role() from None
    if "permissions_override" in body.model_fields_set:
        given = body.permissions_override
        override = {"grant": sorted(set(given.grant)), "deny": sorted(set(given.deny))}
    return Holder(before.user_id, role, override)


def no_role() -> Invalid:
    message = "Your organization has no role with this id."
    return Invalid(problems=[Problem("#/role_id", message, "Choose one of GET …/roles.")])


def show(member: Member) -> dict[str, Any]:
    row, role = member.row, member.holder.role
    override = Override.parse(row["permissions_override"])
    shown = {
        **row,
        "name": " ".join(filter(None, (row["first_name"], row["last_name"]))) or None,
        "role": {"id": role.id, "name": role.name, "is_shipped": role.is_shipped},
        "permissions": sorted(member.holder.permissions),
        "permissions_override": {"grant": sorted(override.grant), "deny": sorted(override.deny)},
    }
    return MemberView.model_validate(shown).model_dump(mode="json")
