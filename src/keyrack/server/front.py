"""The front of the server: bounds on headers, a request id, the internal listener, one log line a request."""

from __future__ import annotations

import logging
import time

from keyrack.core import http
from keyrack.core.errors import KeyrackError
from keyrack.guards.request import request_id
from keyrack.server.logs import request_line
from keyrack.server.wire import App, Message, Receive, Scope, Send, answer
from keyrack.settings import Listener

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
INTERNAL_PATHS = frozenset({"/livez", "/readyz", "/metrics"})

log = logging.getLogger("keyrack.requests")


class HeadersTooLarge(KeyrackError):
    """More header fields, or longer ones, than this server reads."""

    status, code, title = 431, "headers_too_large", "Headers too large"


class Front:
    """Stands before everything else; hands hot paths on without a log line of their own."""

    def __init__(self, app: App, *, internal_app: App, internal: Listener | None, quiet: frozenset[str]):
        self._app = app
        self._internal_app = internal_app
        self._internal_port = None if internal is None else internal.port
        self._quiet = quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        if _too_large(scope["headers"]):
            error = HeadersTooLarge(f"Send at most {MAX_HEADERS} header fields of 32 KiB together.")
            await answer(send, http.failure(error, request_id=""))
            return
        state["internal"] = self._is_internal(scope)
        path = scope["path"]
        app = self._internal_app if state["internal"] and path in INTERNAL_PATHS else self._app
        if path in self._quiet:
            await app(scope, receive, send)
        else:
            _identify(scope)
            await _logged(app, scope, receive, send)

    def _is_internal(self, scope: Scope) -> bool:
        server = scope.get("server")
        return self._internal_port is not None and server is not None and server[1] == self._internal_port


def _identify(scope: Scope) -> None:
    """Give the request the one id that guard, routes and log will use."""
    found = request_id(scope["headers"])
    others = [pair for pair in scope["headers"] if pair[0] != b"x-request-id"]
    scope["headers"] = [*others, (b"x-request-id", found.encode())]
    scope["state"]["request_id"] = found


def _too_large(headers: list[tuple[bytes, bytes]]) -> bool:
    if len(headers) > MAX_HEADERS:
        return True
    return sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES


async def _logged(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    started_at, status = time.perf_counter(), 0

    async def noticing(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        await send(message)

    try:
        await app(scope, receive, noticing)
    finally:
        milliseconds = (time.perf_counter() - started_at) * 1000
        log.info("request", extra=request_line(scope, status, milliseconds))
