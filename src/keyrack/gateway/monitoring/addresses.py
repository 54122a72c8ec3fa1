"""Which addresses a tenant's APIs and webhooks may reach: public ones, and networks that the operator lists.

Judged is the address that is connected to, whatever a name resolved to before (UG-41).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from keyrack.core.model import Address, Network

NEVER = (ip_network("168.63.129.16/32"), ip_network("192.0.0.0/24"), ip_network("fec0::/10"))
"""What clouds tell machines their secrets at, what is for protocols, and what was for one site (RFC 3879):
public in form."""
_MAPPING = (
    IPv6Network("::/96"),
    IPv6Network("::ffff:0:0/96"),
    IPv6Network("::ffff:0:0:0/96"),
    IPv6Network("64:ff9b::/96"),
)
"""Prefixes that stand for the IPv4 address in the last 32 bits (RFC 4291, 6052, 7915)."""


def may_be_reached(host: str, networks: Sequence[Network] = ()) -> bool:
    """Whether a connection to this address may be made; `networks` may be whatever they are."""
    address = _meant(ip_address(host.partition("%")[0]))
    return any(address in network for network in networks) or _is_public(address)


def _meant(address: Address) -> Address:
    """The address itself, or the IPv4 address that it is a way to write."""
    if isinstance(address, IPv6Address) and any(address in network for network in _MAPPING):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address.sixtofour is not None:
        # A relay takes it to the IPv4 address in it.
        return _is_public(address.sixtofour)
    is_usual = address.is_global and not address.is_multicast and not address.is_reserved
    return is_usual and not any(address in network for network in NEVER)
