"""Who is calling: what every route may rely on once a request is authenticated."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from db.session import Access, Origin, Role
from domain.errors import Forbidden
from domain.permissions import Permission
from domain.tenants import ActorType

#: Calls the definer functions that need no organization yet.
NOBODY = Access(Role.API)


@dataclass(frozen=True, slots=True)
class Caller:
    """A person or an API key, in one organization (none only for a user who is a member nowhere)."""

    user_id: UUID
    organization_id: UUID | None
    permissions: frozenset[Permission]
    actor: Literal["user", "api_key"]
    role: str | None = None
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    #: When this login last proved a password or code; None for keys and devices that were let in without.
    confirmed_at: datetime | None = None
    #: True when the organization demands a second factor and the person has none yet.
    mfa_due: bool = False
    #: Where the request comes from; the activity log tells it beside every change.
    origin: Origin | None = None
    access: Access = field(init=False, repr=False)

    def __post_init__(self) -> None:
        access = Access(
            Role.API, self.organization_id, self.user_id, actor=ActorType(self.actor), origin=self.origin
        )
        object.__setattr__(self, "access", access)

    @property
    def name(self) -> str:
        """Who did it, for scopes and logs: `user:<id>` or `api_key:<id>`."""
        return f"{self.actor}:{self.api_key_id or self.user_id}"

    @property
    def organization(self) -> UUID:
        """The organization; raises Forbidden for a user who is a member nowhere."""
        if self.organization_id is None:
            raise Forbidden("You are not a member of any organization.")
        return self.organization_id

    def may(self, permission: Permission | str) -> bool:
        return permission in self.permissions
