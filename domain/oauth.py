"""Tokens of OAuth 2 (RFC 6749, 7523, 7662, 8693): what is asked of an authority, and what its answers mean."""

import hmac
import json
import re
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from domain.definitions.faults import Fault
from domain.http import Headers, excerpt
from domain.http_authentications import (
    ENCODINGS,
    PASSWORD,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
    Client,
    Endpoints,
    Grant,
    OAuth2,
)

#: What an authority's answer may take; a token of 8 KB is large already.
MAX_ANSWER: Final = 65_536
#: How long a token is used whose authority does not say how long it is good, in seconds.
UNKNOWN_LIFE: Final = 60.0
#: A token is not used in its last minute, or last fifth: it must still be good when it arrives.
MARGIN: Final = 60.0
LONGEST_LIFE: Final = 24 * 3600.0

JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_WELL_KNOWN = re.compile(r"/\.well-known/(?:openid-configuration|oauth-authorization-server)(?:/.*)?$")
#: What can stand in an Authorization header behind `Bearer`: neither space nor anything that ends a line.
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")


@dataclass(frozen=True, slots=True)
class Authority:
    """Where tokens come from, and where they are judged."""

    token: str
    introspection: str | None


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, and for how many seconds it may be used."""

    access: str
    life: float
    refresh: str | None = None


def configuration_address(policy: Grant) -> str | None:
    """Where the authority tells its endpoints; None when they stand in the definition."""
    authority = policy.authority.rstrip("/")
    if _WELL_KNOWN.search(authority):
        return authority
    return None if isinstance(policy, OAuth2) else authority + "/.well-known/openid-configuration"


def written_authority(policy: OAuth2) -> Authority:
    """The endpoints as the definition says them, or those of the language: below the authority."""
    endpoints = policy.endpoints or Endpoints()
    return Authority(
        _below(policy.authority, endpoints.token), _below(policy.authority, endpoints.introspection)
    )


def _below(authority: str, endpoint: str) -> str:
    if endpoint.lower().startswith(("https://", "http://")):
        return endpoint
    return f"{authority.rstrip('/')}/{endpoint.lstrip('/')}"


def read_configuration(address: str, body: bytes, issuers: Sequence[str]) -> Authority:
    """What `/.well-known/openid-configuration` says. Raises Fault for a configuration one must not follow."""
    told = _object(body)
    host = urlsplit(address).hostname
    if told is None or not isinstance(told.get("token_endpoint"), str):
        raise _unusable(f"the configuration of {host} is not JSON with a token_endpoint; check `authority`")
    expected = [*issuers, _WELL_KNOWN.sub("", address)]
    if not any(_same_issuer(told.get("issuer"), each) for each in expected):
        raise _unusable(
            f"the configuration of {host} speaks for another issuer; name that issuer as `authority`, or list it"
            " in `issuers`"
        )
    introspection = told.get("introspection_endpoint")
    found = Authority(told["token_endpoint"], introspection if isinstance(introspection, str) else None)
    for endpoint in (found.token, found.introspection or found.token):
        if address.lower().startswith("https:") and not endpoint.lower().startswith("https:"):
            raise _unusable(f"the configuration of {host} leads from https to an unprotected address")
    return found


def token_request(
    policy: Grant, *, refresh: str | None, assertion: str | None
) -> tuple[Headers, dict[str, Any]]:
    """Headers and parameters that ask for a token; `refresh` is a newer refresh token than the definition's."""
    headers, asked = client_request(policy.client, assertion)
    asked["grant_type"] = policy.grant
    if policy.grant == PASSWORD:
        asked |= {"username": policy.username, "password": policy.password}
    if policy.grant == REFRESH_TOKEN:
        assert policy.subject is not None
        asked["refresh_token"] = refresh or policy.subject.token
    elif policy.subject is not None:
        asked |= {"subject_token": policy.subject.token, "subject_token_type": policy.subject.type}
    if policy.grant == TOKEN_EXCHANGE and policy.actor is not None:
        asked |= {"actor_token": policy.actor.token, "actor_token_type": policy.actor.type}
    if policy.scopes:
        asked["scope"] = " ".join(policy.scopes)
    if policy.audiences:
        asked["audience"] = policy.audiences[0] if len(policy.audiences) == 1 else list(policy.audiences)
    return headers, asked


def client_request(client: Client, assertion: str | None) -> tuple[Headers, dict[str, Any]]:
    """How the client proves who it is: headers and parameters. `assertion` is a signed JWT, made or given."""
    match client.authentication:
        case "client_secret_basic":
            # Both parts are form-encoded before they are joined (RFC 6749 §2.3.1).
            pair = f"{quote_plus(client.id or '')}:{quote_plus(client.secret or '')}"
            return (("Authorization", f"Basic {b64encode(pair.encode()).decode()}"),), {}
        case "client_secret_jwt" | "private_key_jwt":
            proof = {"client_assertion_type": JWT_BEARER, "client_assertion": assertion or client.assertion}
            return (), {"client_id": client.id, **proof}
        case "none":
            return (), {} if client.id is None else {"client_id": client.id}
    return (), {"client_id": client.id} | ({} if client.secret is None else {"client_secret": client.secret})


def signed_assertion(client: Client, audience: str, *, id: str, now: int) -> str:
    """A JWT signed with the client's secret, good for one request (RFC 7523 §3). `now` is in epoch seconds."""
    assert client.secret is not None
    claims = {"iss": client.id, "sub": client.id, "aud": audience, "jti": id, "iat": now, "exp": now + 60}
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signed = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = hmac.digest(client.secret.encode(), signed, "sha256")
    return (signed + b"." + urlsafe_b64encode(signature).rstrip(b"=")).decode()


def encoded(parameters: Mapping[str, Any], encoding: str) -> tuple[Headers, bytes]:
    headers = (("Content-Type", encoding), ("Accept", "application/json"))
    if encoding == ENCODINGS[0]:
        return headers, urlencode(parameters, doseq=True).encode()
    return headers, json.dumps(parameters).encode()


def read_token(host: str, status: int, body: bytes) -> Issued:
    """Raises Fault authentication 401 for a refusal, communication for an answer that is no token."""
    told = _object(body)
    if status >= 500 or status == 429:
        raise Fault("communication", status, "No token", f"{host} answered the token request with {status}")
    if 300 <= status < 400:
        raise _unusable(f"the token endpoint of {host} redirects; write the address it leads to")
    if status >= 400:
        raise Fault(
            "authentication",
            401,
            "Token refused",
            f"{host} refused the token request: {_refusal(told, body)}",
        )
    access = None if told is None else told.get("access_token")
    if told is None or not isinstance(access, str) or not _TOKEN.fullmatch(access):
        raise _unusable(f"{host} answered the token request without a usable access_token")
    type = told.get("token_type", "Bearer")
    if not isinstance(type, str) or type.lower() != "bearer":
        raise _unusable(f"{host} issued a token that is no bearer token, which calls cannot use")
    refresh = told.get("refresh_token")
    return Issued(access, _life(told.get("expires_in")), refresh if isinstance(refresh, str) else None)


def _life(said: Any) -> float:
    try:
        seconds = UNKNOWN_LIFE if said is None or isinstance(said, bool) else float(said)
    except (TypeError, ValueError, OverflowError):
        seconds = UNKNOWN_LIFE
    # Also what is no number at all, NaN, is not greater than nothing.
    return min(seconds - min(MARGIN, seconds / 5), LONGEST_LIFE) if seconds > 0 else 0.0


def issuer_of(token: str) -> str | None:
    """The issuer a JWT names; None for other tokens. Nothing is verified: the receiver of the token does that."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = _object(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    issuer = None if claims is None else claims.get("iss")
    return issuer if isinstance(issuer, str) else None


def check_issuer(host: str, issuer: str | None, issuers: Sequence[str]) -> None:
    """Raises Fault authentication 401 unless the issuer is one of those the definition trusts."""
    if not any(_same_issuer(issuer, each) for each in issuers):
        told = "names no issuer" if issuer is None else "names an issuer that is not in `issuers`"
        raise Fault("authentication", 401, "Token not trusted", f"the token that {host} issued {told}")


def introspected_issuer(host: str, status: int, body: bytes) -> str | None:
    """The issuer of a token as its authority tells it (RFC 7662). Raises Fault for a token that is not active."""
    told = _object(body)
    if status != 200 or told is None:
        raise _unusable(
            f"{host} did not introspect its token (status {status}); check `endpoints.introspection`"
        )
    if told.get("active") is not True:
        raise Fault("authentication", 401, "Token not trusted", f"{host} says its token is not active")
    issuer = told.get("iss")
    return issuer if isinstance(issuer, str) else None


def _same_issuer(said: Any, expected: str) -> bool:
    return isinstance(said, str) and said.rstrip("/") == expected.rstrip("/")


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body) if len(body) <= MAX_ANSWER else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refusal(told: Mapping[str, Any] | None, body: bytes) -> str:
    """`error` and `error_description`, or the beginning of an answer that has none."""
    said = (
        [told[name] for name in ("error", "error_description") if isinstance(told.get(name), str)]
        if told
        else []
    )
    return excerpt(": ".join(said).encode("utf-8", "replace") or body, 300) or "its answer says no reason"


def _unusable(detail: str) -> Fault:
    return Fault("communication", 502, "No token", detail)
