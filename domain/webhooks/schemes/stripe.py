"""Stripe: `t=…,v1=…` over `t.body` with HMAC-SHA256; the event's id stands in the body."""

import json
import re
from collections.abc import Sequence

from domain.webhooks.received import Received
from domain.webhooks.schemes import signatures
from domain.webhooks.schemes.scheme import Scheme, long_enough

HEADER = "stripe-signature"
_ID = re.compile(r"evt_[A-Za-z0-9_]{1,200}", re.ASCII)


def verify(request: Received, secrets: Sequence[str], now: int, tolerance: int) -> None:
    signatures.check_secrets(secrets)
    parts = [
        part.strip().partition("=")
        for part in signatures.required(request.headers.get(HEADER), "Stripe-Signature").split(",")
    ]
    timestamp = next((value for name, _, value in parts if name == "t"), "")
    signed_at = signatures.moment(timestamp, "`t` of Stripe-Signature")
    message = f"{timestamp}.".encode() + request.body
    signatures.check_match(
        (signatures.digest(secret.encode(), message) for secret in secrets),
        [signatures.unhex(value) for name, _, value in parts if name == "v1"],
    )
    signatures.check_fresh(signed_at, now, tolerance)


def sign(body: bytes, secret: str, event_id: str, now: int) -> dict[str, str]:
    made = signatures.digest(secret.encode(), f"{now}.".encode() + body).hex()
    return {"Stripe-Signature": f"t={now},v1={made}"}


def event_id(request: Received) -> str | None:
    """The `id` of the event object; its verification has shown that the body is Stripe's."""
    try:
        event = json.loads(request.body)
    except (ValueError, RecursionError):
        return None
    id = event.get("id") if isinstance(event, dict) else None
    return id if isinstance(id, str) and _ID.fullmatch(id) else None


SCHEME = Scheme(verify, sign, event_id, long_enough, frozenset({HEADER}))
