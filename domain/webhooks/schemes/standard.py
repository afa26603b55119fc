"""Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, several signatures during rotation.

Svix sends the same under headers of its own name; both spellings are read.
"""

import base64
from collections.abc import Sequence

from domain.webhooks.received import Received
from domain.webhooks.schemes import signatures
from domain.webhooks.schemes.scheme import Scheme

PREFIX = "whsec_"
_NAMES = ("webhook", "svix")


def verify(request: Received, secrets: Sequence[str], now: int, tolerance: int) -> None:
    signatures.check_secrets(secrets)
    id, timestamp, offered = (
        signatures.required(_header(request, part), f"webhook-{part}")
        for part in ("id", "timestamp", "signature")
    )
    signed_at = signatures.moment(timestamp, "webhook-timestamp")
    message = _message(id, timestamp, request.body)
    signatures.check_match(
        (signatures.digest(key_of(secret), message) for secret in secrets),
        [signatures.unbase64(each[3:].rstrip(",")) for each in offered.split() if each.startswith("v1,")],
    )
    signatures.check_fresh(signed_at, now, tolerance)


def sign(body: bytes, secret: str, event_id: str, now: int) -> dict[str, str]:
    made = signatures.digest(key_of(secret), _message(event_id, str(now), body))
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(now),
        "webhook-signature": "v1," + base64.b64encode(made).decode(),
    }


def key_of(secret: str) -> bytes:
    return signatures.unbase64(secret.removeprefix(PREFIX))


def problem_with(secret: str) -> str | None:
    if not 24 <= len(key_of(secret)) <= 64:
        return "A Standard Webhooks secret is whsec_ and 24 to 64 bytes in base64."
    return None


def event_id(request: Received) -> str | None:
    return _header(request, "id")


def _message(id: str, timestamp: str, body: bytes) -> bytes:
    return f"{id}.{timestamp}.".encode("latin-1", "replace") + body


def _header(request: Received, part: str) -> str | None:
    return next((found for name in _NAMES if (found := request.headers.get(f"{name}-{part}"))), None)


SCHEME = Scheme(verify, sign, event_id, problem_with, frozenset({"webhook-signature", "svix-signature"}))
