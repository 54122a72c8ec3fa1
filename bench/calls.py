"""A client for answers whose headers differ in length: one request under way on each connection.

Like bench.load it never sleeps while it waits, and looks at every answer.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import perf_counter

from bench.load import AT_LEAST, HOST, LIMIT_SECONDS, OK, Request, Served, WrongAnswer

LAST_CHUNK = b"\r\n0\r\n\r\n"


class _Line:
    """One connection that asks the same thing over and over."""

    def __init__(self, connection: socket.socket, request: Request):
        self.connection = connection
        self._request = request
        self._answer = bytearray()
        self._sent_at = 0.0

    def send(self) -> None:
        self._answer.clear()
        self.connection.sendall(self._request.data)
        self._sent_at = perf_counter()

    def receive(self) -> float | None:
        """Seconds that the answer took, once all of it is here; then the question is sent again."""
        self._answer += _received(self.connection)
        if not self._answer.endswith((self._request.mark, self._request.mark + LAST_CHUNK)):
            return None
        taken = perf_counter() - self._sent_at
        if not self._answer.startswith(OK):
            raise WrongAnswer(f"{bytes(self._answer[:300])!r}")
        self.send()
        return taken


def call(port: int, request: Request, *, connections: int, seconds: float) -> Served:
    """Keep one request under way on each connection, for so long; `mark` is how its answer ends."""
    latencies: list[float] = []
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(connections):
            line = _Line(stack.enter_context(_connected(port)), request)
            selector.register(line.connection, selectors.EVENT_READ, line)
            line.send()
        started_at = heard_at = perf_counter()
        while (now := perf_counter()) - started_at < seconds or len(latencies) < AT_LEAST:
            arrived = selector.select(0)
            heard_at = now if arrived else heard_at
            latencies += [taken for key, _ in arrived if (taken := key.data.receive()) is not None]
            _require_news(now - heard_at)
        return Served(len(latencies), perf_counter() - started_at, latencies)


def first_bytes(port: int, request: Request, *, count: int) -> list[float]:
    """Seconds from a question to the first byte of its answer's body, each on a connection of its own."""
    return [_first_byte(port, request) for _ in range(count)]


@contextmanager
def open_streams(port: int, request: Request, *, count: int) -> Iterator[Sequence[socket.socket]]:
    """So many answers that have begun and do not end."""
    with ExitStack() as stack:
        connections = [stack.enter_context(_connected(port)) for _ in range(count)]
        for connection in connections:
            connection.sendall(request.data)
        for connection in connections:
            _read_until(connection, request.mark)
        yield connections


def _first_byte(port: int, request: Request) -> float:
    with _connected(port) as connection:
        sent_at = perf_counter()
        connection.sendall(request.data)
        _read_until(connection, request.mark)
        return perf_counter() - sent_at


def _read_until(connection: socket.socket, mark: bytes) -> None:
    answer = b""
    while mark not in answer:
        answer += _received(connection)
    if not answer.startswith(OK):
        raise WrongAnswer(f"{answer[:300]!r}")


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise WrongAnswer("The server closed the connection.")
    return data


def _require_news(quiet_seconds: float) -> None:
    if quiet_seconds > LIMIT_SECONDS:
        raise WrongAnswer(f"No answer within {LIMIT_SECONDS} s.")


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection((HOST, port), timeout=LIMIT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
