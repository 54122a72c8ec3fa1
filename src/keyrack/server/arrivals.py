"""Who a request came from, as far as this server believes it."""

from __future__ import annotations

from collections.abc import Sequence

from keyrack.core.model import Address, Network
from keyrack.guards.client_address import client_address, read_address
from keyrack.server.wire import Scope


class Arrivals:
    """Reads the addresses of requests, behind these proxies."""

    def __init__(self, trusted: Sequence[Network]):
        self.trusted = tuple(trusted)

    def peer(self, scope: Scope) -> Address | None:
        """The other end of the connection."""
        client = scope.get("client")
        return read_address(client[0]) if client else None

    def client(self, scope: Scope) -> Address | None:
        """Whoever sent the request: the peer, or what trusted proxies say."""
        if not self.trusted:
            return self.peer(scope)
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        peer = scope.get("client")
        return client_address(peer[0] if peer else None, forwarded, self.trusted)
