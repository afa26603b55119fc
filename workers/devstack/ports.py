"""Which loopback ports the parts listen on."""

import socket
from collections.abc import Iterable, Mapping

import psutil

from workers.devstack.errors import StackError

LOOPBACK = "127.0.0.1"

DEFAULTS = {
    "api": 8400,
    "temporal": 7233,
    "temporal_ui": 8233,
    "temporal_ui_server": 8234,
    "postgres": 5433,
    "mail": 2525,
    "s3": 9000,
    "echo": 8490,
}


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now."""
    for address in ("", LOOPBACK):  # "" also notices servers that listen on every address
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def any_free() -> int:
    """Return a port the kernel says is free."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def choose(name: str, previous: int | None, taken: Iterable[int]) -> int:
    """Keep the previous port, else the default, else any free one; never one of `taken`."""
    used = set(taken)
    for candidate in (previous, DEFAULTS[name]):
        if candidate and candidate not in used and is_free(candidate):
            return candidate
    while (port := any_free()) in used:
        pass
    return port


def choose_all(previous: Mapping[str, int], requested: Mapping[str, int | None]) -> dict[str, int]:
    """Choose a port for every server; one a person asked for is taken or refused, never replaced."""
    chosen: dict[str, int] = {}
    for name in DEFAULTS:
        wish = requested.get(name)
        if wish is not None and not is_free(wish):
            raise StackError(
                f"Port {wish} is taken by another program.",
                "Choose another --port, or leave it out and a free one is found.",
            )
        chosen[name] = wish or choose(name, previous.get(name), chosen.values())
    return chosen


def answers(port: int) -> bool:
    """Tell whether something accepts connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


class Reservation:
    """Ports kept from everybody between the choice and the start of the servers that will listen there."""

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def hold(self, numbers: Iterable[int]) -> None:
        """Keep ports; one that was lost meanwhile is left to its new owner."""
        for number in numbers:
            holder = socket.socket()
            try:
                # bound, never listening, and without SO_REUSEADDR: nobody else can bind it
                holder.bind((LOOPBACK, number))
            except OSError:
                holder.close()
            else:
                self._held[number] = holder

    def release(self, numbers: Iterable[int]) -> None:
        """Give ports to whoever binds them next."""
        for number in list(numbers):
            if (holder := self._held.pop(number, None)) is not None:
                holder.close()

    def release_all(self) -> None:
        self.release(list(self._held))


def belong_to(pid: int, numbers: Iterable[int]) -> bool:
    """Tell whether this very process listens on all these ports (true where the system will not say)."""
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False
    listening = {
        connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN
    }
    return set(numbers) <= listening
