"""What the schemes share: reading signatures and moments, and comparing without telling how near one came."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence

from domain.webhooks.verdicts import Forged, Stale

#: More signatures or secrets than rotation needs are not looked at.
MOST_OFFERED = 10
_SECONDS = re.compile(r"[0-9]{1,13}", re.ASCII)


def check_match(expected: Iterable[bytes], offered: Sequence[bytes]) -> None:
    """Raises Forged when none of the offered signatures is one of the expected; every pair is compared."""
    found = False
    for right in expected:
        for candidate in offered[:MOST_OFFERED]:
            found |= hmac.compare_digest(right, candidate)
    if not found:
        raise Forged("The signature does not match: another secret, or the body was changed on its way.")


def check_secrets(secrets: Sequence[str]) -> None:
    """Fail closed: a trigger that has no secret yet believes nobody."""
    if not secrets:
        raise Forged("This trigger has no secret yet; set one with rotate-secret.")


def digest(key: bytes, message: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.digest(key, message, getattr(hashlib, algorithm))


def required(value: str | None, header: str) -> str:
    if not value:
        raise Forged(f"The header {header} is missing.")
    return value


def moment(text: str, where: str) -> int:
    """Seconds since 1970; thirteen digits are read as milliseconds."""
    if not _SECONDS.fullmatch(text):
        raise Forged(f"{where} holds no number of seconds.")
    return int(text) // 1000 if len(text) == 13 else int(text)


def check_fresh(signed_at: int, now: int, tolerance: int) -> None:
    """After the signature, so that only what is authentic is called stale."""
    away = now - signed_at
    if abs(away) > tolerance:
        told = f"{away} seconds ago" if away > 0 else f"{-away} seconds ahead of our clock"
        raise Stale(f"It was signed {told}; at most {tolerance} are accepted.")


def unhex(text: str) -> bytes:
    """The bytes, or none at all when it is not hexadecimal: such a signature matches nothing."""
    try:
        return bytes.fromhex(text) if text.isascii() and " " not in text else b""
    except ValueError:
        return b""


def unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        return b""
