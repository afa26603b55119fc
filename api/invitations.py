"""Inviting somebody by mail; nobody learns here whether an address has an account."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller
from api.collaborators import Collaborators, Parts
from api.console.frame.wording import moment
from api.fields import Body, Email
from api.idempotency import Answer, Idempotent
from api.identity import Entrance, From
from api.mailing import mail, send
from api.members import Reader, Writer, no_role
from api.noting import noted
from api.pagination import Paging
from api.revisions import tagged
from db.activity import Activities
from db.identity import Users
from db.invitations import InvitationClosed, Invitations
from db.members import Members
from db.outbox import OutboxEntry
from db.roles import Roles, role_of
from db.tenants import Organizations
from domain.email import Mailbox
from domain.errors import Conflict, Forbidden, Invalid, NotFound, Problem
from domain.members import Holder, RoleOf, require_grant
from domain.onetime import Purpose, derive, kept
from domain.permissions import Permission
from domain.tenants import (
    INVITATION_LIFETIME,
    MOST_INVITATION_MAILS,
    OPEN_INVITATIONS,
    InvitationStatus,
    VerificationLevel,
)

router = APIRouter(tags=["tenants"])
PATH = "/v1/organizations/{organization_id}/invitations"


class AlreadyMember(Conflict):
    """A member of your organization has this address."""

    code = "already_member"


class TooManyInvitations(Conflict):
    """Your organization has as many open invitations as it may; revoke some, or wait until they are accepted."""

    code = "too_many_invitations"


class MailedEnough(Conflict):
    """This invitation was mailed as often as it may be; revoke it and ask the person in another way."""

    code = "mailed_enough"


class NewInvitation(Body):
    email: Email
    role_id: UUID = Field(description="A role of GET …/roles that permits nothing you may not do yourself.")


class InvitationView(BaseModel):
    id: UUID
    email: str
    role_id: UUID | None = Field(description="null once the invitation is closed and the role removed.")
    role: str | None
    status: InvitationStatus
    invited_by: UUID
    mails: int = Field(description="How often it was mailed.")
    sent_at: datetime
    expires_at: datetime
    accepted_by: UUID | None
    accepted_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime
    updated_at: datetime


class InvitationPage(BaseModel):
    items: list[InvitationView]
    next_cursor: str | None


@router.get(PATH, operation_id="invitations_list", response_model=InvitationPage)
async def list_invitations(
    caller: Reader,
    parts: Parts,
    paging: Paging,
    q: Annotated[str | None, Query(max_length=200, description="Text in the e-mail address.")] = None,
    status: InvitationStatus | None = None,
) -> Any:
    """Newest first, closed ones included."""
    async with parts.database.transaction(caller.access) as tx:
        rows = await Invitations(tx).page(q, status, parts.clock(), paging.before, paging.fetch)
    return paging.page(rows, lambda row: (row["created_at"], row["id"]), dict)


@router.post(PATH, operation_id="invitations_create", status_code=201, response_model=InvitationView)
async def create_invitation(
    caller: Writer,
    parts: Parts,
    once: Idempotent,
    entrance: Entrance,
    device: From,
    body: NewInvitation,
    organization_id: UUID,
) -> Response:
    """A mail with a link that works once, for seven days; the answer is the same whoever has the address."""
    email = _address(body.email)
    await entrance.limits.mail("invitation", email, device.address)
    now, id = parts.clock(), uuid4()

    async def create(tx: AsyncConnection) -> Answer[OutboxEntry]:
        role = await _giving(tx, caller, body.role_id)
        settings, _ = await Organizations(tx).settings(organization_id)
        if not settings.admits(email):
            allowed = ", ".join(settings.allowed_email_domains)
            message = f"Your organization admits only addresses of {allowed}."
            raise Invalid(
                problems=[Problem("#/email", message, "Change the settings, or invite another address.")]
            )
        if await Members(tx, organization_id).email_known(email):
            raise AlreadyMember
        organization, invitations = await Organizations(tx).get(organization_id), Invitations(tx)
        most = OPEN_INVITATIONS[VerificationLevel(organization["verification_level"])]
        if await invitations.open(now) >= most:
            raise TooManyInvitations(
                f"Your organization has {most} open invitations, as many as it may have."
            )
        link = _link(parts, caller, now)
        values = {"id": id, "organization_id": organization_id, "email": email, "role_id": role.id}
        await invitations.add({**values, **link, "created_at": now}, now)
        entry = await _mail(tx, parts, caller, email, role.name, organization["name"], link)
        await Activities(tx).note([noted(caller, "member.invited", "invitations", id, role=role.name)])
        return Answer(201, _show(await invitations.get(id, now)), carry=entry)

    answer = await once.run(caller, create)
    await send(parts, answer.carry)
    return tagged(answer, location=f"/v1/organizations/{organization_id}/invitations/{{id}}")


@router.get(PATH + "/{invitation_id}", operation_id="invitations_get", response_model=InvitationView)
async def get_invitation(caller: Reader, parts: Parts, invitation_id: UUID) -> Response:
    async with parts.database.transaction(caller.access) as tx:
        return tagged(Answer(200, _show(await Invitations(tx).get(invitation_id, parts.clock()))))


@router.post(
    PATH + "/{invitation_id}/resend", operation_id="invitations_resend", response_model=InvitationView
)
async def resend_invitation(
    caller: Writer, parts: Parts, once: Idempotent, entrance: Entrance, device: From, invitation_id: UUID
) -> Response:
    """Another mail with a new link, good for seven days from now; the link before stops working."""
    now = parts.clock()
    async with parts.database.transaction(caller.access) as tx:
        to = (await Invitations(tx).get(invitation_id, now))["email"]
    await entrance.limits.mail("invitation", to, device.address)

    async def again(tx: AsyncConnection) -> Answer[OutboxEntry]:
        invitations = Invitations(tx)
        row = await invitations.locked(invitation_id, now)
        if row["mails"] >= MOST_INVITATION_MAILS:
            raise MailedEnough
        role = await _giving(tx, caller, row["role_id"])
        organization = await Organizations(tx).get(caller.organization)
        link = _link(parts, caller, now)
        await invitations.change(invitation_id, {**link, "mails": row["mails"] + 1})
        entry = await _mail(tx, parts, caller, row["email"], role.name, organization["name"], link)
        await Activities(tx).note([noted(caller, "invitation.resent", "invitations", invitation_id)])
        return Answer(200, _show(await invitations.get(invitation_id, now)), carry=entry)

    answer = await once.run(caller, again)
    await send(parts, answer.carry)
    return tagged(answer)


@router.delete(PATH + "/{invitation_id}", operation_id="invitations_revoke", status_code=204)
async def revoke_invitation(caller: Writer, parts: Parts, invitation_id: UUID) -> None:
    """Its link stops working at once. 409 when it was accepted: remove the member instead."""
    now = parts.clock()
    async with parts.database.transaction(caller.access) as tx:
        try:
            await Invitations(tx).locked(invitation_id, now)
        except InvitationClosed:
            if (await Invitations(tx).get(invitation_id, now))["status"] == InvitationStatus.REVOKED:
                return
            raise
        await Invitations(tx).change(invitation_id, {"revoked_at": now})
        await Activities(tx).note([noted(caller, "invitation.revoked", "invitations", invitation_id)])


async def _giving(tx: AsyncConnection, caller: Caller, role_id: UUID) -> RoleOf:
    """The role, if the caller may give it at this moment; further changes of rights wait."""
    members = Members(tx, caller.organization)
    await members.lock()
    actor = await members.actor(caller.user_id)
    if Permission.MEMBERS_WRITE not in actor.permissions:
        raise Forbidden
    try:
        role = role_of(await Roles(tx).row(role_id))
    except NotFound:
        raise no_role() from None
    require_grant(actor, caller.permissions, Holder(None, role, {}))
    return role


def _link(parts: Collaborators, caller: Caller, now: datetime) -> dict[str, Any]:
    """A new link, and from when to when it works; the caller answers for it from now on."""
    token_id = uuid4()
    token = derive(parts.security.token_secret, Purpose.INVITATION, token_id)
    return {
        "token_id": token_id,
        "token_sha256": kept(token),
        "invited_by": caller.user_id,
        "sent_at": now,
        "expires_at": now + INVITATION_LIFETIME,
    }


async def _mail(
    tx: AsyncConnection,
    parts: Collaborators,
    caller: Caller,
    to: str,
    role: str,
    organization: str,
    link: Mapping[str, Any],
) -> OutboxEntry | None:
    user = await Users(tx).get(caller.user_id)
    inviter = " ".join(filter(None, (user["first_name"], user["last_name"]))) or user["email"]
    return await mail(
        parts,
        tx,
        "invitation",
        to=to,
        values={
            "inviter": inviter,
            "organization": organization,
            "role": role,
            "until": moment(link["expires_at"]),
        },
        token=(Purpose.INVITATION, link["token_id"]),
        organization_id=caller.organization,
        started_by=caller.user_id,
    )


def _address(email: str) -> str:
    try:
        Mailbox.parse(email)
    except ValueError as refusal:
        message = f"The e-mail address {refusal}."
        raise Invalid(problems=[Problem("#/email", message, "Send one like ada@lind.example.")]) from None
    return email.lower()


def _show(row: Any) -> dict[str, Any]:
    return InvitationView.model_validate(dict(row)).model_dump(mode="json")
