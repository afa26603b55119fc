"""Invitations: an address, a role, and the hash of the link that makes its reader a member."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    RowMapping,
    Select,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, Tenant, UpdatedAt, UserRef, tenant_key
from db.rows import Before, containing, newest_first, one, refusing
from db.tenants import Role
from domain.errors import Conflict
from domain.tenants import InvitationStatus


class AlreadyInvited(Conflict):
    """This address has an open invitation; resend or revoke that one."""

    code = "already_invited"


class InvitationClosed(Conflict):
    """This invitation was accepted or revoked; invite the address anew."""

    code = "invitation_closed"


class Invitation(Tenant, Base):
    """Open until it is accepted, revoked or expires; what is open once per address."""

    __tablename__ = "invitations"
    __table_args__ = (
        tenant_key(),
        UniqueConstraint("token_sha256"),
        Index(
            "uq_invitations_open",
            "organization_id",
            "email",
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
        ),
        Index(None, "organization_id", "created_at", "id"),
        Index(None, "organization_id", "role_id"),
        CheckConstraint("email = lower(email)", name="email"),
        CheckConstraint("mails > 0", name="mails"),
        CheckConstraint("(accepted_by IS NULL) = (accepted_at IS NULL)", name="accepted"),
        CheckConstraint(
            "role_id IS NOT NULL OR accepted_at IS NOT NULL OR revoked_at IS NOT NULL", name="role_known"
        ),
    )

    id: Mapped[Id]
    email: Mapped[str]
    #: Like a membership's; gone with the role once the invitation is closed.
    role_id: Mapped[UUID | None] = mapped_column(ForeignKey("roles.id", ondelete="SET NULL"))
    #: What the secret in the link is derived from; a new one for every mail, so that only the newest link works.
    token_id: Mapped[UUID]
    token_sha256: Mapped[str]
    invited_by: Mapped[UserRef]
    mails: Mapped[int] = mapped_column(server_default="1")
    sent_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    accepted_by: Mapped[UserRef | None]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


def is_open(now: datetime) -> ColumnElement[bool]:
    return and_(
        Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None), Invitation.expires_at > now
    )


@dataclass(frozen=True, slots=True)
class Found:
    """What the link of an open invitation tells whoever holds it."""

    id: UUID
    organization_id: UUID
    organization: str
    #: The organization's own domain, if it proved it.
    domain: str | None
    settings: Mapping[str, Any]
    email: str
    role: str
    inviter: str
    expires_at: datetime
    has_account: bool


class Invitations:
    """The invitations of the entered organization."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def add(self, values: Mapping[str, Any], now: datetime) -> None:
        """An earlier one to the same address that has expired is closed. Raises AlreadyInvited."""
        old = (
            Invitation.email == values["email"],
            Invitation.accepted_at.is_(None),
            Invitation.revoked_at.is_(None),
            Invitation.expires_at <= now,
        )
        await self._tx.execute(update(Invitation).where(*old).values(revoked_at=now))
        with refusing({"uq_invitations_open": AlreadyInvited}):
            await self._tx.execute(insert(Invitation).values(**values))

    async def get(self, id: UUID, now: datetime) -> RowMapping:
        """Raises NotFound."""
        return one(await self._tx.execute(_shown(now).where(Invitation.id == id)))

    async def locked(self, id: UUID, now: datetime) -> RowMapping:
        """The same, held until the transaction ends. Raises NotFound, InvitationClosed."""
        lock = select(Invitation.id).where(Invitation.id == id).with_for_update()
        one(await self._tx.execute(lock))
        row = await self.get(id, now)
        if row["status"] in (InvitationStatus.ACCEPTED, InvitationStatus.REVOKED):
            raise InvitationClosed(f"This invitation was {row['status']}; invite the address anew.")
        return row

    async def page(
        self, q: str | None, status: InvitationStatus | None, now: datetime, before: Before | None, limit: int
    ) -> Sequence[RowMapping]:
        statement = _shown(now)
        if q is not None:
            statement = statement.where(containing(q, Invitation.email))
        if status is not None:
            statement = statement.where(_status(now) == status.value)
        statement = newest_first(statement, Invitation.created_at, Invitation.id, before).limit(limit)
        return (await self._tx.execute(statement)).mappings().all()

    async def open(self, now: datetime) -> int:
        """How many could be accepted at this moment."""
        return int((await self._tx.execute(select(func.count()).where(is_open(now)))).scalar_one())

    async def change(self, id: UUID, values: Mapping[str, Any]) -> None:
        await self._tx.execute(update(Invitation).where(Invitation.id == id).values(**values))


class Links:
    """What the holder of a link may do before anything is entered: bound to a transaction of nobody."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def find(self, token_sha256: str, now: datetime) -> Found | None:
        """None for a link that is unknown, used, revoked or expired."""
        found = await self._tx.execute(_FIND, {"sha256": token_sha256, "now": now})
        row = found.mappings().one_or_none()
        return None if row is None else Found(**row)

    async def accept(self, token_sha256: str, user_id: UUID, now: datetime) -> str:
        """`accepted`, `member` (before already), `suspended`, `other_address` or `unknown`."""
        values = {"sha256": token_sha256, "user_id": user_id, "now": now}
        return str((await self._tx.execute(_ACCEPT, values)).scalar_one())

    async def register(self, token_sha256: str, user: Mapping[str, Any], now: datetime) -> str:
        """The same for a new user of the invited address. Raises AccountExists."""
        with refusing({"uq_users_email_lower": AccountExists, "uq_users_username_lower": AccountExists}):
            values = {"sha256": token_sha256, "user": dict(user), "now": now}
            return str((await self._tx.execute(_REGISTER, values)).scalar_one())


class AccountExists(Conflict):
    """The invited address has an account: sign in with it, then accept the invitation."""

    code = "account_exists"


_FIND = text("SELECT * FROM app.find_invitation(:sha256, :now)")
_ACCEPT = text("SELECT app.accept_invitation(:sha256, :user_id, :now)")
_REGISTER = text("SELECT app.register_invited(:sha256, :user, :now)").bindparams(
    bindparam("user", type_=JSONB)
)


def _status(now: datetime) -> ColumnElement[str]:
    return case(
        (Invitation.accepted_at.is_not(None), InvitationStatus.ACCEPTED.value),
        (Invitation.revoked_at.is_not(None), InvitationStatus.REVOKED.value),
        (Invitation.expires_at <= now, InvitationStatus.EXPIRED.value),
        else_=InvitationStatus.OPEN.value,
    )


def _shown(now: datetime) -> Select[*tuple[Any, ...]]:
    return select(
        Invitation.id,
        Invitation.email,
        Invitation.role_id,
        Role.name.label("role"),
        _status(now).label("status"),
        Invitation.invited_by,
        Invitation.mails,
        Invitation.sent_at,
        Invitation.expires_at,
        Invitation.accepted_by,
        Invitation.accepted_at,
        Invitation.revoked_at,
        Invitation.created_at,
        Invitation.updated_at,
    ).outerjoin(Role, Role.id == Invitation.role_id)
