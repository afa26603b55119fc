"""Who stands behind the candidates of a task: members by address or role, clients by id, and where to write to them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.clients import Client, Contact
from db.identity import User
from db.tenants import Membership, Role
from domain.clients import Channel, Purpose, Unreachable, addressee
from domain.members import Holder, RoleOf
from domain.permissions import Permission
from domain.tasks.candidates import Candidate, CandidateKind
from domain.tasks.sight import sees_every_task
from domain.tenants import MembershipStatus

#: Members of a role that are looked at; more are not mailed one by one.
MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Person:
    """A member who may decide tasks; `is_able` is false for one who may not.

    `sees_every` task, also one that names nobody.
    """

    user_id: UUID
    email: str
    role: str
    is_able: bool
    sees_every: bool


@dataclass(frozen=True, slots=True)
class Customer:
    """A client and the address at which somebody may answer in its name."""

    client_id: UUID
    email: str
    name: str

    @property
    def address_sha256(self) -> str:
        """Of the address; a link that was mailed to another one is good no more."""
        return hashlib.sha256(self.email.lower().encode()).hexdigest()


@dataclass(slots=True)
class Found:
    """`unknown` maps candidates that nobody stands behind to the reason."""

    people: list[Person] = field(default_factory=list)
    customers: list[Customer] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    #: A role is among them that exists, whoever holds it.
    has_role: bool = False


class Candidates:
    """Candidates of the entered organization."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def may_decide(self, user_id: UUID) -> bool:
        """Whether this is an active member who may decide tasks, whatever a key of theirs may."""
        found = await self._members(Membership.user_id == user_id)
        return any(person.is_able for person in found)

    async def resolve(self, names: Sequence[str], *, authorizing: bool = True) -> Found:
        """`authorizing` says that a client's answer binds it: then a contact who may authorize is written to."""
        found = Found()
        wanted = [Candidate.parse(name) for name in dict.fromkeys(names)]
        await self._users(found, [each for each in wanted if each.kind is CandidateKind.USER])
        await self._roles(found, [each for each in wanted if each.kind is CandidateKind.ROLE])
        for each in wanted:
            if each.kind is CandidateKind.CLIENT:
                await self._client(found, each, authorizing=authorizing)
        return found

    async def _users(self, found: Found, wanted: Sequence[Candidate]) -> None:
        if not wanted:
            return
        known = {
            person.email.lower(): person
            for person in await self._members(func.lower(User.email).in_([each.name for each in wanted]))
        }
        for each in wanted:
            person = known.get(each.name)
            if person is None:
                found.unknown[str(each)] = f"{each.name} is no active member of the organization"
            elif not person.is_able:
                found.unknown[str(each)] = f"{each.name} may not decide tasks"
            else:
                _add(found.people, person)

    async def _roles(self, found: Found, wanted: Sequence[Candidate]) -> None:
        if not wanted:
            return
        names = [each.name for each in wanted]
        existing = set(
            await self._tx.scalars(select(func.lower(Role.name)).where(func.lower(Role.name).in_(names)))
        )
        for each in wanted:
            if each.name not in existing:
                found.unknown[str(each)] = f"the organization has no role “{each.name}”"
        if existing:
            found.has_role = True
            for person in await self._members(func.lower(Role.name).in_(sorted(existing))):
                if person.is_able:
                    _add(found.people, person)

    async def _client(self, found: Found, wanted: Candidate, *, authorizing: bool) -> None:
        # Held until the transaction ends: whoever deletes it meanwhile sees the task that is opened for it.
        those = select(*Client.__table__.c).where(Client.id == UUID(wanted.name))
        statement = those.with_for_update(read=True, key_share=True)
        client = (await self._tx.execute(statement)).mappings().one_or_none()
        if client is None:
            found.unknown[str(wanted)] = f"the organization has no client {wanted.name}"
            return
        contacts = select(*Contact.__table__.c).where(Contact.client_id == client["id"])
        known = (await self._tx.execute(contacts)).mappings().all()
        try:
            email, name = _written_to(client, known, authorizing=authorizing)
        except Unreachable as reason:
            found.unknown[str(wanted)] = f"client {wanted.name} cannot be reached: {reason}".rstrip(".")
            return
        found.customers.append(Customer(client["id"], email, name))

    async def _members(self, *which: ColumnElement[bool]) -> list[Person]:
        statement = (
            select(
                Membership.user_id,
                Membership.permissions_override,
                User.email,
                Role.id.label("role_id"),
                Role.name.label("role"),
                Role.organization_id.label("role_organization_id"),
                Role.permissions.label("role_permissions"),
            )
            .join(User, User.id == Membership.user_id)
            .join(Role, Role.id == Membership.role_id)
            .where(Membership.status == MembershipStatus.ACTIVE, *which)
            .order_by(Membership.created_at, Membership.id)
            .limit(MOST)
        )
        return [_person(row) for row in (await self._tx.execute(statement)).mappings()]


def _person(row: RowMapping) -> Person:
    role = RoleOf.of(row["role_id"], row["role"], row["role_organization_id"], row["role_permissions"])
    holder = Holder(row["user_id"], role, row["permissions_override"])
    return Person(
        row["user_id"],
        row["email"],
        row["role"],
        is_able=Permission.TASKS_DECIDE in holder.permissions,
        sees_every=sees_every_task(holder.permissions),
    )


def _add(people: list[Person], person: Person) -> None:
    if all(each.user_id != person.user_id for each in people):
        people.append(person)


def _written_to(
    client: Mapping[Any, Any], contacts: Iterable[Mapping[Any, Any]], *, authorizing: bool
) -> tuple[str, str]:
    """Address and name. Where the answer binds the client: whoever may authorize, else the client itself."""
    known = [dict(contact) for contact in contacts]
    if authorizing:
        try:
            found = addressee(dict(client), known, Channel.EMAIL, Purpose.AUTHORIZATION)
        except Unreachable:
            known = []
        else:
            return found.address, found.name
    found = addressee(dict(client), known, Channel.EMAIL, Purpose.COMMUNICATION)
    return found.address, found.name
