"""Tenants' secrets: what they may be called and how large they may be."""

import re
from typing import Final

MAX_VALUE_BYTES: Final = 64 * 1024
MAX_SECRETS: Final = 500
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)


def is_name(text: str) -> bool:
    """Whether a definition can read it as `$secrets.<name>`."""
    return _NAME.fullmatch(text) is not None
