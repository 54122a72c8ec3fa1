"""Uvicorn's HTTP protocol, with an end to what it reads before a request begins, and to how long it waits.

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
HEAD_SECONDS = 30.0
"""From the start of a connection, or of a request, until its headers have ended."""
SILENT_SECONDS = 60.0
"""How long a body may pause while somebody waits for it."""


class RequestTimeout(KeyrackError):
    """A request whose headers or whose body did not come."""

    status, code, title = 408, "request_timeout", "Request timeout"

    def __init__(self) -> None:
        super().__init__("The rest of this request did not come in time. Send it again, whole.")


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._unused_bytes = 0
        self._is_in_head = True
        self._is_unfinished = True
        self._heard_at: float | None = None
        self._patience: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_unfinished = False
        self._watch()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._unused_bytes = 0
        self._is_in_head = self._is_unfinished = True
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
        self.end_message()
        super().on_message_complete()

    def end_message(self) -> None:
        """All of the request is here."""
        self._unused_bytes = 0
        self._is_unfinished = False

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._unused_bytes += len(data)
        self._heard_at = self.loop.time()
        super().data_received(data)
        if self._unused_bytes > MAX_HEAD_BYTES:
            self.refuse(HeadersTooLarge())
        self._watch()

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

    def _watch(self) -> None:
        """Give a request that is not whole its time, and no other."""
        if self._is_unfinished and self._patience is None:
            self._patience = self.loop.call_later(HEAD_SECONDS, self._lose_patience)
        elif not self._is_unfinished and self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        self._patience = None
        left = self._patience_left()
        if left > 0:
            self._patience = self.loop.call_later(left, self._lose_patience)
        elif self._heard_at is None or self._has_begun_to_answer():
            self.transport.close()
        else:
            self.refuse(RequestTimeout())

    def _patience_left(self) -> float:
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if self.flow.read_paused or (self._is_in_head and is_answering):
            return SILENT_SECONDS  # it is we who do not read, or who have not answered what came before
        if self._is_in_head or self._heard_at is None:
            return 0.0
        return self._heard_at + SILENT_SECONDS - self.loop.time()

    def _has_begun_to_answer(self) -> bool:
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
