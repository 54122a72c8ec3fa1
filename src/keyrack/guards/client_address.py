"""The address of a client: that of the connection, or what proxies say that are known and trusted.

`X-Forwarded-For` is read from right to left, each hop believed only because the one behind it is a
trusted proxy. Whoever reaches a trusted network directly can write what it likes; so name proxies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from keyrack.core.errors import ConfigurationError
from keyrack.core.model import Address, Network

MAX_HOPS = 20
"""How many proxies in a row are believed; a longer chain is somebody's invention."""
MAX_LENGTH = 64
"""No address is longer, its brackets, zone and port included."""


def client_host(peer: str | None, forwarded: Sequence[bytes], trusted: Sequence[Network]) -> str | None:
    """The text of the address of whoever sent a request, as it came, for `read_address`.

    `peer` is the connection's, `forwarded` the values of all X-Forwarded-For headers in their order.
    At anything that is no address it stops: the last hop that was understood is the client.
    """
    host = peer if peer is None or len(peer) <= MAX_LENGTH else None
    hops = b",".join(forwarded).rsplit(b",", MAX_HOPS) if forwarded else []
    for hop in hops[: -MAX_HOPS - 1 : -1]:
        before = hop.decode("latin-1").strip(" \t")
        if not _is_trusted(read_address(host), trusted) or read_address(before) is None:
            break
        host = before
    return host


def client_address(
    peer: str | None, forwarded: Sequence[bytes], trusted: Sequence[Network]
) -> Address | None:
    """The address of whoever sent a request, or None where there is none (a Unix socket)."""
    return read_address(client_host(peer, forwarded, trusted))


def read_address(text: str | None) -> Address | None:
    """The address in a text such as `192.0.2.1`, `192.0.2.1:443`, `[2001:db8::1]:443`, or None.

    An IPv4 address that comes mapped into IPv6 is that IPv4 address; a zone is dropped.
    """
    return _read(text) if text and len(text) <= MAX_LENGTH else None


def read_networks(networks: Iterable[str | Network]) -> tuple[Network, ...]:
    """The networks of trusted proxies. Raises ConfigurationError for anything else."""
    if isinstance(networks, str):
        raise ConfigurationError("trusted_proxies", "is a list of networks, not one text.")
    return tuple(_network(one) for one in networks)


def _network(network: str | Network) -> Network:
    try:
        return ip_network(network)
    except ValueError:
        raise ConfigurationError(
            "trusted_proxies", "holds what is no network; write 10.0.0.0/8 or an address."
        ) from None


@lru_cache(4096)
def _read(text: str) -> Address | None:
    try:
        address = ip_address(_host(text).partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _host(text: str) -> str:
    """The text without brackets and port."""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        return host if bracket and ":" in host and _is_port(port) else ""
    host, _, port = text.partition(":")
    return host if "." in host and _is_port(f":{port}") else text


def _is_port(text: str) -> bool:
    return not text or (text[0] == ":" and len(text) <= 6 and (text[1:].isascii() and text[1:].isdigit()))


def _is_trusted(address: Address | None, trusted: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in trusted)
