"""Passes an upstream's answer on as it comes, searched for the key that was sent (UG-44).

Nothing is held but what could be the beginning of that key. What must not pass once the answer has begun
ends the connection, so that nobody takes what came for the whole.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import aiohttp

from keyrack.core.http import by_name, values
from keyrack.core.upstream import Api
from keyrack.gateway.echo import EchoScanner
from keyrack.gateway.exchange import Answered
from keyrack.gateway.headers import passed_headers
from keyrack.gateway.metering import UsageMeter
from keyrack.gateway.refusals import Refused
from keyrack.gateway.settlement import Settlement
from keyrack.guards.asgi import Send

UNAUTHORIZED = 401
_BODILESS = frozenset({204, 304})
_PLAIN = frozenset({b"", b"identity"})
Pairs = Sequence[tuple[bytes, bytes]]


class Cut(Exception):  # an event, not an error
    """The answer cannot be completed."""


class Relay:
    """One answer on its way."""

    def __init__(self, answered: Answered, api: Api, settlement: Settlement):
        self._response = answered.response
        self._api = api
        self._settlement = settlement
        self._key_header = None if answered.injection is None else answered.injection.header
        self._scanner = None if answered.injection is None else EchoScanner(answered.injection.key)
        self._lines = [(name.lower(), value) for name, value in answered.response.raw_headers]
        self._named = by_name(self._lines)
        self._headers: list[tuple[bytes, bytes]] = []
        self._first = b""
        content_type = b", ".join(values(self._named, b"content-type")).decode("latin-1")
        self.meter = UsageMeter(api.usage_pointers, content_type)

    @property
    def has_echoed(self) -> bool:
        """Whether the upstream sent its key back."""
        return self._scanner is not None and self._scanner.has_found

    def refusal(self) -> Refused | None:
        """Why nothing of this may pass; None when it may begin. Looks at what of it is there already."""
        if self._response.status == UNAUTHORIZED:
            return Refused.UPSTREAM_REFUSED_KEY
        if not 200 <= self._response.status <= 599 or self._is_unreadable():
            return Refused.UPSTREAM_UNREACHABLE
        self._headers = self._passed()
        if self._scanner is not None and self._scanner.look(value for _, value in self._headers):
            return Refused.UPSTREAM_ECHOED_KEY
        try:
            self._first = self._passable(self._response.content.read_nowait())
        except (aiohttp.ClientError, OSError):
            return Refused.UPSTREAM_UNREACHABLE
        return Refused.UPSTREAM_ECHOED_KEY if self.has_echoed else None

    async def pass_on(self, send: Send, headers: Pairs, ended: Callable[[], Awaitable[None]]) -> None:
        """Send it all, with these headers beside its own; `ended` is awaited before the last of it is sent.

        Raises Cut when it cannot be completed.
        """
        start = [*self._headers, *headers]
        await send({"type": "http.response.start", "status": self._response.status, "headers": start})
        chunk = self._first
        while not self._response.content.at_eof():
            if chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = self._passable(await self._next())
            if self.has_echoed or not self._settlement.stands:
                raise Cut
        if self._scanner is not None:
            chunk += self._scanner.finish()
        await ended()
        await send({"type": "http.response.body", "body": chunk})

    async def _next(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError):  # TimeoutError is one
            raise Cut from None

    def _passable(self, chunk: bytes) -> bytes:
        self.meter.count(chunk)
        return chunk if self._scanner is None else self._scanner.feed(chunk)

    def _passed(self) -> list[tuple[bytes, bytes]]:
        """The upstream's headers that pass, and what says how long the body is and how it is written."""
        passed = passed_headers(self._lines, self._api, self._key_header)
        is_measured = self._response.status not in _BODILESS and not values(self._named, b"transfer-encoding")
        passed += [
            (b"content-length", value) for value in values(self._named, b"content-length") if is_measured
        ]
        if self._scanner is None:
            passed += [(b"content-encoding", value) for value in values(self._named, b"content-encoding")]
        if all(name != b"cache-control" for name, _ in passed):
            passed.append((b"cache-control", b"no-store"))
        return passed

    def _is_unreadable(self) -> bool:
        """Whether it comes in a form in which a key in it could not be seen."""
        transfers = values(self._named, b"transfer-encoding")
        encodings = () if self._scanner is None else values(self._named, b"content-encoding")
        return any(one.lower() != b"chunked" for one in transfers) or not _PLAIN.issuperset(encodings)
