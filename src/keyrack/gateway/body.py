"""The body of one request to the gateway: passed on as it comes, and kept while it may be sent again.

At most 1 MiB is kept. Nothing is read before somebody is there to take it, so a client can send no faster
than its upstream reads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable

from keyrack.core.http import Headers, values
from keyrack.guards.asgi import Receive

MAX_REPLAYED = 1024 * 1024


class ClientGone(Exception):  # an event, not an error
    """Whoever sent the request has left."""


class BodyTooLong(Exception):  # an event, not an error
    """More was sent than the user may send."""


class RequestBody:
    """Read from `receive`, which nobody else reads until it `is_whole`."""

    def __init__(self, headers: Headers, receive: Receive):
        self._receive = receive
        self.stated = _stated(headers)
        """The length that the client stated, if it did."""
        is_chunked = bool(values(headers, b"transfer-encoding"))
        self.is_whole = self.stated == 0 or (self.stated is None and not is_chunked)
        self.size = 0
        """Bytes read by now."""
        self.most: int | None = None
        """How long it may be; None is any length."""
        self.is_gone = False
        """Whether the client left before it was whole."""
        self._kept: deque[bytes] | None = deque()
        self.on_gone: Callable[[], None] = _nothing
        """Called once the client has left before it was whole."""
        self.on_wait: Callable[[], None] = _nothing
        """Called whenever the client is waited for …"""
        self.on_send: Callable[[], None] = _nothing
        """… and whenever something is given on."""

    @property
    def is_too_long(self) -> bool:
        """Whether more came than may be sent."""
        return self.most is not None and self.size > self.most

    @property
    def is_replayable(self) -> bool:
        """Whether all that was read is still there to be sent again."""
        return self._kept is not None

    @property
    def is_empty(self) -> bool:
        """Whether there is none."""
        return self.is_whole and self.size == 0

    def require_sound(self) -> None:
        """Raise what ended it, if something did: ClientGone, BodyTooLong."""
        if self.is_gone:
            raise ClientGone
        if self.is_too_long:
            raise BodyTooLong

    async def small(self) -> bytes | None:
        """The whole body if it came at once, as most do; else None, and it is to be iterated."""
        if not self.is_whole and self.size == 0:
            await self._read()
        whole = self.is_whole and self._kept is not None and len(self._kept) <= 1
        return b"".join(self._kept or ()) if whole else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """From its beginning, whether for the first time or again."""
        if self._kept is None:
            raise RuntimeError("A body that was not kept cannot be sent again.")
        for chunk in tuple(self._kept):
            self.on_send()
            yield chunk
        while not self.is_whole:
            self.on_wait()
            chunk = await self._read()
            self.on_send()
            if chunk:  # an empty one would end a chunked body
                yield chunk

    async def _read(self) -> bytes:
        """The next bytes. Raises ClientGone, BodyTooLong."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.is_gone = True
            self.on_gone()
            self.require_sound()
        chunk: bytes = message.get("body", b"")
        self.is_whole = not message.get("more_body", False)
        self.size += len(chunk)
        self._keep(chunk)
        self.require_sound()
        return chunk

    def _keep(self, chunk: bytes) -> None:
        if self._kept is None or not chunk:
            return
        if self.size > MAX_REPLAYED:
            self._kept = None
        else:
            self._kept.append(chunk)


def _stated(headers: Headers) -> int | None:
    """What Content-Length says; the server has refused what contradicts itself."""
    given = values(headers, b"content-length")
    return int(given[0]) if len(given) == 1 and given[0].isdigit() else None


def _nothing() -> None:
    pass
