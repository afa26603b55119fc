"""Tokens for one use and registrations waiting for theirs; only hashes of tokens ever arrive here.

Everything runs through definer functions of schema `app` (migration 0015): the tables stay closed.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, RowMapping, bindparam, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, one_of
from db.rows import refusing
from domain.errors import Conflict
from domain.onetime import MOST_ATTEMPTS, Purpose


class AddressTaken(Conflict):
    """Another account has this e-mail address by now: sign in to it, or choose a new password for it."""

    code = "email_taken"


_TAKEN = {"uq_users_email_lower": AddressTaken, "uq_users_username_lower": AddressTaken}


class AuthToken(Base):
    """A token that was sent to somebody, or would have been, had there been somebody."""

    __tablename__ = "auth_tokens"
    __table_args__ = (
        one_of("purpose", Purpose),
        Index("ix_auth_tokens_user_id", "user_id", "purpose"),
        Index(None, "expires_at"),
    )

    id: Mapped[Id]
    #: Empty while nobody has looked whom the target belongs to.
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[str]
    token_sha256: Mapped[str] = mapped_column(unique=True)
    #: The address or telephone number it was sent to.
    target: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class WaitingRegistration(Base):
    """What somebody entered who has not shown yet that the address is theirs; deleted after a day."""

    __tablename__ = "registrations"

    id: Mapped[Id]
    email: Mapped[str]
    #: As `users.password`.
    password: Mapped[str]
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    organization_name: Mapped[str]
    slug: Mapped[str]
    token_sha256: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]


Index(
    "ix_registrations_email",
    func.lower(WaitingRegistration.__table__.c.email),
    WaitingRegistration.__table__.c.created_at,
)
Index("ix_registrations_expires_at", WaitingRegistration.__table__.c.expires_at)


@dataclass(frozen=True, slots=True)
class NewToken:
    id: UUID
    purpose: Purpose
    token_sha256: str
    expires_at: datetime
    user_id: UUID | None = None
    target: str | None = None

    def as_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        values["expires_at"] = self.expires_at.isoformat()
        return {name: str(value) for name, value in values.items() if value is not None}


class AuthTokens:
    """Bound to a transaction of the API, or of a worker of the platform where a method says so."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def issue(self, token: NewToken) -> None:
        """API or worker."""
        statement = text("SELECT app.issue_token(:token)").bindparams(bindparam("token", type_=JSONB))
        await self._tx.execute(statement, {"token": token.as_json()})

    async def find(self, sha256: str, purpose: Purpose, now: datetime) -> RowMapping | None:
        """id, user_id, target and the account's e-mail address of a token that could still be used."""
        return await self._first(
            "SELECT * FROM app.find_token(:sha256, :purpose, :now)",
            sha256=sha256,
            purpose=purpose.value,
            now=now,
        )

    async def attempt(
        self, sha256: str, purpose: Purpose, now: datetime, most: int = MOST_ATTEMPTS
    ) -> RowMapping | None:
        """Counts one try at what goes with a live token: id, user_id, target, attempts; None when it has none left.

        Committed even when the try fails, or the count is lost.
        """
        return await self._first(
            "SELECT * FROM app.attempt_token(:sha256, :purpose, :now, :most)",
            sha256=sha256,
            purpose=purpose.value,
            now=now,
            most=most,
        )

    async def consume(self, sha256: str, purpose: Purpose, now: datetime) -> RowMapping | None:
        """Uses a live token up, atomically: id, user_id, target. None for the second to come, and for strangers."""
        return await self._first(
            "SELECT * FROM app.consume_token(:sha256, :purpose, :now)",
            sha256=sha256,
            purpose=purpose.value,
            now=now,
        )

    async def reset_password(self, sha256: str, hashed: str, now: datetime) -> RowMapping | None:
        """Consumes, sets the password, ends sessions and other tokens: user_id, email, default organization."""
        return await self._first(
            "SELECT * FROM app.reset_password(:sha256, :hashed, :now)", sha256=sha256, hashed=hashed, now=now
        )

    async def change_email(self, sha256: str, now: datetime) -> RowMapping | None:
        """Consumes and moves the account: user_id, old_email, new_email, default organization. Raises AddressTaken."""
        with refusing(_TAKEN):
            return await self._first("SELECT * FROM app.change_email(:sha256, :now)", sha256=sha256, now=now)

    async def confirm_phone(self, sha256: str, user_id: UUID, country_code: str, now: datetime) -> str | None:
        """Consumes and writes the number into the account; the number."""
        row = await self._first(
            "SELECT * FROM app.confirm_phone(:sha256, :user_id, :country_code, :now)",
            sha256=sha256,
            user_id=user_id,
            country_code=country_code,
            now=now,
        )
        return None if row is None else str(row["phone"])

    async def _first(self, sql: str, **values: Any) -> RowMapping | None:
        return (await self._tx.execute(text(sql), values)).mappings().one_or_none()


class Registrations:
    """Registrations that wait for their mail."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def add(self, values: dict[str, Any]) -> None:
        """In a worker's transaction of the platform, so that the mail's process begins with the row."""
        statement = text("SELECT app.add_registration(:given)").bindparams(bindparam("given", type_=JSONB))
        await self._tx.execute(statement, {"given": values})

    async def complete(
        self, sha256: str, user_id: UUID, organization_id: UUID, now: datetime
    ) -> RowMapping | None:
        """User, organization and membership, made of the row: email, name, organization_name. Raises AddressTaken."""
        statement = text("SELECT * FROM app.complete_registration(:sha256, :user_id, :organization_id, :now)")
        values = {
            "sha256": sha256,
            "user_id": user_id,
            "organization_id": organization_id,
            "now": now,
        }
        with refusing(_TAKEN):
            return (await self._tx.execute(statement, values)).mappings().one_or_none()


class Recipients:
    """Whom a mail is for, asked by a worker of the platform right before it is sent."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def of_registration(self, id: UUID, now: datetime) -> RowMapping | None:
        """email, is_taken."""
        return await self._first("SELECT * FROM app.registration_of(:id, :now)", id=id, now=now)

    async def newest_registration(self, email: str, now: datetime) -> UUID | None:
        row = await self._first("SELECT * FROM app.newest_registration(:email, :now)", email=email, now=now)
        return None if row is None else row["id"]

    async def of_reset(self, id: UUID, now: datetime) -> str | None:
        """The account's address; from now on the token is that account's."""
        row = await self._first("SELECT * FROM app.reset_of(:id, :now)", id=id, now=now)
        return None if row is None else str(row["email"])

    async def of_email_change(self, id: UUID, now: datetime) -> RowMapping | None:
        """email, new_email, is_taken."""
        return await self._first("SELECT * FROM app.email_change_of(:id, :now)", id=id, now=now)

    async def of_code(self, id: UUID, now: datetime) -> str | None:
        """The telephone number."""
        row = await self._first("SELECT * FROM app.code_of(:id, :now)", id=id, now=now)
        return None if row is None else str(row["phone"])

    async def _first(self, sql: str, **values: Any) -> RowMapping | None:
        return (await self._tx.execute(text(sql), values)).mappings().one_or_none()
