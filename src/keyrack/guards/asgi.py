"""The guard for ASGI: wraps a whole application, of any framework, and decides before it is called.

A handler finds the key in `scope["state"]["key"]`, which is `request.state.key` in Starlette and
FastAPI. A web socket is decided on its handshake.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Unpack

from keyrack.core.http import Response
from keyrack.deciding import Decides
from keyrack.guards.answers import OWN_HEADERS
from keyrack.guards.decision import Decider, Options
from keyrack.guards.key_state import KeyState
from keyrack.guards.paths import is_plainly_encoded
from keyrack.guards.request import read_request
from keyrack.guards.rows import WEBSOCKET, Row
from keyrack.guards.table import Place

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY_VIOLATION = 1008
"""The close code (RFC 6455) of a refused web socket, where the server can send no HTTP response."""

_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_NO_STORE = (b"cache-control", b"no-store")
_OWN_NAMES = frozenset(name.encode() for name in OWN_HEADERS)


class Guard:
    """An application with a guard in front.

    `rows` are the only operations that are served. Without a verifier none that is not open is. For
    `realm`, `respond`, `trusted_proxies` and `ceiling` see keyrack.guards.decision.Options. Raises
    ConfigurationError. Middleware that changes paths stands outside of the guard, or it leads around it.
    """

    def __init__(
        self,
        app: Application,
        verifier: Decides | None,
        rows: Iterable[Row],
        **options: Unpack[Options],
    ):
        self._app = app
        self._decider = Decider(verifier, rows, **options)
        # FastAPI puts its own root_path into the scope after this guard has read it.
        self._root_path: str = getattr(app, "root_path", "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["type"] == "http" else _socket_method(scope)
        path, place = self._locate(method, scope)
        if place is not None and place.is_open:
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        peer = client[0] if client else None
        request = read_request(method, path, scope.get("query_string", b""), scope["headers"], peer)
        # The one place where a decision may go to a thread; that costs ten times the decision.
        decide = self._decider.decide
        waits = self._decider.waits(place, request)
        found = await asyncio.to_thread(decide, place, request) if waits else decide(place, request)
        if isinstance(found, Response):
            await _answer(found, scope, receive, send)
            return
        # A new dict: a server may hand out one and the same to requests that run side by side.
        scope["state"] = {**scope.get("state", {}), "key": found, "request_id": request.id}
        await self._app(
            scope, receive, _adding(found, send) if found.has_passed else _Held(found, scope, send)
        )

    def _locate(self, method: str, scope: Scope) -> tuple[str, Place | None]:
        """The path that frameworks route on, empty if it is written in an odd way, and its place."""
        table = self._decider.table
        path: str = scope["path"]
        raw = scope.get("raw_path")
        # Some servers leave the query in the raw path.
        if raw and b"%" in raw and not is_plainly_encoded(raw.partition(b"?")[0]):
            return "", None
        root = self._root_path or scope.get("root_path", "")
        if root and path.startswith(f"{root}/"):
            return path[len(root) :], table.find_mounted(method, path, root)
        return path, table.find(method, path)


class _Held:
    """Holds back the start of an answer until its body begins: so long a LATER handler may still ask."""

    def __init__(self, key: KeyState, scope: Scope, send: Send):
        self._key = key
        self._scope = scope
        self._send = send
        self._start: Message | None = None
        self._is_replaced = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self._start is not None:
            await self._release(self._start)
        if not self._is_replaced:
            await self._send(message)

    async def _release(self, start: Message) -> None:
        self._start = None
        self._is_replaced = start["status"] < 400 and not self._key.has_passed
        if self._is_replaced:
            await _respond(self._key.unasked(), self._scope, self._send)
        else:
            await self._send(_completed(start, self._key))


def _socket_method(scope: Scope) -> str:
    """The method of a row for a connection that is no request."""
    if scope["type"] != "websocket":
        raise RuntimeError(f"The guard knows no {scope['type']!r} connections, so it lets none through.")
    return WEBSOCKET


def _adding(key: KeyState, send: Send) -> Send:
    def sending(message: Message) -> Awaitable[None]:
        return send(_completed(message, key) if message["type"] in _STARTS else message)

    return sending


def _completed(start: Message, key: KeyState) -> Message:
    """The start of an answer with the guard's headers in place of any that the app gave by those names."""
    headers = [(b"x-request-id", key.request_id.encode())]
    is_cacheable = False
    for pair in start.get("headers", ()):
        is_cacheable |= pair[0] == b"cache-control"
        if pair[0] not in _OWN_NAMES:
            headers.append(pair)
    if not is_cacheable:
        headers.append(_NO_STORE)
    if key.rates:
        headers += [(name.encode(), value.encode()) for name, value in key.limit_headers()]
    start["headers"] = headers
    return start


async def _answer(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await _respond(response, scope, send)
        return
    await receive()
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await _respond(response, scope, send)
    else:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})


async def _respond(response: Response, scope: Scope, send: Send) -> None:
    prefix = "http" if scope["type"] == "http" else "websocket.http"
    headers = [(name.encode(), value.encode("latin-1")) for name, value in response.headers]
    body = b"" if scope.get("method") == "HEAD" else response.body
    await send({"type": f"{prefix}.response.start", "status": response.status, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": body})
