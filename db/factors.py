"""Second factors of people: the shared secret of their authenticator, backup codes, devices they trust.

They belong to a person, not to an organization: a transaction of `Access(Role.API, organization?, user)` sees its
user's rows only. Secrets are sealed with the data key of the platform's own organization.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, No, SealedText, UpdatedAt


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
    #: Every attempt moves it on; too far in the future, the next attempt has to wait.
    attempts_until: Mapped[datetime | None]
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
