"""Reads the bodies of the management API before the framework does: bounded, declared, strict JSON."""

from __future__ import annotations

from keyrack.core import http
from keyrack.core.errors import KeyrackError
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


class StrictBodies:
    """Wraps an application that takes JSON; what is too large, undeclared or ambiguous never reaches it."""

    def __init__(self, app: App):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _WITHOUT_BODY:
            await self._app(scope, receive, send)
            return
        try:
            body = await _checked_body(scope, receive)
        except Disconnected:
            return
        except KeyrackError as error:
            request_id = scope["state"]["request_id"]
            await answer(send, http.failure(error, request_id=request_id))
            return
        scope["state"]["body"] = body
        await self._app(scope, _replay(body, receive), send)


async def _checked_body(scope: Scope, receive: Receive) -> bytes:
    body = await read_body(receive)
    if body:
        require_json(scope["headers"])
        read(body)
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed
