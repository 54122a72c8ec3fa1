"""A client of nginx that sends exactly what a test says, odd as it may be."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from http.client import HTTPResponse
from typing import Self

from guards.bed import Answer
from patience import PATIENCE_SECONDS

Headers = Iterable[tuple[str, str]]
TRANSPORT = frozenset({"date", "server", "connection", "keep-alive"})
"""Headers of the connection, which are no part of an answer."""


class Caller:
    """One connection, kept open from request to request."""

    def __init__(self, port: int, *, source: str = "127.0.0.1"):
        address = ("127.0.0.1", port)
        self._socket = socket.create_connection(address, PATIENCE_SECONDS, source_address=(source, 0))

    def ask(self, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Answer:
        """Send one request and read its answer."""
        sized = [("Content-Length", str(len(body)))] if body else []
        self.begin(method, target, [*headers, *sized])
        self.send(body)
        return self.answer(method)

    def begin(self, method: str, target: str, headers: Headers) -> None:
        """Send the head of a request."""
        lines = [
            f"{method} {target} HTTP/1.1",
            "Host: app.test",
            *(f"{name}: {value}" for name, value in headers),
        ]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def send(self, data: bytes) -> None:
        """Send a part of a body."""
        self._socket.sendall(data)

    def answer(self, method: str) -> Answer:
        """Read the answer to the request that was sent."""
        with HTTPResponse(self._socket, method=method) as response:
            response.begin()
            body = response.read()
            headers = [(name.lower(), value) for name, value in response.getheaders()]
            kept = [pair for pair in headers if pair[0] not in TRANSPORT]
            return Answer(response.status, kept, body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def ask(
    port: int,
    method: str = "GET",
    target: str = "/",
    headers: Headers = (),
    *,
    body: bytes = b"",
    source: str = "127.0.0.1",
) -> Answer:
    """One request on a connection of its own."""
    with Caller(port, source=source) as caller:
        return caller.ask(method, target, headers, body)
