"""Brakes on guessing and on mailing, shared by all processes and kept through restarts; nobody is locked out for ever.

    passage = await Limits(parts).login(email, device.address)     # counted, or TooManyRequests
    ...the password was right...
    await passage.succeeded()

Every attempt is counted before it is known how it ends, so that many at once get no further than one after the
other; a success is given back. A stranger cannot keep the owner out: where somebody has signed in before, only
their own failures hold them up, and a password chosen anew through the mail makes its place such a one.
"""

import hashlib
import hmac
import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from api.collaborators import Collaborators
from db.attempts import Attempts, Counted
from domain.errors import TooManyRequests

_REMEMBERED = 20_000
#: How long a place counts as one where the owner has signed in.
KNOWN_FOR: Final = timedelta(days=90)


def _measure(
    *, free: int, first: float, longest: float, forget: float, own: bool = False, all_: bool = True
) -> Counted:
    return Counted("", free, first, longest, forget, is_own=own, for_known=all_)


#: `free` attempts, then a wait of `first` seconds that doubles up to `longest`; every `forget` seconds one is
#: forgotten. Where that is sooner than the longest wait, the waits settle at about `forget`. The account's wait
#: stays short: it slows guessing from many places, and the owner at a new one.
PAIR: Final = _measure(free=8, first=30, longest=900, forget=1800, own=True)
ACCOUNT: Final = _measure(free=40, first=10, longest=60, forget=120, all_=False)
ADDRESS: Final = _measure(free=60, first=10, longest=120, forget=60, all_=False)
EVERYBODY: Final = _measure(free=3_000, first=1, longest=2, forget=0.05, all_=False)
#: Codes of six digits: some hundred guesses a day at one account, whichever codes they are for.
CODES: Final = _measure(free=10, first=60, longest=900, forget=1800, own=True)
REGISTRATIONS: Final = _measure(free=30, first=60, longest=60, forget=60)
CONFLICTS: Final = _measure(free=5, first=600, longest=3600, forget=600)
MAILS_TO: Final = _measure(free=5, first=300, longest=3600, forget=7200)
MAILS_FROM: Final = _measure(free=30, first=60, longest=600, forget=120)
#: Messages cost money, wherever they go.
SMS_TO: Final = _measure(free=3, first=120, longest=3600, forget=3600)
SMS_BY: Final = _measure(free=5, first=300, longest=3600, forget=3600)
MAILS: Final = _measure(free=600, first=2, longest=10, forget=1)


class Passage:
    """An attempt that was let through."""

    def __init__(self, attempts: Attempts, counted: list[Counted], known: str | None, now: datetime) -> None:
        self._attempts = attempts
        self._counted = counted
        self._known = known
        self._now = now

    async def succeeded(self) -> None:
        """Takes the attempt back, and remembers where it came from."""
        await self._attempts.forgive(self._counted, self._known, self._now + KNOWN_FOR)


class Limits:
    """Without a state of its own; each call is one statement."""

    def __init__(self, parts: Collaborators) -> None:
        self._attempts = Attempts(parts.database)
        self._secret = parts.security.token_secret
        self._clock = parts.clock

    async def login(self, email: str, address: str) -> Passage:
        """A guess at a password, by anybody. Raises TooManyRequests."""
        who, place = email.lower(), _network(address)
        counted = [
            self._key(PAIR, "login", who, place),
            self._key(ACCOUNT, "login", who),
            self._key(ADDRESS, "login", place),
            self._key(EVERYBODY, "login"),
        ]
        return await self._pass(counted, self._name("known", who, place))

    async def code(self, user: object, purpose: str) -> Passage:
        """A guess by somebody whose name is known already: at a second factor, or a password confirmed again."""
        return await self._pass([self._key(CODES, "code", purpose, str(user))])

    async def welcome(self, email: str, address: str) -> None:
        """Somebody has shown through the mail that the account is theirs: their place is known from now on."""
        who, place = email.lower(), _network(address)
        known = self._name("known", who, place)
        pair = self._key(PAIR, "login", who, place)
        await self._attempts.forgive([pair], known, self._clock() + KNOWN_FOR)

    async def registration(self, address: str) -> Passage:
        """Where registering answers whether an address is known: `succeeded` unless it was. Raises TooManyRequests."""
        place = _network(address)
        conflicts = self._key(CONFLICTS, "conflict", place)
        await self._pass([self._key(REGISTRATIONS, "register", place), conflicts])
        return Passage(self._attempts, [conflicts], None, self._clock())

    async def mail(self, purpose: str, target: str, address: str) -> None:
        """A mail or message that anybody may cause: per target, per place, and altogether. Raises TooManyRequests."""
        counted = [
            self._key(MAILS_TO, "mail", purpose, target.lower()),
            self._key(MAILS_FROM, "mail", purpose, _network(address)),
            self._key(MAILS, "mail", purpose),
        ]
        await self._pass(counted)

    async def message(self, user: object, number: str) -> None:
        """A short message to a telephone, caused by somebody signed in. Raises TooManyRequests."""
        counted = [
            self._key(SMS_TO, "sms", "to", number),
            self._key(SMS_BY, "sms", "by", str(user)),
            self._key(MAILS, "sms"),
        ]
        await self._pass(counted)

    async def _pass(self, counted: list[Counted], known: str | None = None) -> Passage:
        now = self._clock()
        waiting = await self._attempts.count(counted, known, now)
        if waiting:
            raise TooManyRequests(retry_after=waiting)
        return Passage(self._attempts, counted, known, now)

    def _key(self, measure: Counted, *parts: str) -> Counted:
        return replace(measure, key=self._name(*parts))

    def _name(self, *parts: str) -> str:
        """The first word stays readable for operators; whom it concerns does not."""
        said = "\n".join(parts).encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._secret, b"attempts:" + said, hashlib.sha256)
        return f"{parts[0]}:{digest.hex()[:40]}"


def _network(address: str) -> str:
    """Whoever has one IPv6 address has 2^64 of them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` attempts at once, then one more every `seconds`."""

    burst: int
    seconds: float


class Limiter:
    """Token buckets of one process under any key; the longest unused are forgotten when there are too many.

    For floods that a process keeps from its own door; what must be counted together is `Limits`' work.
    """

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

    def _left(self, key: str, moment: float) -> float:
        left, since = self._buckets.get(key, (float(self._rate.burst), moment))
        return min(float(self._rate.burst), left + max(0.0, moment - since) / self._rate.seconds)
