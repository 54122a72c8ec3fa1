"""Uvicorn's HTTP protocol, with an end to what it reads, and no answer that could be taken for another one.

What is no HTTP at all is answered with a problem document like everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from http import HTTPStatus

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from keyrack.core import http
from keyrack.core.errors import InvalidRequest, KeyrackError
from keyrack.guards.request import request_id
from keyrack.server.front import MAX_HEADER_BYTES, HeadersTooLarge

MAX_HEAD_BYTES = 2 * MAX_HEADER_BYTES
"""Of a request line and headers that have not ended, or of what stands between the parts of a body and after
them; the front counts headers that have ended."""
MAX_WAITING = 16
"""Requests that wait for their turn on one connection, from which on no more is read."""
_FRAMED = (b"content-length", b"transfer-encoding")


class _Flow(FlowControl):
    """Reads on only while few requests wait. Uvicorn would after each answer."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized):
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if len(self._waiting) < MAX_WAITING:
            super().resume_reading()


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._unused_bytes = 0
        self._is_in_head = True
        self._has_cycle = False
        """Whether `cycle` is that of the request that is being read, and not of one before it."""
        self._answering: RequestResponseCycle | None = None
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)

    def connection_lost(self, exc: Exception | None) -> None:
        answering = self._answering
        super().connection_lost(exc)
        # Uvicorn tells the newest request alone, and it is the oldest one that somebody works on.
        if answering is not None and not answering.response_complete:
            answering.disconnected = True
            answering.message_event.set()

    def on_message_begin(self) -> None:
        self._unused_bytes = 0
        self._is_in_head = True
        self._has_cycle = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser gives trailers in the same way. A proxy in front has judged the headers and not these,
        # so none of them counts as one, least of all as a credential.
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.end_head()
        is_upgrade = self.parser.should_upgrade()
        if is_upgrade and any(name in _FRAMED for name, _ in self.headers):
            # The parser would take the body for the next request.
            self.refuse(
                InvalidRequest("Send a request with a body without Upgrade: nothing else is spoken here.")
            )
        if self.transport.is_closing():
            return
        super().on_headers_complete()
        self._has_cycle = True
        if not self.pipeline:
            self._answering = self.cycle
        if is_upgrade:
            # It takes what follows in the same read for another protocol, and drops it.
            self.cycle.keep_alive = False

    def end_head(self) -> None:
        """From here on there is a request, whose body is bounded elsewhere."""
        self._unused_bytes = 0
        self._is_in_head = False

    def on_body(self, body: bytes) -> None:
        self._unused_bytes = 0
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self.end_message()
        if not self.transport.is_closing():
            super().on_message_complete()

    def end_message(self) -> None:
        """All of the request is here."""
        self._unused_bytes = 0

    def on_response_complete(self) -> None:
        self._answering = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._unused_bytes += len(data)
        super().data_received(data)
        if self._unused_bytes > MAX_HEAD_BYTES:
            self.refuse(HeadersTooLarge())

    def send_400_response(self, msg: str) -> None:
        self.refuse(InvalidRequest("This is not HTTP."))

    def refuse(self, error: KeyrackError) -> None:
        """Answer what is being read, and close. Where it is another's turn to be answered, only close."""
        if self.transport.is_closing():
            return
        if self._is_next():
            response = http.failure(error, request_id=request_id(()))
            head = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
            head += [f"{name}: {value}" for name, value in response.headers]
            head += [f"content-length: {len(response.body)}", "connection: close", "", ""]
            self.transport.write("\r\n".join(head).encode("latin-1") + response.body)
        self.transport.close()

    def is_idle(self) -> bool:
        """Whether every request so far was answered."""
        return self.cycle is None or self.cycle.response_complete

    def _is_next(self) -> bool:
        """Whether the next answer is that of what is being read."""
        if self._has_cycle:
            return not self.pipeline and not self.cycle.response_started
        return self.is_idle()
