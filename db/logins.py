"""Who somebody is, asked before any organization is entered: logins, sessions and API keys.

Everything here calls definer functions of schema `app` (listed in `db/identity.py`); the tables stay closed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Interval, RowMapping, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from db.rows import refusing
from db.session import Database
from domain.errors import Conflict


class EmailTaken(Conflict):
    """This registration could not be completed. If you already have an account, sign in instead."""

    code = "registration_refused"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a user is in the organization they act in; `organization_id` is None for a member of none."""

    user_id: UUID
    organization_id: UUID | None
    role: str | None
    #: True when the role is the organization's own, so that its stored permissions count.
    own_role: bool
    role_permissions: list[str]
    permissions_override: dict[str, Any]
    #: True when the organization demands a second factor and this person has none.
    mfa_due: bool = False


@dataclass(frozen=True, slots=True)
class KeyStanding:
    id: UUID
    secret_sha256: str
    scopes: list[str]
    last_used_at: datetime | None
    standing: Standing


@dataclass(frozen=True, slots=True)
class SessionStanding:
    """`idle` when nobody used the session for longer than the strictest of their organizations allows."""

    session_id: UUID
    standing: Standing
    confirmed_at: datetime | None
    last_seen_at: datetime
    idle: bool


@dataclass(frozen=True, slots=True)
class Login:
    user_id: UUID
    password: str
    is_active: bool
    default_organization_id: UUID | None


@dataclass(frozen=True, slots=True)
class NewSession:
    """A refresh token or cookie about to be kept; only its hash arrives here."""

    id: UUID
    refresh_sha256: str
    expires_at: datetime
    user_id: UUID | None = None
    family_id: UUID | None = None
    ends_at: datetime | None = None
    confirmed_at: datetime | None = None
    last_seen_at: datetime | None = None
    user_agent: str | None = None
    ip_address: str | None = None
    active_organization_id: UUID | None = None

    def as_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return {
            name: value.isoformat() if isinstance(value, datetime) else str(value)
            for name, value in values.items()
            if value is not None
        }


@dataclass(frozen=True, slots=True)
class Renewal:
    """How a refresh ended; `session_id` is the session of the new pair, if there is one."""

    outcome: Literal["rotated", "repeated", "unknown", "expired", "inactive", "reused"]
    session_id: UUID | None
    user_id: UUID | None


class Standings:
    """Who holds a key or a session: asked by every request, so in one statement without a transaction around it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_api_key(self, key_id: str, now: datetime) -> KeyStanding | None:
        """A live key of an active member, by its public id; the caller compares the secret."""
        row = await self._database.first(_API_KEY, {"key_id": key_id, "now": now})
        if row is None:
            return None
        return KeyStanding(
            row["id"], row["secret_sha256"], row["scopes"], row["last_used_at"], _standing(row)
        )

    async def of_session(
        self, session_id: UUID, user_id: UUID, organization_id: UUID | None, now: datetime
    ) -> SessionStanding | None:
        """The standing of a live session's user in `organization_id`, or in their default organization."""
        row = await self._database.first(
            _SESSION,
            {"session_id": session_id, "user_id": user_id, "organization_id": organization_id, "now": now},
        )
        return None if row is None else _session_standing(session_id, row)


_API_KEY = text("SELECT * FROM app.ask_api_key(:key_id, :now)")
_SESSION = text("SELECT * FROM app.ask_session(:session_id, :organization_id, :now) WHERE user_id = :user_id")


class Identities:
    """Who somebody is, before any organization is entered: bound to a transaction of `Access(Role.API)`."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def cookie(
        self, secret_sha256: str, organization_id: UUID | None, now: datetime
    ) -> SessionStanding | None:
        """The session whose cookie hashes to this, like `session`; a rotated refresh token is no cookie."""
        row = await self._first(
            "SELECT found.id AS session_id, standing.* FROM app.find_session(:sha256) AS found"
            " CROSS JOIN LATERAL app.identify_session(found.id, :organization_id, :now) AS standing"
            " WHERE found.rotated_at IS NULL",
            sha256=secret_sha256,
            organization_id=organization_id,
            now=now,
        )
        return None if row is None else _session_standing(row["session_id"], row)

    async def login(self, email: str) -> Login | None:
        row = await self._first(
            "SELECT user_id, password, is_active, default_organization_id FROM app.login(:email)", email=email
        )
        return None if row is None else Login(**row)

    async def register(self, user: dict[str, Any], organization: dict[str, Any]) -> None:
        """A user, their organization and the membership as owner. Raises EmailTaken."""
        statement = text("SELECT app.register(:user, :organization)").bindparams(
            bindparam("user", type_=JSONB), bindparam("organization", type_=JSONB)
        )
        with refusing({"uq_users_email_lower": EmailTaken, "uq_users_username_lower": EmailTaken}):
            await self._tx.execute(statement, {"user": user, "organization": organization})

    async def renew_password(self, user_id: UUID, old: str, new: str) -> bool:
        """Replaces a kept hash by a stronger one of the same password, unless it changed meanwhile."""
        return bool(
            await self._value("app.set_password(:user_id, :old, :new)", user_id=user_id, old=old, new=new)
        )

    async def change_password(self, user_id: UUID, old: str, new: str, now: datetime) -> bool:
        """Another password, unless it changed meanwhile; what waits to be used once ends with the old one."""
        return bool(
            await self._value(
                "app.change_password(:user_id, :old, :new, :now)", user_id=user_id, old=old, new=new, now=now
            )
        )

    async def keeps_password(self, user_id: UUID, matched: str) -> bool:
        """Whether this hash is still the kept one, as it stays until the transaction ends."""
        return bool(
            await self._value("app.keeps_password(:user_id, :matched)", user_id=user_id, matched=matched)
        )

    async def open_session(self, session: NewSession) -> None:
        statement = text("SELECT app.open_session(:session)").bindparams(bindparam("session", type_=JSONB))
        await self._tx.execute(statement, {"session": session.as_json()})

    async def find_session(self, refresh_sha256: str) -> RowMapping | None:
        return await self._first(
            "SELECT id, user_id, family_id, expires_at, rotated_at, revoked_at, active_organization_id"
            " FROM app.find_session(:sha256)",
            sha256=refresh_sha256,
        )

    async def renew_session(
        self, refresh_sha256: str, session: NewSession, now: datetime, grace: timedelta
    ) -> Renewal:
        """Trades the token for `session`; the same client asking again within `grace` gets the one made before.

        `reused` means that the whole family is revoked: the caller must let the transaction commit.
        """
        statement = text("SELECT * FROM app.renew_session(:sha256, :session, :now, :grace)").bindparams(
            bindparam("session", type_=JSONB), bindparam("grace", type_=Interval)
        )
        values = {"sha256": refresh_sha256, "session": session.as_json(), "now": now, "grace": grace}
        row = (await self._tx.execute(statement, values)).mappings().one()
        return Renewal(row["outcome"], row["session_id"], row["user_id"])

    async def revoke_family(self, family_id: UUID, now: datetime) -> None:
        await self._value("app.revoke_session_family(:family_id, :now)", family_id=family_id, now=now)

    async def mfa_required(self, user_id: UUID) -> bool:
        """Whether an organization they are an active member of demands a second factor."""
        return bool(await self._value("app.mfa_required(:user_id)", user_id=user_id))

    async def organizations(self, user_id: UUID) -> Sequence[RowMapping]:
        """id, name, slug and role of every active membership in an active organization."""
        statement = text(
            "SELECT organization_id AS id, name, slug, role FROM app.my_organizations(:user_id)"
            " WHERE status = 'active' ORDER BY name, organization_id"
        )
        return (await self._tx.execute(statement, {"user_id": user_id})).mappings().all()

    async def _first(self, sql: str, **values: Any) -> RowMapping | None:
        return (await self._tx.execute(_prepared(sql), values)).mappings().one_or_none()

    async def _value(self, call: str, **values: Any) -> Any:
        return (await self._tx.execute(_prepared(f"SELECT {call}"), values)).scalar_one()


@cache
def _prepared(sql: str) -> TextClause:
    """Only the constant statements of this file come here."""
    return text(sql)


def _standing(row: RowMapping) -> Standing:
    return Standing(
        row["user_id"],
        row["organization_id"],
        row["role"],
        row["own_role"],
        row["role_permissions"],
        row["permissions_override"],
        row["mfa_due"],
    )


def _session_standing(session_id: UUID, row: RowMapping) -> SessionStanding:
    return SessionStanding(session_id, _standing(row), row["confirmed_at"], row["last_seen_at"], row["idle"])
