"""Organizations, their members' roles, their keys, and the log of what happened in them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    RowMapping,
    Text,
    UniqueConstraint,
    bindparam,
    cast,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import (
    Base,
    CreatedAt,
    Id,
    JsonObject,
    No,
    SealedText,
    Tenant,
    UpdatedAt,
    UserRef,
    Words,
    Yes,
    one_of,
    tenant_key,
)
from db.rows import change, one, refusing, unchanged
from domain.errors import Conflict, NotFound, Unauthenticated
from domain.permissions import RoleName
from domain.tenants import (
    ActorType,
    CompanySize,
    KeyStatus,
    MembershipStatus,
    OrganizationSettings,
    VerificationLevel,
    settings_of,
)

#: Ids of the roles every organization shares; the first migration writes these rows.
SHIPPED_ROLES: dict[RoleName, UUID] = {
    name: UUID(f"00000000-0000-7000-8000-{number:012d}") for number, name in enumerate(RoleName, start=1)
}


#: The platform's own organization: what belongs to no customer runs there. Nobody is a member of it.
PLATFORM = UUID("00000000-0000-7000-8000-0000000000aa")
#: How many organizations one person may own, deleted ones that could be restored included.
MOST_ORGANIZATIONS = 20
#: For so long its owner may take the deletion of an organization back; then it is erased.
RESTORABLE_FOR = timedelta(days=30)
#: `last_active_at` of a membership is this coarse.
ACTIVE_GRAIN = timedelta(hours=1)


class Organization(Base):
    __tablename__ = "organizations"
    __table_args__ = (
        one_of("company_size", CompanySize),
        one_of("verification_level", VerificationLevel),
        CheckConstraint("deleted_at IS NULL OR NOT is_active", name="deleted"),
        Index(None, "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    )

    id: Mapped[Id]
    name: Mapped[str]
    slug: Mapped[str] = mapped_column(unique=True)
    domain: Mapped[str | None] = mapped_column(unique=True)
    description: Mapped[str | None]
    logo_url: Mapped[str | None]
    website: Mapped[str | None]
    industry: Mapped[str | None]
    company_size: Mapped[str | None]
    phone: Mapped[str | None]
    address: Mapped[str | None]
    city: Mapped[str | None]
    state: Mapped[str | None]
    zip_code: Mapped[str | None]
    country: Mapped[str | None] = mapped_column(server_default="US")
    timezone: Mapped[str] = mapped_column(server_default="UTC")
    #: Sealed for `organizations.tax_id/<id>`, in base64.
    tax_id: Mapped[SealedText | None]
    registration_number: Mapped[str | None]
    settings: Mapped[JsonObject]
    is_verified: Mapped[No]
    verification_level: Mapped[str] = mapped_column(server_default=VerificationLevel.BASIC)
    is_active: Mapped[Yes]
    #: Since when nobody enters; its owner may take that back for a while, then it is erased.
    deleted_at: Mapped[datetime | None]
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", use_alter=True))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Role(Base):
    """A named set of permissions; one without an organization is shipped and readable by all."""

    __tablename__ = "roles"
    __table_args__ = (
        Index(
            "uq_roles_shipped_name",
            "name",
            unique=True,
            postgresql_where=text("organization_id IS NULL"),
        ),
        UniqueConstraint("organization_id", "name"),
    )

    id: Mapped[Id]
    organization_id: Mapped[UUID | None] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    name: Mapped[str]
    description: Mapped[str | None]
    permissions: Mapped[Words]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Membership(Tenant, Base):
    __tablename__ = "user_organizations"
    __table_args__ = (
        tenant_key(),
        UniqueConstraint("user_id", "organization_id"),
        Index(None, "organization_id", "user_id"),
        Index(None, "organization_id", "role_id"),
        one_of("status", MembershipStatus),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    #: A shipped role or one of the same organization: the trigger `own_role` refuses any other.
    role_id: Mapped[UUID] = mapped_column(ForeignKey("roles.id"))
    status: Mapped[str] = mapped_column(server_default=MembershipStatus.ACTIVE)
    invited_by: Mapped[UserRef | None]
    joined_at: Mapped[datetime | None]
    last_active_at: Mapped[datetime | None]
    #: {"grant": [permission…], "deny": [permission…]}; deny wins.
    permissions_override: Mapped[JsonObject]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class EncryptionKey(Tenant, Base):
    """An organization's data key, wrapped by a master key that never enters the database."""

    __tablename__ = "encryption_keys"
    __table_args__ = (
        tenant_key(),
        Index(
            "uq_encryption_keys_active",
            "organization_id",
            unique=True,
            postgresql_where=text("status = 'active'"),
        ),
        one_of("status", KeyStatus),
    )

    id: Mapped[Id]
    wrapped_key: Mapped[bytes]
    master_key_id: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=KeyStatus.ACTIVE)
    created_at: Mapped[CreatedAt]
    retired_at: Mapped[datetime | None]


class ActivityLog(Tenant, Base):
    """What happened, by whom; monthly partitions, only ever appended to."""

    __tablename__ = "activity_logs"
    __table_args__ = (
        one_of("actor_type", ActorType),
        CheckConstraint("actor_type <> 'user' OR user_id IS NOT NULL", name="user_known"),
        Index(None, "organization_id", "resource", "resource_id", "created_at"),
        Index(None, "organization_id", "user_id", "created_at"),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"),
        primary_key=True,
        sort_order=-3,
    )
    created_at: Mapped[datetime] = mapped_column(
        primary_key=True, server_default=text("now()"), sort_order=-2
    )
    id: Mapped[UUID] = mapped_column(
        primary_key=True, server_default=text("gen_random_uuid()"), sort_order=-1
    )
    actor_type: Mapped[str]
    user_id: Mapped[UserRef | None]
    action: Mapped[str]
    resource: Mapped[str]
    resource_id: Mapped[str | None]
    log_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB(), server_default=text("'{}'"))
    ip_address: Mapped[str | None]
    user_agent: Mapped[str | None]


class Organizations:
    """The entered organization, as its members may see and change it."""

    _SHOWN = (
        Organization.id,
        Organization.name,
        Organization.slug,
        Organization.domain,
        Organization.is_verified,
        Organization.verification_level,
        Organization.description,
        Organization.logo_url,
        Organization.website,
        Organization.industry,
        Organization.company_size,
        Organization.phone,
        Organization.address,
        Organization.city,
        Organization.state,
        Organization.zip_code,
        Organization.country,
        Organization.timezone,
        Organization.registration_number,
        Organization.created_by,
        Organization.created_at,
        Organization.updated_at,
    )

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def get(self, id: UUID) -> RowMapping:
        return one(await self._tx.execute(select(*self._SHOWN).where(Organization.id == id)))

    async def settings(self, id: UUID) -> tuple[OrganizationSettings, datetime]:
        """And when the organization was last changed. Raises NotFound."""
        columns = (Organization.settings, Organization.updated_at)
        row = one(await self._tx.execute(select(*columns).where(Organization.id == id)))
        return settings_of(row["settings"]), row["updated_at"]

    async def update(self, id: UUID, seen: datetime, values: Mapping[str, Any]) -> RowMapping:
        """Changes columns while `updated_at` still is what the caller saw. Raises NotFound, Stale."""
        return await change(self._tx, Organization, id, unchanged(Organization.updated_at, seen), values)


class TooManyOrganizations(Conflict):
    """You own as many organizations as one person may; transfer or delete one first."""

    code = "too_many_organizations"


class NotDeleted(Conflict):
    """This organization is not deleted; there is nothing to restore."""

    code = "organization_not_deleted"


class TooLate(Conflict):
    """This organization was deleted too long ago; it is being erased."""

    code = "too_late_to_restore"


async def note_presence(tx: AsyncConnection, user_id: UUID, now: datetime) -> None:
    """`last_active_at` of the user's membership in the entered organization, true to the hour."""
    coarse = or_(Membership.last_active_at.is_(None), Membership.last_active_at < now - ACTIVE_GRAIN)
    statement = update(Membership).where(Membership.user_id == user_id, coarse)
    await tx.execute(statement.values(last_active_at=now))


class Foundations:
    """Beginning, ending and taking back: definer functions, for nobody has entered what they are about."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def create(self, user_id: UUID, values: Mapping[str, Any]) -> bool:
        """An organization that the user owns; False when they made the one of this id before.

        Raises TooManyOrganizations, and Unauthenticated for a user who may not sign in any more.
        """
        statement = text("SELECT app.create_organization(:user_id, :organization, :most)").bindparams(
            bindparam("organization", type_=JSONB)
        )
        given = {"user_id": user_id, "organization": dict(values), "most": MOST_ORGANIZATIONS}
        outcome = (await self._tx.execute(statement, given)).scalar_one()
        if outcome == "too_many":
            raise TooManyOrganizations(
                f"You own {MOST_ORGANIZATIONS} organizations, as many as one person may; transfer or delete one."
            )
        if outcome == "unknown":
            raise Unauthenticated
        return bool(outcome == "created")

    async def close(self, organization_id: UUID, user_id: UUID, now: datetime) -> bool:
        """From now on nobody enters; False unless the user is an active owner."""
        statement = text("SELECT app.close_organization(:id, :user_id, :now)")
        values = {"id": organization_id, "user_id": user_id, "now": now}
        return bool((await self._tx.execute(statement, values)).scalar_one())

    async def restore(self, organization_id: UUID, user_id: UUID, now: datetime) -> None:
        """Raises NotFound for whoever does not own it, NotDeleted, TooLate."""
        statement = text("SELECT app.restore_organization(:id, :user_id, :since)")
        values = {"id": organization_id, "user_id": user_id, "since": now - RESTORABLE_FOR}
        outcome = (await self._tx.execute(statement, values)).scalar_one()
        if outcome == "unknown":
            raise NotFound
        if outcome == "active":
            raise NotDeleted
        if outcome == "too_late":
            raise TooLate

    async def deleted(self, user_id: UUID, now: datetime) -> Sequence[RowMapping]:
        """What the user owns and could restore: id, name, slug and since when it is deleted."""
        statement = text(
            "SELECT organization_id AS id, name, slug, deleted_at"
            " FROM app.my_deleted_organizations(:user_id, :since) ORDER BY name, organization_id"
        )
        values = {"user_id": user_id, "since": now - RESTORABLE_FOR}
        return (await self._tx.execute(statement, values)).mappings().all()


class DomainTaken(Conflict):
    """Another organization has proven this domain."""

    code = "domain_taken"


class Verification:
    """What the platform's operators found out about organizations: bound to a transaction of the system."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def find(self, name: str) -> RowMapping:
        """By id or slug. Raises NotFound."""
        columns = (Organization.id, Organization.slug, Organization.domain, Organization.verification_level)
        same = or_(cast(Organization.id, Text()) == name.lower(), Organization.slug == name)
        return one(await self._tx.execute(select(*columns).where(same)))

    async def put(self, id: UUID, level: VerificationLevel, domain: str | None) -> None:
        """`domain` is proven from now on; None: it has none. A claim that nobody proved gives way.

        Raises DomainTaken.
        """
        if domain is not None:
            unproven = (
                Organization.domain == domain,
                Organization.is_verified.is_(False),
                Organization.id != id,
            )
            await self._tx.execute(update(Organization).where(*unproven).values(domain=None))
        values = {"domain": domain, "is_verified": domain is not None, "verification_level": level.value}
        with refusing({"uq_organizations_domain": DomainTaken}):
            await self._tx.execute(update(Organization).where(Organization.id == id).values(**values))
