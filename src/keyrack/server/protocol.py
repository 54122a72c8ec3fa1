"""Uvicorn's HTTP protocol, with an end to what it reads before a request begins.

What is no HTTP at all is answered with a problem document like everything else.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keyrack.core import http
from keyrack.core.errors import InvalidRequest, KeyrackError
from keyrack.guards.request import request_id
from keyrack.server.front import MAX_HEADER_BYTES, HeadersTooLarge

MAX_HEAD_BYTES = 2 * MAX_HEADER_BYTES
"""Of a request line and headers that have not ended, or of what stands between the parts of a body and after
them; the front counts headers that have ended."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._unused_bytes = 0
        self._is_in_head = True
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        self._unused_bytes = 0
        self._is_in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser gives trailers in the same way. A proxy in front has judged the headers and not these,
        # so none of them counts as one, least of all as a credential.
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.end_head()
        super().on_headers_complete()

    def end_head(self) -> None:
        """From here on there is a request, whose body is bounded elsewhere."""
        self._unused_bytes = 0
        self._is_in_head = False

    def on_body(self, body: bytes) -> None:
        self._unused_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unused_bytes = 0
        super().on_message_complete()

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
        """Answer and close, whatever else is being sent."""
        response = http.failure(error, request_id=request_id(()))
        head = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
        head += [f"{name}: {value}" for name, value in response.headers]
        head += [f"content-length: {len(response.body)}", "connection: close", "", ""]
        self.transport.write("\r\n".join(head).encode("latin-1") + response.body)
        self.transport.close()
