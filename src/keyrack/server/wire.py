"""ASGI messages in and out, for the parts of the server that stand in front of the framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from keyrack.core.errors import PayloadTooLarge, UnsupportedMediaType
from keyrack.core.http import Headers, Response, values

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Encoded = list[tuple[bytes, bytes]]
"""Headers of a response as they are sent."""
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 64 * 1024
JSON = b"application/json"


class Disconnected(Exception):  # an event, not an error
    """The client went away before its request was whole; there is nobody to answer."""


async def read_body(receive: Receive) -> bytes:
    """The whole body. Raises PayloadTooLarge without reading on, and Disconnected."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return _within(body)
    parts, size = [body], len(body)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise _too_large()
    return b"".join(parts)


def require_json(headers: Headers) -> None:
    """Refuse a body that does not say that it is JSON."""
    for value in values(headers, b"content-type"):
        if value == JSON or value.split(b";", 1)[0].strip().lower() == JSON:
            return
    raise UnsupportedMediaType("Send the body as application/json.")


async def answer(send: Send, response: Response) -> None:
    """Send a whole response."""
    headers = [pair for pair in response.headers if pair[0] != "content-length"]
    await answer_encoded(send, response.status, encoded(headers), response.body)


async def answer_encoded(send: Send, status: int, headers: Encoded, body: bytes) -> None:
    """Send a whole response; its length is added to the headers."""
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def encoded(headers: Iterable[tuple[str, str]]) -> Encoded:
    """Headers as they are sent."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _within(body: bytes) -> bytes:
    if len(body) > MAX_BODY:
        raise _too_large()
    return body


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge(f"Send at most {MAX_BODY // 1024} KiB.")
