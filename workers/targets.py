"""Places outbound HTTP may go to although they are not public: `network:port` or `host:port`."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

HOST = re.compile(r"^(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*$")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Target:
    """One allowed place: a network or a host name, never both, and one port."""

    port: int
    network: Network | None = None
    host: str | None = None


def parse_targets(value: Any) -> tuple[Target, ...]:
    """Read a comma list; IPv6 networks stand in brackets (`[::1/128]:80`). Raises ValueError."""
    if not isinstance(value, str):
        return tuple(value)
    return tuple(_target(entry.strip()) for entry in value.split(",") if entry.strip())


def _target(entry: str) -> Target:
    place, colon, number = entry.rpartition(":")
    if not colon or not number.isdecimal() or not 0 < int(number) < 65536:
        raise ValueError(f"{entry!r} does not end in :port")
    try:
        return Target(int(number), network=ipaddress.ip_network(place.strip("[]")))
    except ValueError:
        if "/" in place or not HOST.match(place) or place.replace(".", "").isdecimal():
            raise ValueError(f"{place!r} is neither a network such as 127.0.0.1/32 nor a host name") from None
    return Target(int(number), host=place.lower())
