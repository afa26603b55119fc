"""What the link of an invitation is good for: looking, joining with one's account, or opening one."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.auth import Person
from api.collaborators import Parts
from api.fields import Line
from api.identity import Entrance, From, Password
from api.joining import Joining, Newcomer
from api.registration import OneUse

router = APIRouter(prefix="/v1/invitations", tags=["tenants"])


class InvitationSeen(BaseModel):
    """What whoever holds the link may know before deciding."""

    organization: str
    organization_domain: str | None = Field(description="Only if the organization has proven it.")
    email: str
    role: str
    inviter: str
    expires_at: datetime
    has_account: bool = Field(description="Whether to sign in and accept, or to register.")


class Joined(BaseModel):
    organization_id: UUID
    organization: str
    role: str


class InvitedRegistration(OneUse):
    name: Line
    password: Password


class JoinedAnew(Joined):
    user_id: UUID
    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str


@router.post("/look", operation_id="invitations_look", response_model=InvitationSeen)
async def look_at_invitation(parts: Parts, entrance: Entrance, body: OneUse) -> InvitationSeen:
    """What the link in the mail is for; uses nothing up."""
    found = await Joining(parts, entrance).look(body.token)
    return InvitationSeen(
        organization=found.organization,
        organization_domain=found.domain,
        email=found.email,
        role=found.role,
        inviter=found.inviter,
        expires_at=found.expires_at,
        has_account=found.has_account,
    )


@router.post("/accept", operation_id="invitations_accept", response_model=Joined)
async def accept_invitation(caller: Person, parts: Parts, entrance: Entrance, body: OneUse) -> Joined:
    """Become a member with the account you are signed in to; it has to have the invited address."""
    found = await Joining(parts, entrance).accept(body.token, caller)
    return Joined(organization_id=found.organization_id, organization=found.organization, role=found.role)


@router.post(
    "/register",
    operation_id="invitations_register",
    status_code=201,
    response_model=JoinedAnew,
)
async def register_invited(
    parts: Parts, entrance: Entrance, device: From, body: InvitedRegistration
) -> dict[str, Any]:
    """Open an account for the invited address, which the link has proven, and become a member."""
    found, user_id = await Joining(parts, entrance).register(body.token, Newcomer(body.name, body.password))
    return {
        "organization_id": found.organization_id,
        "organization": found.organization,
        "role": found.role,
        "user_id": user_id,
        **await entrance.open_tokens(user_id, device),
    }
