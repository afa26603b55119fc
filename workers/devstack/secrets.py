"""The stack's own secrets, made once and kept in `secrets.env` (0600)."""

import secrets
import uuid
from collections.abc import Callable
from pathlib import Path

from workers.devstack.files import write_atomically
from workers.secret_values import fresh_key, fresh_master_key, fresh_password

HEADER = (
    "# Made by `perdure up`. Whoever reads this file reads everything; without it nothing can be decrypted.\n"
)


def load_or_create(path: Path) -> dict[str, str]:
    """Return the variables of the file; missing ones are made and added, existing ones never change."""
    known = _read(path)
    made = {name: make() for name, make in _MAKERS.items() if name not in known}
    if made:
        replace(path, known | made)
    return known | made


def replace(path: Path, values: dict[str, str]) -> None:
    """Write the file whole."""
    write_atomically(path, HEADER + "".join(f"{name}={value}\n" for name, value in sorted(values.items())))


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


_MAKERS: dict[str, Callable[[], str]] = {
    "PERDURE_MASTER_KEYS": fresh_master_key,
    "PERDURE_TOKEN_SECRET": fresh_key,
    "PERDURE_PASSWORD_PEPPER": fresh_key,
    "PERDURE_S3_ACCESS_KEY": lambda: f"perdure{secrets.token_hex(6)}",
    "PERDURE_S3_SECRET_KEY": fresh_password,
    "PERDURE_DEMO_ORGANIZATION_ID": lambda: str(uuid.uuid4()),
}
