"""Reads requests to the management API before the framework does, so that each has one meaning or none.

Bodies are bounded, declared and strict JSON; what may stand once stands once.
"""

from __future__ import annotations

from collections import Counter
from urllib.parse import parse_qsl

from keyrack.core import http
from keyrack.core.errors import InvalidRequest, KeyrackError
from keyrack.core.strict_json import read
from keyrack.server.wire import (
    App,
    Disconnected,
    Message,
    Receive,
    Scope,
    Send,
    answer,
    read_body,
    require_json,
)

_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
_ONCE = (b"content-type", b"if-match", b"idempotency-key")


class StrictRequests:
    """Wraps an application that takes JSON; what is too large, undeclared or ambiguous never reaches it."""

    def __init__(self, app: App):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            scope, receive = await _checked(scope, receive)
        except Disconnected:
            return
        except KeyrackError as error:
            await answer(send, http.failure(error, request_id=scope["state"]["request_id"]))
            return
        await self._app(scope, receive, send)


async def _checked(scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
    _require_once(scope)
    if scope["method"] == "HEAD":
        # The framework has no HEAD; the server in front of it leaves the body out.
        return {**scope, "method": "GET"}, receive
    if scope["method"] in _WITHOUT_BODY:
        return scope, receive
    body = await read_body(receive)
    if body:
        require_json(scope["headers"])
        read(body)
    scope["state"]["body"] = body
    return scope, _replay(body, receive)


def _require_once(scope: Scope) -> None:
    """Refuse a parameter or header that stands twice: two readers would take different ones."""
    headers = [name for name, _ in scope["headers"] if name in _ONCE]
    if len(set(headers)) != len(headers):
        raise InvalidRequest("Send Content-Type, If-Match and Idempotency-Key once at most.")
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    if any(count > 1 for count in Counter(name for name, _ in query).values()):
        raise InvalidRequest("Send each query parameter once at most.")


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed
