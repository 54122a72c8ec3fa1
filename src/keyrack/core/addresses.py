"""Whom an address stands for: where people are counted or named, neighbours in IPv6 are one."""

from __future__ import annotations

from ipaddress import IPv6Network

from keyrack.core.model import Address


def neighbourhood(address: Address | None) -> str:
    """An IPv4 address, or the /64 of an IPv6 one, which one household has."""
    if address is None or address.version == 4:
        return str(address)
    return str(IPv6Network((address, 64), strict=False))
