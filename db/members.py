"""The members of the entered organization: who they are, what they may, and changing that one at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select, delete, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity import ApiKey, User
from db.invitations import Invitation
from db.rows import Before, containing, newest_first, one, refusing
from db.tenants import Membership, Organization, Role
from domain.errors import Conflict, Forbidden, Stale
from domain.members import Holder, LastOwner, RoleOf
from domain.tenants import MembershipStatus


class NotActive(Conflict):
    """This membership is not active."""

    code = "membership_not_active"


@dataclass(frozen=True, slots=True)
class Filters:
    q: str | None = None
    status: MembershipStatus | None = None
    role_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A membership with what its holder may do; `row` has the columns that are shown."""

    holder: Holder
    status: MembershipStatus
    row: RowMapping


class Members:
    """People of one organization; rows of others are invisible here."""

    def __init__(self, tx: AsyncConnection, organization_id: UUID) -> None:
        self._tx = tx
        self._organization_id = organization_id

    async def lock(self) -> None:
        """Changes of who may do what happen one after the other; everything else goes on meanwhile."""
        row = select(Organization.id).where(Organization.id == self._organization_id)
        one(await self._tx.execute(row.with_for_update(key_share=True)))

    async def actor(self, user_id: UUID) -> Holder:
        """Whoever wants to change something, as they stand now that the lock is held. Raises Forbidden."""
        found = (await self._tx.execute(_SHOWN.where(Membership.user_id == user_id))).mappings().one_or_none()
        if found is None or found["status"] != MembershipStatus.ACTIVE:
            raise Forbidden("You are not an active member of this organization.")
        return member_of(found).holder

    async def get(self, user_id: UUID) -> Member:
        """Raises NotFound."""
        return member_of(one(await self._tx.execute(_SHOWN.where(Membership.user_id == user_id))))

    async def page(self, filters: Filters, before: Before | None, limit: int) -> Sequence[Member]:
        statement = newest_first(
            _SHOWN.where(*_matching(filters)), Membership.created_at, Membership.id, before
        )
        rows = (await self._tx.execute(statement.limit(limit))).mappings().all()
        return [member_of(row) for row in rows]

    async def email_known(self, email: str) -> bool:
        """Whether a member, active or suspended, has this address."""
        found = select(Membership.id).join(User, User.id == Membership.user_id)
        return (
            await self._tx.scalar(found.where(func.lower(User.email) == email.lower()).limit(1)) is not None
        )

    async def change(self, user_id: UUID, seen: datetime | None, values: Mapping[str, Any]) -> Member:
        """Raises NotFound, Stale, LastOwner."""
        mine = (Membership.user_id == user_id, true() if seen is None else Membership.updated_at == seen)
        with refusing({"owner_remains": LastOwner}):
            done = await self._tx.execute(update(Membership).where(*mine).values(**values))
        if done.rowcount == 0:
            await self.get(user_id)
            raise Stale
        return await self.get(user_id)

    async def remove(self, user_id: UUID, now: datetime) -> None:
        """Ends the membership, its API keys and the invitations it sent. Raises NotFound, LastOwner."""
        with refusing({"owner_remains": LastOwner}):
            gone = delete(Membership).where(Membership.user_id == user_id).returning(Membership.id)
            one(await self._tx.execute(gone))
        keys = (ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None))
        await self._tx.execute(update(ApiKey).where(*keys).values(revoked_at=now))
        await self.withdraw(user_id, now)

    async def withdraw(self, user_id: UUID, now: datetime, *, beyond: Holder | None = None) -> None:
        """Revokes the open invitations somebody sent; with `beyond`, those giving more than this holder has."""
        sent = (
            Invitation.invited_by == user_id,
            Invitation.accepted_at.is_(None),
            Invitation.revoked_at.is_(None),
        )
        ids: list[UUID] = []
        statement = select(Invitation.id, *_ROLE).join(Role, Role.id == Invitation.role_id).where(*sent)
        for row in (await self._tx.execute(statement)).mappings():
            role = _role(row)
            too_much = (
                beyond is None
                or role.permissions - beyond.permissions
                or (role.is_owner and not beyond.role.is_owner)
            )
            if too_much:
                ids.append(row["id"])
        if ids:
            await self._tx.execute(update(Invitation).where(Invitation.id.in_(ids)).values(revoked_at=now))

    async def withdraw_beyond_role(self, role_id: UUID, now: datetime) -> None:
        """What whoever has this role promised others, and is by now more than they have themselves."""
        sent = (Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None))
        statement = select(Invitation.invited_by).where(*sent).distinct()
        statement = statement.join(Membership, Membership.user_id == Invitation.invited_by)
        senders = (await self._tx.execute(statement.where(Membership.role_id == role_id))).scalars().all()
        for user_id in senders:
            await self.withdraw(user_id, now, beyond=(await self.get(user_id)).holder)


_ROLE = (
    Role.id.label("role_id"),
    Role.name.label("role_name"),
    Role.organization_id.label("role_organization_id"),
    Role.permissions.label("role_permissions"),
)
_SHOWN: Select[*tuple[Any, ...]] = (
    select(
        Membership.id,
        Membership.user_id,
        User.email,
        User.first_name,
        User.last_name,
        Membership.status,
        Membership.permissions_override,
        Membership.invited_by,
        Membership.joined_at,
        Membership.last_active_at,
        Membership.created_at,
        Membership.updated_at,
        *_ROLE,
    )
    .join(Role, Role.id == Membership.role_id)
    # Somebody who has not accepted yet is no colleague: their account stays their own affair.
    .outerjoin(User, User.id == Membership.user_id)
)


def _matching(filters: Filters) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if filters.q is not None:
        wanted.append(containing(filters.q, User.email, User.first_name, User.last_name))
    if filters.status is not None:
        wanted.append(Membership.status == filters.status)
    if filters.role_id is not None:
        wanted.append(Membership.role_id == filters.role_id)
    return wanted


def _role(row: RowMapping) -> RoleOf:
    return RoleOf.of(row["role_id"], row["role_name"], row["role_organization_id"], row["role_permissions"])


def member_of(row: RowMapping) -> Member:
    holder = Holder(row["user_id"], _role(row), row["permissions_override"])
    return Member(holder, MembershipStatus(row["status"]), row)
