"""Who a request came from, as far as this server believes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from keyrack.core.model import Address, Network
from keyrack.guards.client_address import client_host, read_address
from keyrack.server.wire import Scope

PEERS_KEPT = 4096


class Peer(NamedTuple):
    """The other end of a connection."""

    address: Address | None
    is_proxy: bool
    """On this machine, or in a network of trusted proxies."""


class Arrivals:
    """Reads the addresses of requests, behind these proxies."""

    def __init__(self, trusted: Sequence[Network]):
        self._trusted = tuple(trusted)
        self.peer: Callable[[str | None], Peer] = lru_cache(PEERS_KEPT)(self._read)
        """The other end of a connection, by its host."""

    def client_host(self, scope: Scope) -> str | None:
        """Whoever sent the request, as text: the peer, or what trusted proxies say."""
        peer = scope.get("client")
        host: str | None = peer[0] if peer else None
        if not self._trusted:
            return host
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return client_host(host, forwarded, self._trusted)

    def _read(self, host: str | None) -> Peer:
        address = read_address(host)
        is_known = address is not None and any(address in network for network in self._trusted)
        return Peer(address, is_known or (address is not None and address.is_loopback))
