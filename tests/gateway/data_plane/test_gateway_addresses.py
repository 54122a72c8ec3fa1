"""Which addresses tenants' requests may go to, form by form."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from keyrack.gateway.monitoring.addresses import may_be_reached

PUBLIC = [
    "1.1.1.1",
    "93.184.216.34",
    "2606:4700::1111",
    "64:ff9b::101:101",
    "::ffff:1.1.1.1",
    "2002:101:101::1",
]
NOT_PUBLIC = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "::ffff:0:10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
]


@pytest.mark.spec("UG-41")
@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_reached(address: str) -> None:
    assert may_be_reached(address) is True


@pytest.mark.spec("UG-41")
@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_any_other_may_not_in_whatever_form_it_is_written(address: str) -> None:
    assert may_be_reached(address) is False


@pytest.mark.spec("UG-41")
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("::ffff:10.1.2.3", True),
        ("fd12::1", True),
        ("fd13::1", False),
    ],
)
def test_unless_its_network_is_listed(address: str, expected: bool) -> None:
    assert may_be_reached(address, [ip_network("10.1.0.0/16"), ip_network("fd12::/16")]) is expected
