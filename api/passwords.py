"""Passwords: what is accepted, and how one is kept and checked without stalling the event loop.

Kept form: `v1$` + bcrypt(base64(HMAC-SHA256(pepper, password))). The digest keeps long passwords and NULs
whole (bcrypt stops at 72 bytes), and without the pepper a stolen table cannot be attacked at all.

`v0$` + bcrypt(password) is what an import brought from a platform that had neither; a login makes a `v1$` of it.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import re
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from api.common_passwords import is_common
from domain.errors import Problem, TooManyRequests

T = TypeVar("T")

SHORTEST, LONGEST = 8, 256
VERSION = "v1$"
IMPORTED = "v0$"
_COST = re.compile(r"v0\$\$2[aby]\$(\d\d)\$")
#: More people than this waiting for a hash are turned away: a flood of logins must not queue for minutes.
_QUEUE = 64


def check(password: str, *, email: str, pointer: str) -> list[Problem]:
    """Everything wrong with a new password; an empty list means it is accepted."""

    def problem(message: str, suggestion: str) -> list[Problem]:
        return [Problem(pointer, message, suggestion, "weak_password")]

    if len(password) < SHORTEST:
        return problem(
            f"The password is shorter than {SHORTEST} characters.", "Use a sentence of a few words."
        )
    if len(password) > LONGEST:
        return problem(
            f"The password is longer than {LONGEST} characters.", f"Use at most {LONGEST} characters."
        )
    address = email.casefold()
    if password.casefold() in (address, address.partition("@")[0]):
        return problem(
            "The password is the e-mail address.", "Use something nobody can read off your address."
        )
    if is_common(password):
        return problem("The password is among the commonly used ones.", "Use a sentence of a few words.")
    return []


class Passwords:
    """Hashes and checks passwords on a few threads of its own; `cost` is bcrypt's, lowered only by tests."""

    def __init__(self, pepper: bytes, cost: int = 12) -> None:
        self._pepper = pepper
        self._cost = cost
        workers = max(1, (os.cpu_count() or 2) - 1)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="passwords")
        self._waiting = 0
        self._dummy = self._hash("nobody's password")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._hash(password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Always costs one full hash, also when there is no such user: time must not tell them apart."""
        if stored is not None and stored.startswith(IMPORTED):
            return await self._run(lambda: self._matches_imported(password, stored))
        reference = stored if stored is not None and stored.startswith(VERSION) else self._dummy
        matches = await self._run(lambda: self._matches(password, reference))
        return matches and reference is stored

    def outdated(self, stored: str) -> bool:
        """True when the kept form is older or cheaper than today's, so that a login should renew it."""
        return not stored.startswith(f"{VERSION}$2b${self._cost:02d}$")

    def _digest(self, password: str) -> bytes:
        normal = unicodedata.normalize("NFC", password).encode()
        return base64.b64encode(hmac.digest(self._pepper, normal, hashlib.sha256))

    def _hash(self, password: str) -> str:
        return VERSION + bcrypt.hashpw(self._digest(password), bcrypt.gensalt(self._cost)).decode()

    def _matches(self, password: str, stored: str) -> bool:
        try:
            return bcrypt.checkpw(self._digest(password), stored.removeprefix(VERSION).encode())
        except ValueError:  # a kept form that bcrypt cannot read matches nobody
            return False

    def _matches_imported(self, password: str, stored: str) -> bool:
        """bcrypt of the password itself, which ends at 72 bytes; a cheaper hash takes as long as one of ours."""
        match = _COST.match(stored)
        cost = int(match[1]) if match else 0
        # 2^c + 2^c + 2^(c+1) + … + 2^(n-1) = 2^n: time must not tell who came from elsewhere.
        for step in range(max(4, cost), self._cost):
            bcrypt.hashpw(b"", bcrypt.gensalt(step))
        try:
            return bcrypt.checkpw(password.encode()[:72], stored.removeprefix(IMPORTED).encode())
        except ValueError:
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= _QUEUE:
            raise TooManyRequests("Too many people are signing in at this moment; try again.", retry_after=5)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
