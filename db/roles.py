"""Roles: seven that every organization shares, and those it made itself."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, Select, case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.invitations import Invitation, is_open
from db.rows import change, many, one, refusing, remove, unchanged
from db.tenants import Membership, Role
from domain.errors import Conflict
from domain.members import RoleOf

#: More would not be told apart by anybody.
MOST_ROLES = 100


class RoleNameTaken(Conflict):
    """Your organization has a role of this name; choose another one."""

    code = "role_name_taken"


class RoleShipped(Conflict):
    """This role comes with Perdure and means the same everywhere; make one of your own instead."""

    code = "role_shipped"


class RoleInUse(Conflict):
    """Members or open invitations have this role; give them another one first."""

    code = "role_in_use"


class TooManyRoles(Conflict):
    """Your organization has as many roles as it may have; remove one that nobody has."""

    code = "too_many_roles"


class Roles:
    """The roles that the entered organization can give."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def all(self, now: datetime) -> Sequence[RowMapping]:
        """The shipped ones first, then its own by name."""
        shipped_first = (Role.organization_id.is_not(None), case((Role.organization_id.is_(None), Role.id)))
        return await many(self._tx, _counted(now).order_by(*shipped_first, func.lower(Role.name), Role.id))

    async def get(self, id: UUID, now: datetime) -> RowMapping:
        """The role, with how many `members` and open `invitations` have it. Raises NotFound."""
        return one(await self._tx.execute(_counted(now).where(Role.id == id)))

    async def row(self, id: UUID) -> RowMapping:
        """Without counting. Raises NotFound."""
        return one(await self._tx.execute(select(*Role.__table__.c).where(Role.id == id)))

    async def add(self, organization_id: UUID, id: UUID, values: Mapping[str, Any]) -> None:
        """Raises RoleNameTaken, TooManyRoles; the organization's row is locked, so the count holds."""
        own = select(func.count()).where(Role.organization_id == organization_id)
        if (await self._tx.execute(own)).scalar_one() >= MOST_ROLES:
            raise TooManyRoles
        await self._name_free(values["name"], id)
        with refusing({"uq_roles_name": RoleNameTaken}):
            await self._tx.execute(insert(Role).values(id=id, organization_id=organization_id, **values))

    async def change(self, id: UUID, seen: datetime, values: Mapping[str, Any]) -> None:
        """Raises NotFound, Stale, RoleNameTaken."""
        if "name" in values:
            await self._name_free(values["name"], id)
        with refusing({"uq_roles_name": RoleNameTaken}):
            await change(self._tx, Role, id, unchanged(Role.updated_at, seen), values)

    async def remove(self, id: UUID, seen: datetime, now: datetime) -> None:
        """Raises NotFound, Stale, RoleInUse. Invitations to it that have expired are revoked."""
        row = await self.get(id, now)
        if row["members"] or row["invitations"]:
            raise RoleInUse(
                f"{row['members']} members and {row['invitations']} open invitations have this role; "
                "give them another one first."
            )
        expired = (
            Invitation.role_id == id,
            Invitation.accepted_at.is_(None),
            Invitation.revoked_at.is_(None),
        )
        await self._tx.execute(update(Invitation).where(*expired).values(revoked_at=now))
        # Somebody may be given the role in this moment: then the reference refuses.
        with refusing({"fk_user_organizations_role_id": RoleInUse, "ck_invitations_role_known": RoleInUse}):
            await remove(self._tx, Role, id, unchanged(Role.updated_at, seen))

    async def _name_free(self, name: str, id: UUID) -> None:
        """Shipped names count too, and case does not: people must be able to tell roles apart."""
        same = select(Role.id).where(func.lower(Role.name) == name.lower(), Role.id != id).limit(1)
        if await self._tx.scalar(same) is not None:
            raise RoleNameTaken


def role_of(row: RowMapping) -> RoleOf:
    return RoleOf.of(row["id"], row["name"], row["organization_id"], row["permissions"])


def _counted(now: datetime) -> Select[*tuple[Any, ...]]:
    members = select(func.count()).where(Membership.role_id == Role.id).scalar_subquery()
    invited = select(func.count()).where(Invitation.role_id == Role.id, is_open(now)).scalar_subquery()
    return select(*Role.__table__.c, members.label("members"), invited.label("invitations"))
