"""Secrets as they stand in variables: random bytes in base64, keys with a name."""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

KEY_BYTES = 32
NAME = re.compile(r"^[A-Za-z0-9_-]{1,32}$")


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A key that wraps the data keys of organizations; `id` is stored beside what it wrapped."""

    id: str
    key: bytes = field(repr=False)


def parse_secret(value: Any) -> bytes:
    """Read base64 (standard or URL alphabet) of at least 32 bytes. Raises ValueError."""
    found = value if isinstance(value, bytes) else _decode(str(value))
    if len(found) < KEY_BYTES:
        raise ValueError(f"has {len(found)} bytes, {KEY_BYTES} are the least")
    return found


def parse_master_keys(value: Any) -> tuple[MasterKey, ...]:
    """Read `id:base64[,id:base64…]`, the current key first. Raises ValueError."""
    if not isinstance(value, str):
        return tuple(value)
    keys: list[MasterKey] = []
    for number, entry in enumerate(value.split(","), start=1):
        name, colon, text = entry.strip().partition(":")
        if not colon or not NAME.match(name):
            raise ValueError(f"key {number} is not name:base64 (names: letters, digits, _ and -)")
        key = _decode(text)
        if len(key) != KEY_BYTES:
            raise ValueError(f"key {name!r} has {len(key)} bytes, exactly {KEY_BYTES} are needed")
        if any(name == other.id for other in keys):
            raise ValueError(f"the key name {name!r} stands twice")
        keys.append(MasterKey(name, key))
    return tuple(keys)


def fresh_key() -> str:
    """Return 32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def fresh_master_key() -> str:
    """Return a named key, `name:base64`."""
    return f"m{secrets.token_hex(4)}:{fresh_key()}"


def fresh_password() -> str:
    """Return a random password that may stand in a URL as it is."""
    return secrets.token_urlsafe(30)


def _decode(text: str) -> bytes:
    plain = text.strip().replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64") from None
