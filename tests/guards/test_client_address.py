"""Whose address it is: the connection's, or what trusted proxies say of it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core.errors import ConfigurationError
from keyrack.guards.client_address import MAX_HOPS, client_address, read_address, read_networks

TRUSTED = read_networks(["10.0.0.0/8", "2001:db8:aaaa::/48", "192.0.2.1"])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:443", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:80", "192.0.2.7"),
    ],
)
def test_an_address_is_read_in_every_form_that_proxies_write(text: str, address: str) -> None:
    assert str(read_address(text)) == address


@pytest.mark.parametrize(
    "text",
    [None, "", "unknown", "_hidden", "localhost", "192.0.2", "192.0.2.7:", "192.0.2.7:x", "192.0.2.7:123456",
     "192.0.2.256", "[192.0.2.7]", "[2001:db8::1", "2001:db8::1]", "[2001:db8::1]x", "[2001:db8::1]443", "[]",
     "192.0.2.7 ", "192.0.2.7\n", "1" * 65, "١٩٢.0.2.7", "192.0.2.7:٤", "192.0.2.7, 192.0.2.8", "3232235777"],
)  # fmt: skip
def test_anything_else_is_no_address(text: str | None) -> None:
    assert read_address(text) is None


def test_a_unix_socket_has_no_address_and_vouches_for_nobody() -> None:
    assert client_address(None, [b"192.0.2.7"], TRUSTED) is None


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ([], "10.0.0.1"),
        ([b"192.0.2.7"], "192.0.2.7"),
        ([b"1.1.1.1, 192.0.2.7"], "192.0.2.7"),
        ([b"192.0.2.7, 10.1.1.1"], "192.0.2.7"),
        ([b"192.0.2.7", b"10.1.1.1, 192.0.2.1"], "192.0.2.7"),
        ([b"192.0.2.7:4711,[2001:db8:aaaa::1]:1"], "192.0.2.7"),
        ([b"10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ([b"unknown"], "10.0.0.1"),
        ([b"192.0.2.7, garbage, 10.2.2.2"], "10.2.2.2"),
        ([b"192.0.2.7,"], "10.0.0.1"),
        ([b""], "10.0.0.1"),
        ([b"\xff\xfe"], "10.0.0.1"),
        ([b"::ffff:10.1.1.1"], "10.1.1.1"),
        ([b"192.0.2.7, ::ffff:10.1.1.1"], "192.0.2.7"),
    ],
)
def test_hops_are_read_from_right_to_left_as_far_as_they_are_trusted(
    forwarded: list[bytes], client: str
) -> None:
    assert str(client_address("10.0.0.1", forwarded, TRUSTED)) == client


def test_a_chain_without_end_is_not_followed() -> None:
    endless = b", ".join([b"192.0.2.7"] + [b"10.0.0.2"] * MAX_HOPS)
    assert str(client_address("10.0.0.1", [endless], TRUSTED)) == "10.0.0.2"
    assert str(client_address("10.0.0.1", [endless.replace(b", 10.0.0.2", b"", 1)], TRUSTED)) == "192.0.2.7"


ADDRESSES = st.one_of(
    st.ip_addresses(), st.sampled_from([ip_address("10.9.9.9"), ip_address("2001:db8:aaaa::9")])
)
NOISE = st.lists(st.binary(max_size=40), max_size=3)


def is_trusted(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in TRUSTED)


def unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@given(ADDRESSES, NOISE)
def test_what_an_untrusted_peer_claims_changes_nothing(peer: IPv4Address, claims: list[bytes]) -> None:
    if not is_trusted(unmapped(peer)):
        assert client_address(str(peer), claims, TRUSTED) == unmapped(peer)


@given(ADDRESSES, NOISE, st.lists(st.sampled_from(["10.0.0.3", "192.0.2.1", "2001:db8:aaaa::3"]), max_size=4))
def test_a_client_behind_proxies_is_found_whatever_it_claims(
    client: IPv4Address, claims: list[bytes], proxies: list[str]
) -> None:
    if is_trusted(unmapped(client)):
        return
    hops = [*claims, str(client).encode(), *(proxy.encode() for proxy in proxies)]
    for lines in (hops, [b", ".join(hops)]):
        assert client_address("10.0.0.1", lines, TRUSTED) == unmapped(client)


@given(NOISE)
def test_reading_hops_never_fails(claims: list[bytes]) -> None:
    assert client_address("10.0.0.1", claims, TRUSTED) is not None


def test_a_trusted_proxy_is_named_by_network_or_address() -> None:
    assert [str(network) for network in read_networks(["10.0.0.0/8", TRUSTED[1], "::1"])] == [
        "10.0.0.0/8",
        "2001:db8:aaaa::/48",
        "::1/128",
    ]


@pytest.mark.parametrize("networks", ["10.0.0.0/8", ["10.0.0.1/8"], ["proxy.example"], ["*"], [""]])
def test_what_is_no_network_stops_the_start_and_is_not_quoted(networks: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_networks(networks)
    assert "proxy.example" not in str(caught.value)
