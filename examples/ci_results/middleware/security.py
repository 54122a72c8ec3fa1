"""Headers that every answer carries (CI-17, CI-18)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.ci_results.operations import API
from keyrack.guards.client_address import client_address

HEADERS = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
NO_STORE = (b"cache-control", b"no-store")
_SECRET_PATHS = (f"{API}/auth/", "/worker/")
"""Where tokens and run keys are in answers."""


class SecurityHeaders:
    """An application whose answers all carry them, its errors included."""

    def __init__(self, app: ASGIApp, *, hsts: bool, trusted_proxies: Sequence[IPv4Network | IPv6Network]):
        self._app = app
        self._hsts = hsts
        self._trusted = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = [*HEADERS, *([HSTS] if self._hsts and self._is_over_tls(scope) else [])]
        if scope["path"].startswith(_SECRET_PATHS):
            added.append(NO_STORE)
        names = {name for name, _ in added}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if pair[0] not in names]
                message = {**message, "headers": [*kept, *added]}
            await send(message)

        await self._app(scope, receive, sending)

    def _is_over_tls(self, scope: Scope) -> bool:
        """Directly, or as a proxy says that is trusted."""
        if scope.get("scheme") == "https":
            return True
        peer = scope.get("client")
        address = client_address(peer[0] if peer else None, (), ())
        said = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
        is_trusted = address is not None and any(address in network for network in self._trusted)
        return is_trusted and [one.strip().lower() for one in said] == [b"https"]
