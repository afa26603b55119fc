"""People, their logins and their API keys.

A request that has not entered an organization yet cannot read these tables; it calls definer functions
instead, all in schema `app`, each returning the least it can (EXECUTE for app_api only):

    app.register(new_user jsonb, new_organization jsonb) -> void
        Inserts the user, the organization (created_by is the user) and an active membership as owner. Keys of
        the objects are the columns' names (id, username, email, password, …; id, name, slug, …), unknown ones
        are ignored. Unique violations name uq_users_email_lower, uq_users_username_lower,
        uq_organizations_slug.
    app.login(email text) -> TABLE(user_id uuid, password text, is_active boolean, email_verified boolean,
        default_organization_id uuid)                       zero or one row, by lower(email)
    app.set_password(user_id uuid, old text, new text) -> boolean
        Rehash at login; nothing happens unless `old` is the stored hash.
    app.change_password(user_id uuid, old text, new text, moment timestamptz) -> boolean
        The same for another password: tokens for one use that wait end with the old one.
    app.keeps_password(user_id uuid, matched text) -> boolean
        Whether `matched` is still the stored hash; until the transaction ends it stays so.
    app.open_session(new_session jsonb) -> void             id, user_id, family_id, refresh_sha256,
        csrf_sha256, active_organization_id, user_agent, ip_address, expires_at, ends_at, confirmed_at,
        last_seen_at
    app.find_session(refresh_sha256 text) -> TABLE(id uuid, user_id uuid, family_id uuid, csrf_sha256 text,
        active_organization_id uuid, expires_at timestamptz, rotated_at timestamptz, revoked_at timestamptz,
        user_is_active boolean)
    app.renew_session(refresh_sha256 text, new_session jsonb, moment timestamptz, grace interval)
        -> TABLE(outcome text, session_id uuid, user_id uuid)
        One atomic step: 'rotated' (the old row is marked, the new row of the same family and user inserted),
        'repeated' (the same client asked again within `grace`; the id is the session already made), 'unknown',
        'expired', 'inactive', or 'reused' (the whole family is now revoked).
    app.mfa_required(member uuid) -> boolean
        Whether an organization one is an active member of demands a second factor.
    app.revoke_session_family(family_id uuid, moment timestamptz) -> integer    how many rows were revoked
    app.identify_session(session uuid, wanted uuid, moment timestamptz),
    app.identify_api_key(wanted text, moment timestamptz)
        What the user of a live session or key may do: role, override, scopes (columns in migration 0005, read
        by `db/logins.py`); one call per request, so that a revocation counts at once. app.ask_session and
        app.ask_api_key enter as app_api and ask them, in one statement.
    app.my_organizations(user_id uuid) -> TABLE(organization_id uuid, name text, slug text, role_id uuid,
        role text, status text)                             active organizations only

A user who has entered (Access(API, organization?, user)) reads and writes `users`, `sessions`, `api_keys`
directly, under row level security.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    RowMapping,
    func,
    insert,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import (
    Base,
    CreatedAt,
    Id,
    No,
    SealedText,
    Tenant,
    UpdatedAt,
    Words,
    Yes,
    one_of,
    tenant_key,
    within,
)
from db.rows import Before, newest_first, one, refusing
from domain.errors import Conflict, Stale
from domain.tenants import KycStatus

#: `last_used_at` of an API key is this coarse.
USED_GRAIN = timedelta(minutes=1)


class UsernameTaken(Conflict):
    """Somebody else has this user name; choose another one."""

    code = "username_taken"


class User(Base):
    __tablename__ = "users"
    __table_args__ = (one_of("kyc_status", KycStatus),)

    id: Mapped[Id]
    username: Mapped[str]
    email: Mapped[str]
    #: Versioned bcrypt hash, never the password.
    password: Mapped[str]
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    phone: Mapped[str | None]
    country_code: Mapped[str | None] = mapped_column(server_default="+1")
    email_verified: Mapped[No]
    email_verified_at: Mapped[datetime | None]
    #: SHA-256 of the token that was mailed; the token itself is stored nowhere.
    email_verification_token: Mapped[str | None]
    email_verification_token_expiry: Mapped[datetime | None]
    password_reset_token: Mapped[str | None]
    password_reset_token_expiry: Mapped[datetime | None]
    phone_verified: Mapped[No]
    phone_verified_at: Mapped[datetime | None]
    avatar_url: Mapped[str | None]
    date_of_birth: Mapped[date | None]
    #: Sealed for `users.national_id/<id>` with the key of the platform's own organization, in base64.
    national_id: Mapped[SealedText | None]
    national_id_type: Mapped[str | None]
    address: Mapped[str | None]
    city: Mapped[str | None]
    state: Mapped[str | None]
    zip_code: Mapped[str | None]
    country: Mapped[str | None] = mapped_column(server_default="US")
    emergency_contact_name: Mapped[str | None]
    emergency_contact_phone: Mapped[str | None]
    emergency_contact_relation: Mapped[str | None]
    id_document_url: Mapped[str | None]
    address_proof_url: Mapped[str | None]
    kyc_status: Mapped[str] = mapped_column(server_default=KycStatus.PENDING)
    kyc_verified_at: Mapped[datetime | None]
    kyc_rejection_reason: Mapped[str | None]
    #: The platform role, always a shipped one; what a member may do stands in the membership.
    role_id: Mapped[UUID] = mapped_column(ForeignKey("roles.id"))
    default_organization_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("organizations.id", ondelete="SET NULL", use_alter=True)
    )
    is_active: Mapped[Yes]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


Index("uq_users_email_lower", func.lower(User.__table__.c.email), unique=True)
Index("uq_users_username_lower", func.lower(User.__table__.c.username), unique=True)


class Session(Base):
    """One refresh token of a login; rotation adds a row to the same family."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "user_id"), Index(None, "family_id"))

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    family_id: Mapped[UUID]
    refresh_sha256: Mapped[str] = mapped_column(unique=True)
    csrf_sha256: Mapped[str | None]
    active_organization_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("organizations.id", ondelete="SET NULL")
    )
    user_agent: Mapped[str | None]
    ip_address: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    rotated_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    #: When a password or code was last proven in this login; a trusted device proves nothing.
    confirmed_at: Mapped[datetime | None]
    #: True to the minute; refreshing alone is no sign of life.
    last_seen_at: Mapped[datetime | None]
    #: When the whole login ends, however often it is refreshed.
    ends_at: Mapped[datetime | None]
    #: The session whose token took this one's place.
    successor_id: Mapped[UUID | None]


class ApiKey(Tenant, Base):
    """A key acts as its owner within one organization, limited to its scopes."""

    __tablename__ = "api_keys"
    __table_args__ = (
        tenant_key(),
        Index(None, "organization_id", "user_id"),
        Index("uq_api_keys_replaces", "organization_id", "replaces", unique=True),
        within("replaces", "api_keys"),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str]
    key_id: Mapped[str] = mapped_column(unique=True)
    secret_sha256: Mapped[str]
    scopes: Mapped[Words]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    #: The key whose work this one took over.
    replaces: Mapped[UUID | None]


class Users:
    """The people a transaction may see."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def get(self, user_id: UUID) -> RowMapping:
        return one(await self._tx.execute(select(*_PROFILE).where(User.id == user_id)))

    async def change(self, user_id: UUID, seen: datetime, values: Mapping[str, Any]) -> RowMapping:
        """Changes one's own profile while nobody else did. Raises NotFound, Stale, UsernameTaken."""
        mine = (User.id == user_id, User.updated_at == seen)
        statement = update(User).where(*mine).values(**values).returning(*_PROFILE)
        with refusing({"uq_users_username_lower": UsernameTaken}):
            row = (await self._tx.execute(statement)).mappings().one_or_none()
        if row is None:
            await self.get(user_id)
            raise Stale
        return row

    async def prefer(self, user_id: UUID, organization_id: UUID) -> None:
        """Where they act unless a request says otherwise."""
        statement = update(User).where(User.id == user_id)
        await self._tx.execute(statement.values(default_organization_id=organization_id))


#: What people see of themselves: neither hashes nor what is sealed.
_PROFILE = (
    User.id,
    User.username,
    User.email,
    User.email_verified,
    User.first_name,
    User.last_name,
    User.phone,
    User.country_code,
    User.phone_verified,
    User.avatar_url,
    User.date_of_birth,
    User.national_id_type,
    User.address,
    User.city,
    User.state,
    User.zip_code,
    User.country,
    User.emergency_contact_name,
    User.emergency_contact_phone,
    User.emergency_contact_relation,
    User.default_organization_id,
    User.created_at,
    User.updated_at,
)


class Sessions:
    """The logins of the entered user."""

    def __init__(self, tx: AsyncConnection, user_id: UUID) -> None:
        self._tx = tx
        self._user_id = user_id

    def _live(self, now: datetime) -> tuple[ColumnElement[bool], ...]:
        """The newest token of every login that can still be used."""
        return (
            Session.user_id == self._user_id,
            Session.revoked_at.is_(None),
            Session.rotated_at.is_(None),
            Session.expires_at > now,
        )

    async def page(self, before: Before | None, limit: int, now: datetime) -> Sequence[RowMapping]:
        columns = (Session.id, Session.family_id, Session.user_agent, Session.ip_address, Session.created_at,
                   Session.last_seen_at, Session.expires_at)  # fmt: skip
        live = select(*columns).where(*self._live(now))
        statement = newest_first(live, Session.created_at, Session.id, before)
        return (await self._tx.execute(statement.limit(limit))).mappings().all()

    async def seen(self, session_id: UUID, now: datetime) -> None:
        """Notes a sign of life, at most once a minute, also on the newest token of the same login."""
        await self._mark(session_id, Session.last_seen_at < now - USED_GRAIN, last_seen_at=now)

    async def confirm(self, session_id: UUID, now: datetime) -> None:
        """This login has just proven a password or a code."""
        await self._mark(session_id, true(), confirmed_at=now)

    async def _mark(self, session_id: UUID, condition: ColumnElement[bool], **values: datetime) -> None:
        family = select(Session.family_id).where(Session.id == session_id).scalar_subquery()
        newest = or_(Session.rotated_at.is_(None), Session.id == session_id)
        statement = update(Session).where(Session.family_id == family, newest, condition)
        await self._tx.execute(statement.values(**values))

    async def end_others(self, session_id: UUID, now: datetime) -> None:
        """Signs out everywhere but in the login of this session."""
        family = select(Session.family_id).where(Session.id == session_id).scalar_subquery()
        await self._end(now, Session.family_id != family)

    async def end_all(self, now: datetime) -> None:
        """Signs out everywhere."""
        await self._end(now, true())

    async def _end(self, now: datetime, condition: ColumnElement[bool]) -> None:
        mine = (Session.user_id == self._user_id, Session.revoked_at.is_(None), condition)
        await self._tx.execute(update(Session).where(*mine).values(revoked_at=now))

    async def act_in(self, session_id: UUID, organization_id: UUID) -> None:
        """The organization this login acts in from now on. Raises NotFound unless one is a member of it."""
        statement = text(
            "UPDATE sessions SET active_organization_id = :organization WHERE id = :id AND user_id = :me AND EXISTS ("
            "SELECT FROM app.my_organizations(:me) WHERE organization_id = :organization AND status = 'active')"
            " RETURNING id"
        )
        values = {"id": session_id, "me": self._user_id, "organization": organization_id}
        one(await self._tx.execute(statement, values))

    async def family_of(self, session_id: UUID) -> UUID:
        mine = (Session.id == session_id, Session.user_id == self._user_id)
        statement = select(Session.family_id).where(*mine)
        return UUID(str(one(await self._tx.execute(statement))["family_id"]))


class ApiKeys:
    """The API keys of the entered user in the entered organization."""

    _SHOWN = (ApiKey.id, ApiKey.name, ApiKey.key_id, ApiKey.scopes, ApiKey.created_at, ApiKey.expires_at,
              ApiKey.last_used_at, ApiKey.revoked_at, ApiKey.replaces)  # fmt: skip

    def __init__(self, tx: AsyncConnection, user_id: UUID) -> None:
        self._tx = tx
        self._user_id = user_id

    async def add(self, values: Mapping[str, Any]) -> RowMapping:
        statement = insert(ApiKey).values(**values, user_id=self._user_id).returning(*self._SHOWN)
        return (await self._tx.execute(statement)).mappings().one()

    async def page(self, before: Before | None, limit: int) -> Sequence[RowMapping]:
        """Also revoked and expired ones: who looks for a leaked key needs to see them."""
        mine = select(*self._SHOWN).where(ApiKey.user_id == self._user_id)
        statement = newest_first(mine, ApiKey.created_at, ApiKey.id, before).limit(limit)
        return (await self._tx.execute(statement)).mappings().all()

    async def lock(self, id: UUID) -> RowMapping:
        """The key; whoever else wants to change it waits. Raises NotFound."""
        mine = (ApiKey.id == id, ApiKey.user_id == self._user_id)
        return one(await self._tx.execute(select(*self._SHOWN).where(*mine).with_for_update()))

    async def is_replaced(self, id: UUID) -> bool:
        replacement = select(ApiKey.id).where(ApiKey.replaces == id)
        return await self._tx.scalar(replacement) is not None

    async def expire(self, id: UUID, moment: datetime) -> None:
        await self._tx.execute(update(ApiKey).where(ApiKey.id == id).values(expires_at=moment))

    async def revoke(self, id: UUID, now: datetime) -> None:
        """Idempotent: the first revocation's time stays. Raises NotFound."""
        statement = (
            update(ApiKey)
            .where(ApiKey.id == id, ApiKey.user_id == self._user_id)
            .values(revoked_at=func.coalesce(ApiKey.revoked_at, now))
            .returning(ApiKey.id)
        )
        one(await self._tx.execute(statement))

    async def used(self, id: UUID, now: datetime) -> None:
        """Notes the use, at most once a minute: not every request may cost a write."""
        statement = update(ApiKey).where(
            ApiKey.id == id, or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - USED_GRAIN)
        )
        await self._tx.execute(statement.values(last_used_at=now))
