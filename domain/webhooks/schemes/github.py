"""GitHub: `sha256=…` over the body. It signs no moment, so only the delivery id tells repeats apart."""

from collections.abc import Sequence

from domain.webhooks.received import Received
from domain.webhooks.schemes import signatures
from domain.webhooks.schemes.scheme import Scheme, long_enough

HEADER = "x-hub-signature-256"
_PREFIX = "sha256="


def verify(request: Received, secrets: Sequence[str], _now: int, _tolerance: int) -> None:
    signatures.check_secrets(secrets)
    offered = signatures.required(request.headers.get(HEADER), "X-Hub-Signature-256")
    signatures.check_match(
        (signatures.digest(secret.encode(), request.body) for secret in secrets),
        [signatures.unhex(offered.removeprefix(_PREFIX)) if offered.startswith(_PREFIX) else b""],
    )


def sign(body: bytes, secret: str, event_id: str, _now: int) -> dict[str, str]:
    made = signatures.digest(secret.encode(), body).hex()
    return {"X-Hub-Signature-256": _PREFIX + made, "X-GitHub-Delivery": event_id, "X-GitHub-Event": "ping"}


def event_id(request: Received) -> str | None:
    return request.headers.get("x-github-delivery")


SCHEME = Scheme(verify, sign, event_id, long_enough, frozenset({HEADER, "x-hub-signature"}))
