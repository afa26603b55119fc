"""Secrets for one use, sent by mail or phone: computed when needed, kept nowhere.

Whoever knows the installation's secret can compute the token of a row from its id, so rows, payloads and steps
hold ids only. `auth_tokens.token_sha256` (or a column of the same name elsewhere) finds the row again.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from datetime import timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import quote
from uuid import UUID


class Purpose(StrEnum):
    """What a token is good for; one of another purpose is never accepted."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105  a purpose
    CHANGE_EMAIL = "change_email"
    VERIFY_PHONE = "verify_phone"
    MFA_CHALLENGE = "mfa_challenge"
    #: Kept in `invitations`.
    INVITATION = "invitation"
    #: Kept with what is ready to be fetched.
    EXPORT = "export"
    #: Kept in `task_links`: good for one task and one person, until it is decided.
    TASK = "task"


#: How long each is good for, where its table does not say otherwise.
LIFETIMES: Final = {
    Purpose.VERIFY_EMAIL: timedelta(hours=24),
    Purpose.RESET_PASSWORD: timedelta(hours=1),
    Purpose.CHANGE_EMAIL: timedelta(hours=24),
    Purpose.VERIFY_PHONE: timedelta(minutes=10),
    Purpose.MFA_CHALLENGE: timedelta(minutes=5),
}
#: The pages that mails lead to; each shows a form, and only sending the form uses the token up.
PATHS: Final = {
    Purpose.VERIFY_EMAIL: "/verify-email",
    Purpose.RESET_PASSWORD: "/reset-password",
    Purpose.CHANGE_EMAIL: "/confirm-email",
    Purpose.INVITATION: "/invitation",
    Purpose.EXPORT: "/export",
    Purpose.TASK: "/t",
}
#: The token is the last part of the path: such a link is passed on whole by programs that cut off queries.
_IN_PATH: Final = frozenset({Purpose.TASK})
#: Wrong codes after which a short code is worth nothing any more.
MOST_ATTEMPTS: Final = 5
_DIGITS: Final = 6


def derive(secret: bytes, purpose: Purpose, id: UUID) -> str:
    """The token of the row `id`: 43 characters that are safe in an address."""
    digest = hmac.digest(secret, f"one use:{purpose}:{id}".encode(), hashlib.sha256)
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def kept(token: str) -> str:
    """How a token is found again (hex); fast is fine, there is nothing to guess in 256 bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def code(token: str) -> str:
    """The six digits that stand for a token where people must type; worthless without its row's attempts."""
    digest = hashlib.sha256(b"code:" + token.encode()).digest()
    return str(int.from_bytes(digest[:16]) % 10**_DIGITS).rjust(_DIGITS, "0")


def link(public_url: str, purpose: Purpose, token: str) -> str:
    """The page where the token is used. Raises KeyError for a purpose that no page serves."""
    between = "/" if purpose in _IN_PATH else "?token="
    return f"{public_url}{PATHS[purpose]}{between}{quote(token, safe='')}"
