"""Requests that are answered where they are read: without a task, and without a turn of the event loop.

An application names as `immediate` what it mostly answers without waiting. Such a request is taken here if
all of it has come, and nothing before it on its connection is still being answered. Any other goes
Uvicorn's way, to the same application, and gets the same answer; so does one that has to wait after all,
from where it waits.
"""

from __future__ import annotations

import asyncio
import logging
import types
from collections.abc import Coroutine, Generator
from functools import partial

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from keyrack.server.failures import InternalError
from keyrack.server.patience import PatientProtocol
from keyrack.server.wire import Message, Receive, Scope, Send

_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})
"""What must not stand in a header, and stands twice at the end of each line."""

MAX_URL_BYTES = 65_535
"""What Uvicorn's parser reads of one; it refuses a longer one."""

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


class Begun:
    """A call of an application, run until it waits or is over. Raises what it raises."""

    def __init__(self, running: Coroutine[object, object, None], exchange: Exchange):
        self._running = running
        self._exchange = exchange
        self._awaited: object = None
        self.is_over = False
        try:
            self._awaited = running.send(None)
        except StopIteration:
            self.is_over = True

    async def go_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for what it waits for, and send its answer. It is the application of Uvicorn's own task."""
        await self._rest()
        await send(self._exchange.start)
        await send({"type": "http.response.body", "body": self._exchange.body})

    @types.coroutine
    def _rest(self) -> Generator[object, None, None]:
        awaited = self._awaited
        while True:
            try:
                yield awaited
            except GeneratorExit:
                self._running.close()
                raise
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is the application's to handle
                step = partial(self._running.throw, error)
            else:
                step = partial(self._running.send, None)
            try:
                awaited = step()
            except StopIteration:
                return


class ExpressProtocol(PatientProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._immediate: frozenset[tuple[bytes, bytes]] = getattr(self.app, "immediate", frozenset())
        self._held: bytearray | None = None
        """The body so far of a request that may be answered here."""
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
            self.end_message()
            self._answer(body)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._held is not None:
            body, self._held = bytes(self._held), None
            self._let_go(body)

    def _may_answer(self, path: bytes, query: bytes) -> bool:
        parser = self.parser
        return (
            (parser.get_method(), path) in self._immediate
            and b"#" not in query
            and len(self.url) <= MAX_URL_BYTES
            and self.is_idle()
            and not self.flow.write_paused
            and not self.expect_100_continue
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
        )

    def _answer(self, body: bytes) -> None:
        if self.transport.is_closing():
            return
        exchange = Exchange(body)
        try:
            begun = Begun(self.app(self.scope, exchange.receive, exchange.send), exchange)
            answer = exchange.written() if begun.is_over else None
        except Exception:  # the parser above would blame the client for a fault of ours
            log.exception("a request failed")
            self.refuse(InternalError())
            return
        if answer is None:
            self._let_go(body, begun)
            super().on_message_complete()
        else:
            self.transport.write(answer)
            self.server_state.total_requests += 1

    def _let_go(self, body: bytes, begun: Begun | None = None) -> None:
        """Leave to Uvicorn what has not come whole, or what has begun to answer and waits."""
        app = self.app
        if begun is not None:
            self.app = begun.go_on
        try:
            super().on_headers_complete()
        finally:
            self.app = app
        if body:
            super().on_body(body)
