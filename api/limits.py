"""Brakes on guessing: buckets emptied by attempts and refilled by time; nobody is locked out for ever.

Counted in this process's memory: a restart forgives, and n processes allow n times as much.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from domain.errors import TooManyRequests

_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` attempts at once, then one more every `seconds`."""

    burst: int
    seconds: float


class Limiter:
    """Token buckets under any key; the longest unused are forgotten first when there are too many."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, key: str, now: datetime) -> None:
        """Raises `TooManyRequests` when the bucket is empty; takes nothing."""
        left = self._left(key, now.timestamp())
        if left < 1:
            raise TooManyRequests(retry_after=ceil((1 - left) * self._rate.seconds - 0.001))

    def take(self, key: str, now: datetime) -> None:
        """Counts one attempt."""
        moment = now.timestamp()
        self._buckets[key] = (max(0.0, self._left(key, moment) - 1), moment)
        self._buckets.move_to_end(key)
        while len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)

    def spend(self, key: str, now: datetime) -> None:
        """Checks, then counts."""
        self.check(key, now)
        self.take(key, now)

    def forgive(self, key: str) -> None:
        """Empties the record of a key, after a success proved it harmless."""
        self._buckets.pop(key, None)

    def _left(self, key: str, moment: float) -> float:
        left, since = self._buckets.get(key, (float(self._rate.burst), moment))
        return min(float(self._rate.burst), left + max(0.0, moment - since) / self._rate.seconds)


class LoginLimits:
    """Failed logins per account and address, per account, and per address; registrations per address."""

    def __init__(self) -> None:
        self._pair = Limiter(Rate(8, 60))
        # Wider than the pair, so that a stranger elsewhere cannot keep the owner out by failing on purpose.
        self._account = Limiter(Rate(40, 20))
        self._address = Limiter(Rate(60, 10))
        self._registrations = Limiter(Rate(30, 60))
        self._conflicts = Limiter(Rate(5, 600))

    def before_login(self, email: str, address: str, now: datetime) -> None:
        self._pair.check(f"{email}\n{address}", now)
        self._account.check(email, now)
        self._address.check(address, now)

    def login_failed(self, email: str, address: str, now: datetime) -> None:
        self._pair.take(f"{email}\n{address}", now)
        self._account.take(email, now)
        self._address.take(address, now)

    def login_succeeded(self, email: str, address: str) -> None:
        self._pair.forgive(f"{email}\n{address}")

    def before_registration(self, address: str, now: datetime) -> None:
        self._conflicts.check(address, now)
        self._registrations.spend(address, now)

    def registration_refused(self, address: str, now: datetime) -> None:
        self._conflicts.take(address, now)
