"""`Authorization: Bearer <secret>`: proves who sends, not that the body is untouched."""

from collections.abc import Sequence

from domain.webhooks.received import Received
from domain.webhooks.schemes import signatures
from domain.webhooks.schemes.scheme import Scheme, long_enough, no_event_id

HEADER = "authorization"


def verify(request: Received, secrets: Sequence[str], _now: int, _tolerance: int) -> None:
    signatures.check_secrets(secrets)
    kind, _, token = signatures.required(request.headers.get(HEADER), "Authorization").partition(" ")
    offered = token.strip() if kind.lower() == "bearer" else ""
    signatures.check_match((secret.encode() for secret in secrets), [offered.encode()])


def sign(_body: bytes, secret: str, _event_id: str, _now: int) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


SCHEME = Scheme(verify, sign, no_event_id, long_enough, frozenset({HEADER}), signs_body=False)
