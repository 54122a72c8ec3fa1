"""The front of the server: bounds on headers, a request id, the internal listener, one log line a request.

It is the outermost edge as well: a fault becomes a problem document here and a trace in the log.
"""

from __future__ import annotations

import asyncio
import logging
import time

from keyrack.core import http
from keyrack.core.errors import KeyrackError, Unavailable
from keyrack.guards.request import request_id
from keyrack.guards.table import Table
from keyrack.server.failures import InternalError
from keyrack.server.proxy_forms import form_of
from keyrack.server.table import ROWS
from keyrack.server.wire import App, Message, Receive, Scope, Send, answer
from keyrack.settings import Listener

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
INTERNAL_PATHS = frozenset({"/livez", "/readyz", "/metrics"})

log = logging.getLogger("keyrack.requests")


class HeadersTooLarge(KeyrackError):
    """More header fields, or longer ones, than this server reads."""

    status, code, title = 431, "headers_too_large", "Headers too large"

    def __init__(self) -> None:
        super().__init__(f"Send at most {MAX_HEADERS} header fields of 32 KiB together.")


class Front:
    """Stands before everything else; hands quiet paths on without a log line of their own."""

    def __init__(
        self,
        app: App,
        *,
        internal_app: App,
        internal: Listener | None,
        quiet: frozenset[str],
        immediate: frozenset[tuple[bytes, bytes]] = frozenset(),
    ):
        self.immediate = immediate
        """Methods and paths on which the application seldom waits: see keyrack.server.express."""
        self._app = app
        self._internal_app = internal_app
        self._internal_port = None if internal is None else internal.port
        self._quiet = quiet
        self._table = Table(ROWS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["internal"] = self._is_internal(scope)
        path = scope["path"]
        app = self._internal_app if state["internal"] and path in INTERNAL_PATHS else self._app
        if _too_large(scope["headers"]):
            await answer(send, http.failure(HeadersTooLarge(), request_id=request_id(())))
        elif path in self._quiet or form_of(path) is not None:
            await _edged(app, scope, receive, send)
        else:
            _identify(scope)
            await self._logged(app, scope, receive, send)

    async def _logged(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        started_at = time.perf_counter()

        async def noticing(message: Message) -> None:
            if "status" in message:
                scope["state"]["status"] = message["status"]
            await send(message)

        await _edged(app, scope, receive, noticing)
        caller = scope["state"].get("key")
        line = {
            "request_id": scope["state"]["request_id"],
            "operation": scope["state"].get("operation") or self._operation(scope),
            "status": scope["state"].get("status"),
            "milliseconds": round((time.perf_counter() - started_at) * 1000, 1),
            "key_id": None if caller is None else caller.key.id,
        }
        theirs = scope["state"]["client_request_id"]
        if theirs not in (None, line["request_id"]):
            line["client_request_id"] = theirs
        log.info("request", extra=line)

    def _operation(self, scope: Scope) -> str | None:
        """The row and never the path: somebody will put a key where its id belongs."""
        place = self._table.find(scope["method"], scope["path"])
        return None if place is None else place.operation

    def _is_internal(self, scope: Scope) -> bool:
        server = scope.get("server")
        return self._internal_port is not None and server is not None and server[1] == self._internal_port


async def _edged(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await app(scope, receive, send)
    except asyncio.CancelledError:  # only at the end: the server waits no longer for this answer
        await _give_up(scope, send, Unavailable("This server is stopping."))
    except Exception:  # the outermost edge: whatever a client sent, it gets an answer that says nothing of us
        log.exception("a request failed", extra={"request_id": _known_id(scope)})
        await _give_up(scope, send, InternalError())


async def _give_up(scope: Scope, send: Send, error: KeyrackError) -> None:
    # Quiet paths have no status here: they answer at once or not at all.
    if "status" not in scope["state"]:
        await answer(send, http.failure(error, request_id=_known_id(scope)))


def _known_id(scope: Scope) -> str:
    return scope["state"].get("request_id") or request_id(scope["headers"])


def _identify(scope: Scope) -> None:
    """Give the request the one id that guard, routes and log will use."""
    found = request_id(scope["headers"])
    is_theirs = (b"x-request-id", found.encode()) in scope["headers"]
    others = [pair for pair in scope["headers"] if pair[0] != b"x-request-id"]
    scope["headers"] = [*others, (b"x-request-id", found.encode())]
    scope["state"].update(request_id=found, client_request_id=found if is_theirs else None)


def _too_large(headers: list[tuple[bytes, bytes]]) -> bool:
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
    return size > MAX_HEADER_BYTES or len(headers) > MAX_HEADERS
