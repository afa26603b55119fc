"""From a credential to a caller: one lookup per request, shared only by requests that came before it."""

from hmac import compare_digest
from uuid import UUID

from api.caller import NOBODY, Caller
from api.collaborators import Collaborators
from api.shared import SharedLookups
from api.tokens import AccessTokens, ApiKey, cookie_sha256
from db.identity import USED_GRAIN, ApiKeys, Sessions
from db.logins import Identities, KeyStanding, SessionStanding, Standing, Standings
from db.tenants import note_presence
from domain.errors import Forbidden, Unauthenticated
from domain.permissions import Permission, decide, known, of_role


class MfaEnrolmentRequired(Forbidden):
    """This organization demands a second factor: set one up at /v1/me/mfa/totp, then everything else opens."""

    code = "mfa_enrolment_required"


class SessionIdle(Unauthenticated):
    """Nobody used this session for longer than an organization of yours allows; sign in again."""

    code = "session_idle"


class Identification:
    """Reads credentials for one application.

    Every method raises Unauthenticated, or Forbidden for an organization that is not the caller's, or that demands
    a second factor the person does not have: MfaEnrolmentRequired, unless `is_enrolling` to get one.
    """

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts
        self._standings = Standings(parts.database)
        self._tokens = AccessTokens(parts.security.token_secret, parts.security.public_url)
        self._keys: SharedLookups[KeyStanding | None] = SharedLookups()
        self._sessions: SharedLookups[SessionStanding | None] = SharedLookups()

    async def by_api_key(self, token: str, wanted: UUID | None, *, is_enrolling: bool = False) -> Caller:
        key = ApiKey.parse(token)

        async def look() -> KeyStanding | None:
            return await self._standings.of_api_key(key.key_id, self._parts.clock())

        found = await self._keys.get(key.key_id, look)
        if found is None or not compare_digest(found.secret_sha256, key.secret_sha256):
            raise Unauthenticated("This API key is unknown, revoked or expired.")
        if wanted is not None and wanted != found.standing.organization_id:
            raise Forbidden("This API key belongs to another organization.")
        caller = _admitted(_caller(found.standing, scopes=found.scopes, api_key_id=found.id), is_enrolling)
        await self._note_use(caller, found)
        return caller

    async def by_access_token(self, token: str, wanted: UUID | None, *, is_enrolling: bool = False) -> Caller:
        claims = self._tokens.read(token, self._parts.clock())

        async def look() -> SessionStanding | None:
            return await self._standings.of_session(
                claims.session_id, claims.user_id, wanted, self._parts.clock()
            )

        found = await self._sessions.get((claims, wanted), look)
        return await self._session_caller(found, wanted, is_enrolling)

    async def by_cookie(
        self, cookie: str, wanted: UUID | None = None, *, is_enrolling: bool = False
    ) -> Caller:
        async with self._parts.database.transaction(NOBODY) as tx:
            found = await Identities(tx).cookie(cookie_sha256(cookie), wanted, self._parts.clock())
        return await self._session_caller(found, wanted, is_enrolling)

    async def _session_caller(
        self, found: SessionStanding | None, wanted: UUID | None, is_enrolling: bool
    ) -> Caller:
        if found is None:
            raise Unauthenticated("Your session has ended; sign in again.")
        if wanted is not None and found.standing.organization_id != wanted:
            raise Forbidden("You are not an active member of this organization.")
        if found.idle:
            raise SessionIdle
        caller = _admitted(_caller(found.standing, session=found), is_enrolling)
        now = self._parts.clock()
        if found.last_seen_at < now - USED_GRAIN:
            async with self._parts.database.transaction(caller.access) as tx:
                await Sessions(tx, caller.user_id).seen(found.session_id, now)
                await note_presence(tx, caller.user_id, now)
        return caller

    async def _note_use(self, caller: Caller, found: KeyStanding) -> None:
        """Keeps `last_used_at` true to the minute, so that most requests cost no write."""
        now = self._parts.clock()
        if found.last_used_at is None or found.last_used_at < now - USED_GRAIN:
            async with self._parts.database.transaction(caller.access) as tx:
                await ApiKeys(tx, caller.user_id).used(found.id, now)
                await note_presence(tx, caller.user_id, now)


def _admitted(caller: Caller, is_enrolling: bool) -> Caller:
    if caller.mfa_due and not is_enrolling:
        raise MfaEnrolmentRequired
    return caller


def _caller(
    standing: Standing,
    *,
    scopes: list[str] | None = None,
    session: SessionStanding | None = None,
    api_key_id: UUID | None = None,
) -> Caller:
    permissions: frozenset[Permission] = frozenset()
    if standing.organization_id is not None and standing.role is not None:
        base = known(standing.role_permissions) if standing.own_role else of_role(standing.role)
        permissions = decide(base, standing.permissions_override, scopes)
    return Caller(
        user_id=standing.user_id,
        organization_id=standing.organization_id,
        permissions=permissions,
        actor="user" if api_key_id is None else "api_key",
        role=standing.role,
        session_id=None if session is None else session.session_id,
        api_key_id=api_key_id,
        confirmed_at=None if session is None else session.confirmed_at,
        mfa_due=standing.mfa_due,
    )
