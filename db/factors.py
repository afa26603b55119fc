"""Second factors of people: the shared secret of their authenticator, backup codes, devices they trust.

They belong to a person, not to an organization: a transaction of `Access(Role.API, organization?, user)` sees its
user's rows only. Secrets are sealed with the data key of the platform's own organization.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    RowMapping,
    UniqueConstraint,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, No, SealedText, UpdatedAt
from db.rows import Before, newest_first, one


class UserMfa(Base):
    """One row per person who ever began to enrol."""

    __tablename__ = "user_mfa"
    __table_args__ = (CheckConstraint("totp_secret IS NOT NULL OR NOT mfa_enabled", name="secret"),)

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), unique=True)
    mfa_enabled: Mapped[No]
    #: Whether a policy of one of their organizations demands it; triggers keep it so.
    mfa_enforced: Mapped[No]
    totp_secret: Mapped[SealedText | None]
    #: A secret shown, but not yet proven by a code.
    pending_secret: Mapped[SealedText | None]
    pending_until: Mapped[datetime | None]
    #: The 30-second step of the newest code accepted: no older one is, nor that one again.
    last_timecode: Mapped[int | None] = mapped_column(BigInteger())
    enrolled_at: Mapped[datetime | None]
    last_verified: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class BackupCode(Base):
    """A code for the day the authenticator is lost: found by its selector, proven by its slow hash, used once."""

    __tablename__ = "backup_codes"
    __table_args__ = (UniqueConstraint("user_id", "selector"),)

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    selector: Mapped[str]
    secret_hash: Mapped[str]
    created_at: Mapped[CreatedAt]
    used_at: Mapped[datetime | None]


class TrustedDevice(Base):
    """A browser or program that signs in without a code for thirty days, and confirms nothing else."""

    __tablename__ = "trusted_devices"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    #: SHA-256 of the random secret that the device keeps; no fingerprint.
    device_id: Mapped[str] = mapped_column(unique=True)
    device_name: Mapped[str | None]
    ip_address: Mapped[str | None]
    user_agent: Mapped[str | None]
    expires_at: Mapped[datetime]
    last_used: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class Factors:
    """The entered user's authenticator and backup codes."""

    def __init__(self, tx: AsyncConnection, user_id: UUID) -> None:
        self._tx = tx
        self._user_id = user_id

    async def get(self) -> RowMapping | None:
        """None for somebody who never began to enrol."""
        statement = select(UserMfa).where(UserMfa.user_id == self._user_id)
        return (await self._tx.execute(statement)).mappings().one_or_none()

    async def row_id(self) -> UUID:
        """The id of their row, which is made when there is none: what secrets are sealed for."""
        enforced = func.app.mfa_required(self._user_id)
        statement = upsert(UserMfa).values(user_id=self._user_id, mfa_enforced=enforced)
        statement = statement.on_conflict_do_nothing()
        await self._tx.execute(statement)
        found = select(UserMfa.id).where(UserMfa.user_id == self._user_id)
        return UUID(str(one(await self._tx.execute(found))["id"]))

    async def begin(self, sealed: str, until: datetime) -> None:
        """Keeps a secret that was shown, in the place of any shown before."""
        await self._change(pending_secret=sealed, pending_until=until)

    async def enable(self, pending: str, sealed: str, timecode: int, now: datetime) -> bool:
        """Puts the proven secret in use; False when it is not the pending one any more."""
        return await self._change(
            UserMfa.pending_secret == pending,
            mfa_enabled=True,
            totp_secret=sealed,
            pending_secret=None,
            pending_until=None,
            last_timecode=timecode,
            last_verified=now,
            enrolled_at=now,
        )

    async def use_timecode(self, secret: str, timecode: int, now: datetime) -> bool:
        """Accepts a code of this step once, and none of an older step after it."""
        newer = or_(UserMfa.last_timecode.is_(None), UserMfa.last_timecode < timecode)
        guard = (UserMfa.mfa_enabled, UserMfa.totp_secret == secret, newer)
        return await self._change(*guard, last_timecode=timecode, last_verified=now)

    async def disable(self) -> bool:
        """Forgets authenticator and codes; False when there was none."""
        await self._tx.execute(delete(BackupCode).where(BackupCode.user_id == self._user_id))
        return await self._change(
            UserMfa.mfa_enabled,
            mfa_enabled=False,
            totp_secret=None,
            pending_secret=None,
            pending_until=None,
            last_timecode=None,
            enrolled_at=None,
        )

    async def replace_codes(self, codes: Sequence[Mapping[str, Any]]) -> None:
        """Codes of `selector` and `secret_hash`; every older one stops working."""
        # Whoever does this at the same time waits: there are ten codes afterwards, not twenty.
        await self._tx.execute(select(UserMfa.id).where(UserMfa.user_id == self._user_id).with_for_update())
        await self._tx.execute(delete(BackupCode).where(BackupCode.user_id == self._user_id))
        await self._tx.execute(insert(BackupCode), [{**code, "user_id": self._user_id} for code in codes])

    async def find_code(self, selector: str) -> RowMapping | None:
        """id and secret_hash of an unused code."""
        unused = (BackupCode.user_id == self._user_id, BackupCode.used_at.is_(None))
        statement = select(BackupCode.id, BackupCode.secret_hash).where(*unused)
        found = await self._tx.execute(statement.where(BackupCode.selector == selector))
        return found.mappings().one_or_none()

    async def use_code(self, id: UUID, now: datetime) -> bool:
        """Uses a code up; False for the second to come."""
        unused = (BackupCode.id == id, BackupCode.used_at.is_(None))
        used = await self._tx.execute(update(BackupCode).where(*unused).values(used_at=now))
        return used.rowcount == 1 and await self._change(UserMfa.mfa_enabled, last_verified=now)

    async def codes_left(self) -> int:
        unused = (BackupCode.user_id == self._user_id, BackupCode.used_at.is_(None))
        return await self._tx.scalar(select(func.count()).select_from(BackupCode).where(*unused)) or 0

    async def _change(self, *guard: Any, **values: Any) -> bool:
        statement = update(UserMfa).where(UserMfa.user_id == self._user_id, *guard).values(**values)
        return (await self._tx.execute(statement)).rowcount == 1


class TrustedDevices:
    """The devices the entered user trusts."""

    _SHOWN = (
        TrustedDevice.id,
        TrustedDevice.device_name,
        TrustedDevice.ip_address,
        TrustedDevice.user_agent,
        TrustedDevice.created_at,
        TrustedDevice.last_used,
        TrustedDevice.expires_at,
    )

    def __init__(self, tx: AsyncConnection, user_id: UUID) -> None:
        self._tx = tx
        self._user_id = user_id

    async def add(self, values: Mapping[str, Any]) -> None:
        await self._tx.execute(insert(TrustedDevice).values(**values, user_id=self._user_id))

    async def use(self, device_id: str, now: datetime) -> bool:
        """Whether the device is trusted now; notes that it was used."""
        live = (TrustedDevice.device_id == device_id, TrustedDevice.expires_at > now)
        mine = update(TrustedDevice).where(TrustedDevice.user_id == self._user_id, *live)
        return (await self._tx.execute(mine.values(last_used=now))).rowcount == 1

    async def page(self, before: Before | None, limit: int, now: datetime) -> Sequence[RowMapping]:
        mine = (TrustedDevice.user_id == self._user_id, TrustedDevice.expires_at > now)
        statement = newest_first(
            select(*self._SHOWN).where(*mine), TrustedDevice.created_at, TrustedDevice.id, before
        )
        return (await self._tx.execute(statement.limit(limit))).mappings().all()

    async def forget(self, id: UUID) -> None:
        """Raises NotFound."""
        mine = (TrustedDevice.id == id, TrustedDevice.user_id == self._user_id)
        one(await self._tx.execute(delete(TrustedDevice).where(*mine).returning(TrustedDevice.id)))

    async def forget_all(self) -> None:
        await self._tx.execute(delete(TrustedDevice).where(TrustedDevice.user_id == self._user_id))
