"""From a host name to the addresses one request may connect to: looked up once, judged all, then pinned."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

from domain.addresses import AddressPolicy
from domain.definitions.faults import REFUSED_HERE, Fault

#: Host and port to textual addresses, as the operating system would answer. Raises OSError.
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

#: A dead first address must not hide a living second one, but a long list must not become a port scan.
MAX_PINNED = 3


class NotSent(Fault):
    """No connection came about: nothing of the request left the worker."""


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Every address getaddrinfo knows, including its reading of odd spellings such as `0x7f.1`."""
    loop = asyncio.get_running_loop()
    answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in answers]


async def pin(host: str, port: int, policy: AddressPolicy, resolver: Resolver) -> list[str]:
    """The addresses to connect to, at most three. Raises a communication fault when any answer is refused.

    An unknown name and a name with an inner address answer alike, so nobody can map our network by asking.
    """
    reason = policy.refuse_name(host, port)
    if reason is not None:
        raise refused(reason)
    try:
        answers = list(dict.fromkeys(await resolver(host, port)))
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise NotSent(
                "communication",
                503,
                "Name look-up failed",
                f"{host!r} could not be looked up just now",
                transient=True,
            ) from None
        answers = []
    except (OSError, UnicodeError):
        answers = []
    if not answers or any(policy.refuse_address(answer, port) for answer in answers):
        raise refused(f"{host!r} does not resolve to public addresses only; use a public host name")
    return answers[:MAX_PINNED]


def refused(reason: str) -> Fault:
    return Fault("communication", 403, REFUSED_HERE, reason)
