"""`Authorization: Basic …`: the secret is `user:password`; proves who sends, not what was sent."""

import base64
from collections.abc import Sequence

from domain.webhooks.received import Received
from domain.webhooks.schemes import signatures
from domain.webhooks.schemes.scheme import Scheme, long_enough, no_event_id

HEADER = "authorization"


def verify(request: Received, secrets: Sequence[str], _now: int, _tolerance: int) -> None:
    signatures.check_secrets(secrets)
    kind, _, written = signatures.required(request.headers.get(HEADER), "Authorization").partition(" ")
    offered = signatures.unbase64(written.strip()) if kind.lower() == "basic" else b""
    signatures.check_match((secret.encode() for secret in secrets), [offered])


def sign(_body: bytes, secret: str, _event_id: str, _now: int) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(secret.encode()).decode()}


def problem_with(secret: str) -> str | None:
    user, colon, _ = secret.partition(":")
    if not user or not colon:
        return "A secret for basic authentication is written user:password."
    return long_enough(secret)


SCHEME = Scheme(verify, sign, no_event_id, problem_with, frozenset({HEADER}), signs_body=False)
