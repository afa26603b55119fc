"""Members who pause, go, or hand the organization over."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, Person
from api.collaborators import Parts
from api.fields import Body
from api.idempotency import Answer, Idempotent
from api.inside import confirmed_inside
from api.mailing import mail, send
from api.members import PATH, ConfirmedWriter, MemberView, Writer, reached, show
from api.noting import noted
from api.revisions import tagged
from db.activity import Activities
from db.members import Member, Members, NotActive
from db.outbox import OutboxEntry
from db.tenants import SHIPPED_ROLES, Organizations
from domain.errors import Conflict, NotFound
from domain.members import OwnersOnly
from domain.permissions import Permission, RoleName
from domain.tenants import MembershipStatus

router = APIRouter(tags=["tenants"])
ORGANIZATION = "/v1/organizations/{organization_id}"
#: Nobody but an owner has this permission, unless an owner gave it away; the rules below ask for the role too.
Owner = Annotated[Caller, Depends(confirmed_inside(Permission.ORGANIZATION_DELETE))]


class NotYourself(Conflict):
    """This is not done to oneself: leave the organization, or have somebody else do it."""

    code = "not_yourself"


class Transfer(Body):
    user_id: UUID


@router.post(PATH + "/{user_id}/suspend", operation_id="members_suspend", response_model=MemberView)
async def suspend_member(caller: Writer, parts: Parts, once: Idempotent, user_id: UUID) -> Response:
    """They cannot enter and their API keys are refused, at once; what they started goes on."""

    async def suspend(tx: AsyncConnection, members: Members, target: Member) -> Member:
        if target.status is MembershipStatus.SUSPENDED:
            return target
        if target.status is MembershipStatus.PENDING:
            raise NotActive("This person has not become a member yet; remove them instead.")
        changed = await members.change(user_id, None, {"status": MembershipStatus.SUSPENDED})
        await members.withdraw(user_id, parts.clock())
        await Activities(tx).note([noted(caller, "member.suspended", "user_organizations", user_id)])
        return changed

    return await _status(caller, once, user_id, suspend)


@router.post(PATH + "/{user_id}/resume", operation_id="members_resume", response_model=MemberView)
async def resume_member(caller: Writer, parts: Parts, once: Idempotent, user_id: UUID) -> Response:
    """A suspended member enters again, with the role and the API keys they had."""

    async def resume(tx: AsyncConnection, members: Members, target: Member) -> Member:
        if target.status is MembershipStatus.ACTIVE:
            return target
        if target.status is MembershipStatus.PENDING:
            raise NotActive("This person has to accept an invitation first.")
        changed = await members.change(user_id, None, {"status": MembershipStatus.ACTIVE})
        await Activities(tx).note([noted(caller, "member.resumed", "user_organizations", user_id)])
        return changed

    return await _status(caller, once, user_id, resume)


async def _status(
    caller: Caller,
    once: Idempotent,
    user_id: UUID,
    change: Callable[[AsyncConnection, Members, Member], Awaitable[Member]],
) -> Response:
    async def work(tx: AsyncConnection) -> Answer[None]:
        members = Members(tx, caller.organization)
        _, target = await reached(members, caller, user_id)
        if user_id == caller.user_id:
            raise NotYourself
        return Answer(200, show(await change(tx, members, target)))

    return tagged(await once.run(caller, work))


@router.delete(PATH + "/{user_id}", operation_id="members_remove", status_code=204)
async def remove_member(caller: ConfirmedWriter, parts: Parts, user_id: UUID) -> None:
    """They cannot enter any more, their API keys here are revoked; what they made stays, what they started goes on."""
    async with parts.database.transaction(caller.access) as tx:
        members = Members(tx, caller.organization)
        _, target = await reached(members, caller, user_id)
        if user_id == caller.user_id:
            raise NotYourself
        entry = None
        if target.row["email"] is not None:
            organization = await Organizations(tx).get(caller.organization)
            entry = await mail(
                parts,
                tx,
                "member-removed",
                to=target.row["email"],
                values={"organization": organization["name"]},
                organization_id=caller.organization,
                started_by=caller.user_id,
            )
        await members.remove(user_id, parts.clock())
        about: dict[str, Any] = {"role": target.holder.role.name}
        await Activities(tx).note([noted(caller, "member.removed", "user_organizations", user_id, **about)])
    await send(parts, entry)


@router.post(ORGANIZATION + "/leave", operation_id="members_leave", status_code=204)
async def leave(caller: Person, parts: Parts, organization_id: UUID) -> None:
    """End your own membership; your API keys here are revoked. The last owner hands over first."""
    if caller.organization_id != organization_id:
        raise NotFound
    async with parts.database.transaction(caller.access) as tx:
        members = Members(tx, caller.organization)
        await members.lock()
        await members.actor(caller.user_id)
        await members.remove(caller.user_id, parts.clock())
        await Activities(tx).note([noted(caller, "member.left", "user_organizations", caller.user_id)])


@router.post(ORGANIZATION + "/transfer", operation_id="organizations_transfer", response_model=MemberView)
async def transfer(caller: Owner, parts: Parts, once: Idempotent, body: Transfer) -> Response:
    """Make another active member owner in your place; you become admin, in one step. Answers the new owner."""

    async def work(tx: AsyncConnection) -> Answer[OutboxEntry]:
        members = Members(tx, caller.organization)
        await members.lock()
        if not (await members.actor(caller.user_id)).role.is_owner:
            raise OwnersOnly
        if body.user_id == caller.user_id:
            raise NotYourself("You own this organization already; name somebody else.")
        heir = await members.get(body.user_id)
        if heir.status is not MembershipStatus.ACTIVE or heir.row["email"] is None:
            raise NotActive("Only an active member can become the owner.")
        nothing_besides: dict[str, object] = {"permissions_override": {}}
        owner = {"role_id": SHIPPED_ROLES[RoleName.OWNER], **nothing_besides}
        admin = {"role_id": SHIPPED_ROLES[RoleName.ADMIN], **nothing_besides}
        changed = await members.change(body.user_id, None, owner)
        former = await members.change(caller.user_id, None, admin)
        await members.withdraw(caller.user_id, parts.clock(), beyond=former.holder)
        organization = await Organizations(tx).get(caller.organization)
        entry = await mail(
            parts,
            tx,
            "ownership-transferred",
            to=heir.row["email"],
            values={
                "organization": organization["name"],
                "owner": show(changed)["name"] or heir.row["email"],
            },
            organization_id=caller.organization,
            started_by=caller.user_id,
        )
        about: dict[str, Any] = {"owner": str(body.user_id), "before": str(caller.user_id)}
        await Activities(tx).note(
            [noted(caller, "organization.transferred", "organizations", caller.organization, **about)]
        )
        return Answer(200, show(changed), carry=entry)

    answer = await once.run(caller, work)
    await send(parts, answer.carry)
    return tagged(answer)
