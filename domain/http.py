"""Rules of tenant-written HTTP that need no network: methods, headers, redirects, reading a body."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from domain.actions import Effect
from domain.definitions.faults import Fault
from domain.definitions.values import Json, ValueRefused, check_value
from domain.redaction import is_credential

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32_768

Headers = tuple[tuple[str, str], ...]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
#: Printable ASCII and tab: a CR, LF or NUL would start a header or a request of the tenant's own making.
_VALUE = re.compile(r"[\t\x20-\x7e]{0,8192}")
_OURS = frozenset(
    {
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer",
        "expect", "forwarded", "via", "x-real-ip", "accept-encoding",
    }
)  # fmt: skip
_OURS_PREFIXES = ("proxy-", "x-forwarded-")
#: What may follow a redirect to another origin; anything else could be a credential under a name of its own.
_HARMLESS = frozenset({"accept", "accept-language", "content-type", "idempotency-key", "user-agent"})
_BINARY = frozenset(
    {
        "application/octet-stream",
        "application/pdf",
        "application/zip",
        "application/gzip",
        "application/x-tar",
    }
)
_CHARSET = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9_.:\-]{1,40})", re.IGNORECASE)


def effect_of(method: str, *, idempotent: bool) -> Effect:
    """What repeating a request after a lost worker may do: only the definition can vouch for a write."""
    if method.upper() in SAFE_METHODS:
        return Effect.IDEMPOTENT
    return Effect.KEYED if idempotent else Effect.IRREVERSIBLE


def check_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """The headers a tenant may set, or a validation fault naming the first one refused and why."""
    checked = tuple(headers)
    if len(checked) > MAX_HEADERS:
        raise _refused(f"there are {len(checked)} headers, the limit is {MAX_HEADERS}")
    for name, value in checked:
        if not _TOKEN.fullmatch(name):
            raise _refused(f"{name[:60]!r} is not a header name; use letters, digits and hyphens")
        if name.lower() in _OURS or name.lower().startswith(_OURS_PREFIXES):
            raise _refused(f"{name} is set by the platform; remove it")
        if not _VALUE.fullmatch(value):
            raise _refused(f"the value of {name} must be one line of at most 8192 printable ASCII characters")
    if sum(len(name) + len(value) for name, value in checked) > MAX_HEADER_BYTES:
        raise _refused(f"the headers together are larger than {MAX_HEADER_BYTES} bytes")
    return checked


def idempotency_header(effect_key: str) -> str:
    """The effect key as a header can carry it: step names may hold any character, services cap the length."""
    encoded = quote(effect_key, safe="/#:,;@!$&'()*+=~-._")
    if len(encoded) <= 255:
        return encoded
    return sha256(effect_key.encode()).hexdigest()


def after_redirect(
    status: int, method: str, headers: Headers, body: bytes | None, *, same_origin: bool
) -> tuple[str, Headers, bytes | None]:
    """Method, headers and body of the next hop: other origins get no credentials, 303 and POST become GET."""
    if status == 303 or (status in (301, 302) and method == "POST"):
        method = "HEAD" if method == "HEAD" else "GET"
        body = None
        headers = tuple(
            pair for pair in headers if pair[0].lower() not in ("content-type", "idempotency-key")
        )
    if not same_origin:
        headers = tuple(pair for pair in headers if pair[0].lower() in _HARMLESS)
    return method, headers, body


def shown_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers as an object for outputs: lower-case names, repeated ones joined, credentials withheld."""
    shown: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if is_credential(key) and key not in ("idempotency-key", "set-cookie"):
            shown[key] = "[withheld]"
        else:
            shown[key] = f"{shown[key]}, {value}" if key in shown else value
    return shown


def media_type(content_type: str | None) -> str:
    return (content_type or "").split(";")[0].strip().lower()


def is_json(content_type: str | None) -> bool:
    kind = media_type(content_type)
    return kind in ("application/json", "text/json") or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def is_binary(content_type: str | None) -> bool:
    """Content of bytes rather than text; in an execution it is held as base64."""
    kind = media_type(content_type)
    family = kind.partition("/")[0]
    return kind in _BINARY or (family in ("audio", "font", "image", "video") and kind != "image/svg+xml")


def read_content(body: bytes, content_type: str | None) -> Json:
    """A response body as a value: by its content type JSON, base64 of bytes, otherwise text; nothing as null.

    Raises a communication fault (502) for a body that is not what it says, or too large or strange for state.
    """
    if not body:
        return None
    if is_json(content_type):
        return _checked(_parse(body))
    if is_binary(content_type):
        return _checked(b64encode(body).decode())
    match = _CHARSET.search(content_type or "")
    try:
        return _checked(body.decode(match.group(1) if match else "utf-8"))
    except (UnicodeDecodeError, LookupError):
        raise _unreadable(
            f"the body ({media_type(content_type) or 'no content type'}) is not text; use output: raw"
        ) from None


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise _unreadable("the JSON of the response is nested too deeply") from None
    except ValueError as error:
        raise _unreadable(f"the response says it is JSON but is not: {str(error)[:120]}") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _checked(value: Any) -> Json:
    try:
        return check_value(value)
    except ValueRefused as refusal:
        raise _unreadable(f"the response cannot enter the execution: {refusal}") from None


def excerpt(body: bytes, limit: int = 500) -> str:
    """The beginning of an error response as one bounded, printable line."""
    text = body[: limit * 4].decode("utf-8", "replace")
    text = "".join(char if char.isprintable() else " " for char in text).strip()
    return text if len(text) <= limit else text[:limit] + "…"


def basic_credentials(username: str, password: str) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


def flatten_query(query: Mapping[str, Any], where: str = "query") -> list[tuple[str, str]]:
    """Query or form fields in the order given: a list repeats its name, null is left out, objects are refused."""
    pairs = []
    for name, value in query.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, list | dict):
                raise Fault(
                    "validation",
                    400,
                    "Arguments refused",
                    f"/{where}/{name} is not a simple value or a list of them",
                )
            if item is not None:
                pairs.append((name, simple_text(item)))
    return pairs


def simple_text(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _refused(detail: str) -> Fault:
    return Fault("validation", 400, "Headers refused", detail)


def _unreadable(detail: str) -> Fault:
    return Fault("communication", 502, "Unreadable response", detail)
