"""Any other HMAC: header, algorithm, encoding, prefix and what is signed are the trigger's configuration."""

import base64
import re
from collections.abc import Sequence

from domain.webhooks.configuration import Signature
from domain.webhooks.received import Received
from domain.webhooks.schemes import signatures
from domain.webhooks.schemes.scheme import Scheme, long_enough, no_event_id

_PARTS = re.compile(r"(\{timestamp\}|\{body\})")


def scheme(how: Signature) -> Scheme:
    def verify(request: Received, secrets: Sequence[str], now: int, tolerance: int) -> None:
        signatures.check_secrets(secrets)
        offered = signatures.required(request.headers.get(how.header.lower()), how.header)
        timestamp = ""
        if how.timestamp_header is not None:
            timestamp = signatures.required(
                request.headers.get(how.timestamp_header.lower()), how.timestamp_header
            ).strip()
        signed_at = signatures.moment(timestamp, how.timestamp_header) if how.timestamp_header else None
        message = _message(how, timestamp, request.body)
        signatures.check_match(
            (signatures.digest(secret.encode(), message, how.algorithm) for secret in secrets),
            [_read(how, each) for each in re.split(r"[,\s]+", offered.strip())],
        )
        if signed_at is not None:
            signatures.check_fresh(signed_at, now, tolerance)

    def sign(body: bytes, secret: str, _event_id: str, now: int) -> dict[str, str]:
        made = signatures.digest(secret.encode(), _message(how, str(now), body), how.algorithm)
        written = made.hex() if how.encoding == "hex" else base64.b64encode(made).decode()
        headers = {how.header: how.prefix + written}
        return headers if how.timestamp_header is None else {**headers, how.timestamp_header: str(now)}

    return Scheme(verify, sign, no_event_id, long_enough, frozenset({how.header.lower()}))


def _message(how: Signature, timestamp: str, body: bytes) -> bytes:
    known = {"{timestamp}": timestamp.encode("latin-1", "replace"), "{body}": body}
    return b"".join(known.get(part, part.encode()) for part in _PARTS.split(how.signs))


def _read(how: Signature, text: str) -> bytes:
    if not text.startswith(how.prefix):
        return b""
    written = text[len(how.prefix) :]
    return signatures.unhex(written) if how.encoding == "hex" else signatures.unbase64(written)
