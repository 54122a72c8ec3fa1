"""Who a request came from, as far as this server believes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from keyrack.core.model import Address, Network
from keyrack.guards.client_address import client_address, read_address
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
        self._peer_at: Callable[[str | None], Peer] = lru_cache(PEERS_KEPT)(self._read)

    def peer(self, scope: Scope) -> Peer:
        """The other end of the connection."""
        client = scope.get("client")
        return self._peer_at(client[0] if client else None)

    def client(self, scope: Scope) -> Address | None:
        """Whoever sent the request: the peer, or what trusted proxies say."""
        if not self._trusted:
            return self.peer(scope).address
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        peer = scope.get("client")
        return client_address(peer[0] if peer else None, forwarded, self._trusted)

    def _read(self, host: str | None) -> Peer:
        address = read_address(host)
        is_known = address is not None and any(address in network for network in self._trusted)
        return Peer(address, is_known or (address is not None and address.is_loopback))
