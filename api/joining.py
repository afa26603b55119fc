"""Becoming a member through the link of an invitation: shared by the JSON routes and the page."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import NOBODY, Caller
from api.collaborators import Collaborators
from api.passwords import check
from api.registration import TokenRefused
from api.sessions import SignIn
from db.activity import Activities, Activity
from db.invitations import AccountExists, Found, Links
from db.session import Access, Role, enter
from domain.errors import Forbidden, Invalid, Problem
from domain.onetime import kept
from domain.tenants import settings_of


class OtherAddress(Forbidden):
    """This invitation is for another e-mail address; sign in with that one."""

    code = "other_address"


class Suspended(Forbidden):
    """Your membership is suspended; ask an administrator of the organization to resume it."""

    code = "membership_suspended"


class DomainNotAllowed(Forbidden):
    """The organization admits only e-mail addresses of its own domains by now; ask it about yours."""

    code = "email_domain_not_allowed"


@dataclass(frozen=True, slots=True)
class Newcomer:
    name: str
    password: str

    @property
    def names(self) -> tuple[str, str | None]:
        first, _, last = self.name.partition(" ")
        return first, last.strip() or None


class Joining:
    """Everything a link is good for; each method raises TokenRefused for one that is good for nothing."""

    def __init__(self, parts: Collaborators, sign_in: SignIn) -> None:
        self._parts = parts
        self._sign_in = sign_in

    async def look(self, token: str) -> Found:
        """What the link tells; uses nothing up."""
        async with self._parts.database.transaction(NOBODY) as tx:
            return await self._found(tx, token)

    async def accept(self, token: str, caller: Caller) -> Found:
        """The caller becomes a member, once. Raises OtherAddress, Suspended, DomainNotAllowed."""
        async with self._parts.database.transaction(NOBODY) as tx:
            found = await self._found(tx, token)
            outcome = await Links(tx).accept(kept(token), caller.user_id, self._parts.clock())
            await self._joined(tx, outcome, found, caller.user_id)
        return found

    async def register(self, token: str, newcomer: Newcomer) -> tuple[Found, UUID]:
        """A new user of the invited address, which the link proves. Raises AccountExists, Invalid as well."""
        found = await self.look(token)
        if found.has_account:
            raise AccountExists
        problems = check(newcomer.password, email=found.email, pointer="#/password")
        if problems:
            raise Invalid(problems=problems)
        id = uuid4()
        first, last = newcomer.names
        user = {
            "id": str(id),
            "password": await self._sign_in.passwords.hash(newcomer.password),
            "first_name": first,
            "last_name": last,
        }
        async with self._parts.database.transaction(NOBODY) as tx:
            outcome = await Links(tx).register(kept(token), user, self._parts.clock())
            await self._joined(tx, outcome, found, id)
        return found, id

    async def _found(self, tx: AsyncConnection, token: str) -> Found:
        found = await Links(tx).find(kept(token), self._parts.clock())
        if found is None:
            raise TokenRefused(problems=[Problem("#/token", TokenRefused().message, None, "token_refused")])
        if not settings_of(found.settings).admits(found.email):
            raise DomainNotAllowed
        return found

    async def _joined(self, tx: AsyncConnection, outcome: str, found: Found, user_id: UUID) -> None:
        """Notes the new member; any other outcome undoes the transaction."""
        if outcome == "unknown":  # somebody was quicker
            raise TokenRefused(problems=[Problem("#/token", TokenRefused().message, None, "token_refused")])
        if outcome == "other_address":
            raise OtherAddress
        if outcome == "suspended":
            raise Suspended
        await enter(tx, Access(Role.API, found.organization_id, user_id))
        activity = Activity(
            organization_id=found.organization_id,
            actor_type="user",
            user_id=user_id,
            action="member.joined" if outcome == "accepted" else "invitation.accepted",
            resource="invitations",
            resource_id=str(found.id),
            metadata={"role": found.role},
        )
        await Activities(tx).note([activity])
