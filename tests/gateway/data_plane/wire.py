"""Requests written byte for byte, and answers read as they come."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterable, Sequence

from gateway_bed import Answered, Served, read

Pairs = Sequence[tuple[str, str]]


def head(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """A request line and headers, exactly so."""
    lines = [f"{method} {target} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode()


def asked(gateway: Served, method: str, target: str, headers: Pairs, body: bytes = b"") -> Answered:
    """One request on a connection of its own."""
    with gateway.connect() as connection:
        connection.sendall(head(method, target, headers) + body)
        return answer(connection, method)


def answer(connection: socket.socket, method: str = "GET") -> Answered:
    """The next answer on a connection."""
    return read(begun(connection, method))


def begun(connection: socket.socket, method: str = "GET") -> http.client.HTTPResponse:
    """The next answer, of which only the head was read."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return response


def chunked(*parts: bytes) -> bytes:
    """A body of unstated length."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))
