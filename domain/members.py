"""Who may change whom: nobody raises anybody above themselves, nobody touches whoever stands above them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.errors import Conflict, Forbidden, Invalid, Problem
from domain.permissions import Permission, RoleName, decide, known, may_grant, of_role


class AboveYou(Forbidden):
    """This member may do what you may not, so somebody with at least their permissions has to do this."""

    code = "above_you"


class BeyondYou(Forbidden):
    """You cannot give more than you hold yourself."""

    code = "beyond_you"


class OwnersOnly(Forbidden):
    """Only an owner makes somebody an owner, or changes one."""

    code = "owners_only"


class LastOwner(Conflict):
    """An organization has at least one active owner; make somebody else an owner first."""

    code = "last_owner"


@dataclass(frozen=True, slots=True)
class RoleOf:
    """A role as it stands: shipped ones mean what this release says, an organization's own what it stored."""

    id: UUID
    name: str
    permissions: frozenset[Permission]
    is_shipped: bool

    @classmethod
    def of(cls, id: UUID, name: str, organization_id: UUID | None, stored: Iterable[str]) -> "RoleOf":
        shipped = organization_id is None
        return cls(id, name, of_role(name) if shipped else known(stored), shipped)

    @property
    def is_owner(self) -> bool:
        return self.is_shipped and self.name == RoleName.OWNER


@dataclass(frozen=True, slots=True)
class Holder:
    """A member, or somebody about to be one: a role and the exceptions from it."""

    user_id: UUID | None
    role: RoleOf
    override: Mapping[str, Any]

    @property
    def permissions(self) -> frozenset[Permission]:
        return decide(self.role.permissions, self.override)


def require_reach(actor: Holder, within: frozenset[Permission], target: Holder) -> None:
    """The actor, who may use `within` at most (an API key's scopes), may change the target at all.

    Raises OwnersOnly, AboveYou.
    """
    if target.role.is_owner and not actor.role.is_owner:
        raise OwnersOnly
    if may_grant(actor.permissions & within, target.permissions):
        raise AboveYou


def require_grant(actor: Holder, within: frozenset[Permission], wanted: Holder) -> None:
    """The actor may make somebody what `wanted` is. Raises OwnersOnly, BeyondYou, Invalid."""
    if wanted.role.is_owner:
        if not actor.role.is_owner:
            raise OwnersOnly
        if any(wanted.override.values()):
            message = "An owner may do everything; nothing is granted to or denied from them."
            mend = "Leave grant and deny empty, or choose another role."
            raise Invalid(problems=[Problem("#/permissions_override", message, mend)])
    require_held(actor.permissions & within, wanted.permissions)


def require_held(held: frozenset[Permission], wanted: Iterable[Permission]) -> None:
    """Raises BeyondYou naming what is missing."""
    beyond = may_grant(held, wanted)
    if beyond:
        raise BeyondYou(f"You cannot give more than you hold yourself: {', '.join(sorted(beyond))}.")
