"""Requests that are answered where they are read: without a task, and without a turn of the event loop.

An application names as `immediate` what it answers without ever waiting. Such a request is taken here if
all of it has come, and nothing before it on its connection is still being answered. Any other goes
Uvicorn's way, to the same application, and gets the same answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from keyrack.server.failures import InternalError
from keyrack.server.protocol import BoundedProtocol
from keyrack.server.wire import Message

_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})
"""What must not stand in a header, and stands twice at the end of each line."""

log = logging.getLogger("keyrack.server")


class Exchange:
    """A request that is here, and its answer, as an ASGI application receives and sends them."""

    __slots__ = ("_message", "body", "start")

    def __init__(self, body: bytes):
        self._message: Message = {"type": "http.request", "body": body, "more_body": False}
        self.start: Message = {}
        self.body = b""

    async def receive(self) -> Message:
        """The whole request body."""
        return self._message

    async def send(self, message: Message) -> None:
        """Take the start of the answer, and then the whole of its body."""
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.body = message["body"]

    def written(self) -> bytes:
        """The answer as HTTP/1.1. Raises RuntimeError for none, and for one that would be read as two."""
        if not self.start:
            raise RuntimeError("the application sent no answer")
        lines = [STATUS_LINE[self.start["status"]]]
        for name, value in self.start["headers"]:
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n")
        head = b"".join(lines)
        if len(head) - len(head.translate(None, _CONTROLS)) != 2 * (len(self.start["headers"]) + 2):
            raise RuntimeError("a header of the answer holds a control character")
        return head + self.body


class ExpressProtocol(BoundedProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._immediate: frozenset[tuple[bytes, bytes]] = getattr(self.app, "immediate", frozenset())
        self._held: bytearray | None = None
        """The body so far of a request that may be answered here."""
        self._has_answered = False
        super().connection_made(transport)

    def on_headers_complete(self) -> None:
        path, _, query = self.url.partition(b"?")
        if not self._may_answer(path, query):
            super().on_headers_complete()
            return
        self.end_head()
        self._held = bytearray()
        self.scope["method"] = self.parser.get_method().decode()
        self.scope["path"] = path.decode()
        self.scope["raw_path"] = path
        self.scope["query_string"] = query

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
        else:
            self._held += body

    def on_message_complete(self) -> None:
        if self._held is None:
            super().on_message_complete()
        else:
            body, self._held = bytes(self._held), None
            self._answer(body)

    def data_received(self, data: bytes) -> None:
        self._has_answered = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._held is not None:
            self._let_go()
        elif self._has_answered and self._is_idle():
            self._await_next()

    def _may_answer(self, path: bytes, query: bytes) -> bool:
        parser = self.parser
        return (
            (parser.get_method(), path) in self._immediate
            and b"#" not in query
            and self._is_idle()
            and not self.flow.write_paused
            and not self.expect_100_continue
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
        )

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _answer(self, body: bytes) -> None:
        if self.transport.is_closing():
            return
        exchange = Exchange(body)
        try:
            _finish(self.app(self.scope, exchange.receive, exchange.send))
            answer = exchange.written()
        except Exception:  # the parser above would blame the client for a fault of ours
            log.exception("a request failed")
            self.refuse(InternalError())
        else:
            self.transport.write(answer)
            self.server_state.total_requests += 1
            self._has_answered = True

    def _let_go(self) -> None:
        """Leave to Uvicorn what has not come whole."""
        body, self._held = self._held, None
        super().on_headers_complete()
        if body:
            super().on_body(bytes(body))

    def _await_next(self) -> None:
        # As after any other answer: whoever asks nothing more for a while is hung up on.
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )


def _finish(running: Coroutine[object, object, None]) -> None:
    """Run what never waits. Raises RuntimeError if it does, and what it raises."""
    try:
        running.send(None)
    except StopIteration:
        return
    running.close()
    raise RuntimeError("the application waited on a path that it calls immediate")
