"""Which network addresses a tenant's request may reach: decided on the address that will be connected to."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Self

Address = IPv4Address | IPv6Address

#: `ipaddress.is_global` calls several of these public (multicast, 6to4, Azure's wire server), so we keep our
#: own table. Sources: the IANA special-purpose registries, and metadata addresses of clouds in public blocks.
_NOT_PUBLIC_V4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # "this network"; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT, also Alibaba Cloud metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's wire server, a public-looking address answered by the hypervisor
        "169.254.0.0/16",  # link-local, home of most cloud metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments, also Oracle Cloud metadata
        "192.0.2.0/24",
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT relays
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
#: Only global unicast can be public in IPv6: this alone refuses loopback, ULA, link- and site-local, NAT64
#: and `::a.b.c.d`.
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries any IPv4 address inside
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # the former 6bone
        "3fff::/20",
    )
)
#: Interface identifiers of ISATAP tunnels: the last 32 bits are an IPv4 address of somebody's inner network.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})

PUBLIC_PORTS = frozenset({80, 443, 8080, 8443})
_PRIVATE_NAMES = ("localhost", "local", "internal", "home.arpa", "localdomain")


def parse_address(text: str) -> Address | None:
    """The address to connect to, IPv4-mapped IPv6 unwrapped; None for a scoped one or no address at all."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def is_public(address: Address) -> bool:
    """True when the address belongs to the public internet by our own table."""
    if isinstance(address, IPv4Address):
        return not any(address in block for block in _NOT_PUBLIC_V4)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return False
    return address in _GLOBAL_UNICAST_V6 and not any(address in block for block in _NOT_PUBLIC_V6)


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What one organization may connect to: the public internet, plus the exact (address, port) pairs listed.

    There is no "everything": a test or the demo organization names each endpoint it needs.
    """

    allowed: frozenset[tuple[Address, int]] = frozenset()
    own_hosts: frozenset[str] = frozenset()

    @classmethod
    def public(cls, *, own_hosts: Iterable[str] = ()) -> Self:
        """The policy of every ordinary organization; `own_hosts` are the platform's, never reachable."""
        return cls(own_hosts=frozenset(_canonical(host) for host in own_hosts))

    @classmethod
    def allowing(cls, pairs: Iterable[tuple[str, int]], *, own_hosts: Iterable[str] = ()) -> Self:
        """The public policy and these (IP address, port) pairs. Raises ValueError for a host name."""
        allowed = set()
        for text, port in pairs:
            address = parse_address(text)
            if address is None:
                raise ValueError(f"an address policy lists IP addresses, not {text!r}")
            allowed.add((address, port))
        return cls(frozenset(allowed), frozenset(_canonical(host) for host in own_hosts))

    def refuse_name(self, host: str, port: int) -> str | None:
        """Why this name and port are refused before any look-up, or None."""
        name = _canonical(host)
        if any(name == own or name.endswith(f".{own}") for own in (*_PRIVATE_NAMES, *self.own_hosts)):
            return f"{host!r} is a name inside the platform's own network; use a public host name"
        if port not in PUBLIC_PORTS and all(port != listed for _, listed in self.allowed):
            ports = ", ".join(str(number) for number in sorted(PUBLIC_PORTS))
            return f"port {port} is not allowed; use one of {ports}"
        return None

    def refuse_address(self, text: str, port: int) -> str | None:
        """Why a resolved address is refused, or None; never repeats it, it may belong to an inner network."""
        address = parse_address(text)
        if address is not None:
            if (address, port) in self.allowed:
                return None
            if is_public(address):
                return None if port in PUBLIC_PORTS else f"port {port} is not allowed"
        return "the host is not a public address"


def _canonical(host: str) -> str:
    return host.lower().rstrip(".")
