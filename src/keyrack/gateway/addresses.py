"""Which addresses a tenant's APIs and webhooks may reach: public ones, and networks that the operator lists.

Judged is the address that is connected to, whatever a name resolved to before (UG-41).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from keyrack.core.model import Address, Network

METADATA = (ip_network("168.63.129.16/32"),)
"""Addresses at which clouds tell machines their secrets and that are public in form; the others are not."""
_MAPPING = (IPv6Network("::/96"), IPv6Network("::ffff:0:0:0/96"), IPv6Network("64:ff9b::/96"))
"""Prefixes with an IPv4 address in the last 32 bits (RFC 4291, 6052, 7915)."""


def may_be_reached(host: str, networks: Sequence[Network] = ()) -> bool:
    """Whether a connection to this address may be made; `networks` may be whatever they are."""
    address = ip_address(host.partition("%")[0])
    forms = (address, *_inner(address))
    if any(form in network for form in forms for network in networks):
        return True
    return all(_is_public(form) for form in forms)


def _inner(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 address stands for on its way."""
    if isinstance(address, IPv4Address):
        return ()
    return tuple(found for found in (_mapped(address), address.sixtofour, *(address.teredo or ())) if found)


def _mapped(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    is_mapping = any(address in network for network in _MAPPING)
    return IPv4Address(int(address) & 0xFFFFFFFF) if is_mapping else None


def _is_public(address: Address) -> bool:
    is_usual = address.is_global and not address.is_multicast and not address.is_reserved
    return is_usual and not any(address in network for network in METADATA)
