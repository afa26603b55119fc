"""The address table against what attackers write and against the standard library's opinion."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.addresses import AddressPolicy, is_public, parse_address

INNER = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2620:4f:8000::1",
    "3ffe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "2600::5efe:10.0.0.1",
    "2600::200:5efe:a00:1",
]
OUTER = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.1",
    "168.63.129.15",
    "172.15.0.1",
    "172.32.0.1",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.1",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450:4001:80e::200e",
]


@pytest.mark.parametrize("text", INNER)
def test_an_inner_address_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))
    assert AddressPolicy.public().refuse_address(text, 443) == "the host is not a public address"


@pytest.mark.parametrize("text", OUTER)
def test_an_outer_address_is_public(text: str) -> None:
    assert is_public(ip_address(text))
    assert AddressPolicy.public().refuse_address(text, 443) is None


@given(st.ip_addresses(v=4))
@example(IPv4Address("192.0.0.9"))
def test_nothing_the_standard_library_calls_private_is_public_to_us_in_ipv4(address: IPv4Address) -> None:
    # The converse is not true: 6to4 relays, multicast and Azure's wire server are "global" there.
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=6))
@example(IPv6Address("2001:4:112::1"))
def test_nothing_the_standard_library_calls_private_is_public_to_us_in_ipv6(address: IPv6Address) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast
        assert str(address)[0] in "23:"


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_the_address_inside(address: IPv4Address) -> None:
    mapped = IPv6Address(f"::ffff:{address}")
    assert is_public(mapped) == is_public(address)
    assert parse_address(str(mapped)) == address


def test_is_global_alone_would_have_let_some_through() -> None:
    """Later Pythons know more special ranges, but none refuses all that leads inside."""
    assert {"168.63.129.16", "224.0.0.1"} <= {text for text in INNER if ip_address(text).is_global}


@pytest.mark.parametrize(
    "text", ["fe80::1%eth0", "2606:4700::1%1", "example.com", "", "127.1", "0x7f.1", "1.1.1.1:80"]
)
def test_what_is_not_a_plain_address_is_refused(text: str) -> None:
    assert parse_address(text) is None
    assert AddressPolicy.public().refuse_address(text, 443) is not None


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "db.internal",
        "metadata.google.internal",
        "printer.local",
        "app.our.example",
        "x.App.Our.example.",
    ],
)
def test_names_of_inner_networks_are_refused_before_any_look_up(host: str) -> None:
    policy = AddressPolicy.public(own_hosts=["App.our.example"])
    assert "inside the platform" in (policy.refuse_name(host, 443) or "")


@pytest.mark.parametrize("host", ["example.com", "internal.example", "localhost.example", "notour.example"])
def test_outer_names_are_looked_up(host: str) -> None:
    assert AddressPolicy.public(own_hosts=["our.example"]).refuse_name(host, 443) is None


@pytest.mark.parametrize("port", [1, 22, 25, 81, 5432, 6379, 7233, 8444, 65535])
def test_ports_of_other_services_are_refused(port: int) -> None:
    assert "is not allowed" in (AddressPolicy.public().refuse_name("example.com", port) or "")
    assert AddressPolicy.public().refuse_address("1.1.1.1", port) is not None


def test_an_allowed_pair_opens_that_address_and_port_only() -> None:
    policy = AddressPolicy.allowing([("127.0.0.1", 8490)])
    assert policy.refuse_name("127.0.0.1", 8490) is None
    assert policy.refuse_address("127.0.0.1", 8490) is None
    assert policy.refuse_address("::ffff:127.0.0.1", 8490) is None
    for address, port in [
        ("127.0.0.2", 8490),
        ("127.0.0.1", 8491),
        ("127.0.0.1", 443),
        ("::1", 8490),
        ("1.1.1.1", 8490),
    ]:
        assert policy.refuse_address(address, port) is not None, (address, port)
    assert policy.refuse_address("1.1.1.1", 443) is None
    assert policy.refuse_name("localhost", 8490) is not None


def test_a_policy_lists_addresses_not_names() -> None:
    with pytest.raises(ValueError, match="IP addresses"):
        AddressPolicy.allowing([("localhost", 80)])


def test_the_refusal_never_repeats_the_address() -> None:
    for text in INNER:
        assert text not in (AddressPolicy.public().refuse_address(text, 443) or "") or text == "::"


def test_every_block_is_refused_at_both_of_its_ends() -> None:
    for block in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
    ):
        network = IPv4Network(block)
        assert not is_public(network[0])
        assert not is_public(network[-1])
