"""Secrets we hand out, made and read here: access and refresh tokens, cookies, CSRF tokens, API keys."""

import base64
import hashlib
import hmac
import secrets
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import jwt

from domain.errors import Unauthenticated

ACCESS_LIFETIME = timedelta(minutes=10)
#: A login ends after this, however busy it is.
SESSION_LIFETIME = timedelta(days=30)
#: A refresh token nobody used for this long is dead.
REFRESH_LIFETIME = timedelta(days=14)
#: Within this, a client whose answer was lost asks again with the old token and gets the same new one.
REFRESH_GRACE = timedelta(seconds=10)
ALGORITHM, AUDIENCE, TYPE = "HS256", "perdure-api", "at+jwt"
KEY_PREFIX = "perdure_live_"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID, _SECRET, _CRC = 16, 40, 6


@dataclass(frozen=True, slots=True)
class AccessClaims:
    user_id: UUID
    session_id: UUID


class AccessTokens:
    """Ten-minute JWTs: one algorithm, and type, audience, issuer and key id must all be ours."""

    def __init__(self, secret: bytes, issuer: str) -> None:
        self._key = hmac.digest(secret, b"access tokens", hashlib.sha256)
        self._kid = hashlib.sha256(self._key).hexdigest()[:12]
        self._issuer = issuer

    def issue(self, claims: AccessClaims, now: datetime) -> str:
        payload = {
            "sub": str(claims.user_id),
            "sid": str(claims.session_id),
            "aud": AUDIENCE,
            "iss": self._issuer,
            "iat": int(now.timestamp()),
            "exp": int((now + ACCESS_LIFETIME).timestamp()),
        }
        return jwt.encode(payload, self._key, ALGORITHM, {"typ": TYPE, "kid": self._kid})

    def read(self, token: str, now: datetime) -> AccessClaims:
        """Raises `Unauthenticated`; whether the session still stands is the database's word."""
        try:
            # Expiry is compared with the application's clock below: PyJWT would ask the machine's.
            decoded = jwt.decode_complete(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                options={"require": ["sub", "sid", "exp", "iat"], "verify_exp": False, "verify_iat": False},
            )
            header, payload = decoded["header"], decoded["payload"]
            if header.get("typ") != TYPE or header.get("kid") != self._kid:
                raise Unauthenticated
            if now.timestamp() >= float(payload["exp"]):
                raise Unauthenticated("The access token has expired; use the refresh token to get a new one.")
            return AccessClaims(UUID(payload["sub"]), UUID(payload["sid"]))
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, RecursionError):
            raise Unauthenticated("The access token is not valid; sign in again.") from None


def new_secret() -> str:
    """256 random bits as URL-safe text: refresh tokens and session cookies."""
    return secrets.token_urlsafe(32)


def next_refresh_token(secret: bytes, token: str, session_id: UUID) -> str:
    """What takes the place of `token`: only who holds it can ask for this, as often as they like the same."""
    message = b"refresh:" + session_id.bytes + token.encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(hmac.digest(secret, message, hashlib.sha256)).rstrip(b"=").decode()


def sha256(text: str) -> str:
    """How a random secret is kept; fast is fine, there is nothing to guess in 256 bits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def refresh_sha256(token: str) -> str:
    """Ours have no colon; unmarked, a text that has one would be found where `cookie:` and a cookie is kept."""
    return sha256("refresh:" + token if ":" in token else token)


def cookie_sha256(cookie: str) -> str:
    """Cookies and refresh tokens share a table; hashing them apart keeps one from serving as the other."""
    return sha256("cookie:" + cookie)


def device_sha256(secret: str) -> str:
    """The secret of a trusted device opens nothing else."""
    return sha256("device:" + secret)


def csrf_token(secret: bytes, cookie: str) -> str:
    """The token a form must carry along with this cookie; only we can compute it."""
    digest = hmac.digest(secret, b"csrf:" + cookie.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def csrf_matches(secret: bytes, cookie: str, sent: str) -> bool:
    return hmac.compare_digest(csrf_token(secret, cookie).encode(), sent.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class ApiKey:
    key_id: str
    secret: str

    def __str__(self) -> str:
        body = f"{KEY_PREFIX}{self.key_id}_{self.secret}"
        return body + _checksum(body)

    def __repr__(self) -> str:
        return f"ApiKey({self.key_id}, …)"

    @property
    def secret_sha256(self) -> str:
        return sha256(self.secret)

    @classmethod
    def new(cls) -> "ApiKey":
        return cls(_random(_ID), _random(_SECRET))

    @classmethod
    def parse(cls, text: str) -> "ApiKey":
        """Raises `Unauthenticated` for what we never issued: a mistyped key fails its checksum."""
        body, crc = text[:-_CRC], text[-_CRC:]
        key_id, _, secret = body.removeprefix(KEY_PREFIX).partition("_")
        well_formed = len(text) == len(KEY_PREFIX) + _ID + 1 + _SECRET + _CRC and text.isascii()
        if not well_formed or not body.startswith(KEY_PREFIX) or len(key_id) != _ID or _checksum(body) != crc:
            raise Unauthenticated("This is not an API key of ours, or it is incomplete; copy it again.")
        return cls(key_id, secret)


def _random(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode("ascii", "replace")), ""
    while number:
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return digits.rjust(_CRC, "0")
