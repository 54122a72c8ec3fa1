"""A client that is not the bottleneck: requests built beforehand, on raw keep-alive connections.

It never sleeps while it waits: on one machine the server would pay for waking it, and the slower
server more often. Every answer is looked at: one that is not 200, or not about what was asked, ends
the measurement.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import cycle, islice
from time import perf_counter
from typing import NamedTuple

OK = b"HTTP/1.1 200 OK\r\n"
HOST = "127.0.0.1"
LIMIT_SECONDS = 30.0
AT_LEAST = 10
"""Batches that are waited for, however long they take."""


class WrongAnswer(Exception):
    """An answer that does not count as throughput."""


class Request(NamedTuple):
    """The bytes of a request, and bytes that its answer must hold."""

    data: bytes
    mark: bytes


class Exchange(NamedTuple):
    """A request and the answer that it got once; each further one has the same length."""

    request: Request
    answer: bytes


class Served(NamedTuple):
    """What was answered: how much, in how long, and how long each batch of a connection took."""

    answers: int
    seconds: float
    latencies: Sequence[float]
    """Seconds from the last byte sent to the last one received."""


def probe(port: int, requests: Sequence[Request]) -> list[Exchange]:
    """Send each request once. Raises WrongAnswer."""
    with _connected(port) as connection:
        return [Exchange(request, _answer(connection, request)) for request in requests]


def flood(
    port: int, exchanges: Sequence[Exchange], *, connections: int, depth: int, seconds: float
) -> Served:
    """Keep `depth` requests under way on each connection, for so long."""
    supply = cycle(exchanges)
    latencies: list[float] = []
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(connections):
            line = _Line(stack.enter_context(_connected(port)), list(islice(supply, depth)))
            selector.register(line.connection, selectors.EVENT_READ, line)
            line.send()
        started_at = heard_at = perf_counter()
        while (taken := (now := perf_counter()) - started_at) < seconds or len(latencies) < AT_LEAST:
            if arrived := selector.select(0):
                latencies += _received(arrived)
                heard_at = now
            elif now - heard_at > LIMIT_SECONDS:
                raise WrongAnswer(f"No answer within {LIMIT_SECONDS} s.")
    return Served(len(latencies) * depth, taken, latencies)


class _Line:
    """One connection with a batch of requests that is sent over and over."""

    def __init__(self, connection: socket.socket, batch: Sequence[Exchange]):
        self.connection = connection
        self._batch = batch
        self._data = b"".join(exchange.request.data for exchange in batch)
        self._expected = sum(len(exchange.answer) for exchange in batch)
        self._answers = bytearray()
        self._sent_at = 0.0

    def send(self) -> None:
        self._answers.clear()
        self.connection.sendall(self._data)
        self._sent_at = perf_counter()

    def receive(self) -> float | None:
        """Seconds that the batch took, once all of it is answered; then it is sent again."""
        self._answers += self.connection.recv(1 << 18) or _end()
        if len(self._answers) < self._expected:
            return None
        taken = perf_counter() - self._sent_at
        self._check()
        self.send()
        return taken

    def _check(self) -> None:
        answers, start = bytes(self._answers), 0
        for exchange in self._batch:
            end = start + len(exchange.answer)
            _require_right(answers[start:end], exchange.request)
            start = end
        if start != len(answers):
            raise WrongAnswer("There is more than was asked for.")


def _received(arrived: Iterable[tuple[selectors.SelectorKey, int]]) -> Iterator[float]:
    for key, _ in arrived:
        taken = key.data.receive()
        if taken is not None:
            yield taken


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection((HOST, port), timeout=LIMIT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _answer(connection: socket.socket, request: Request) -> bytes:
    connection.sendall(request.data)
    received = b""
    while (head_end := received.find(b"\r\n\r\n")) < 0:
        received += connection.recv(1 << 16) or _end()
    length = head_end + 4 + _content_length(received[:head_end])
    while len(received) < length:
        received += connection.recv(1 << 16) or _end()
    _require_right(received, request)
    return received


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise WrongAnswer("An answer does not say how long it is.")


def _require_right(answer: bytes, request: Request) -> None:
    if not answer.startswith(OK) or request.mark not in answer:
        raise WrongAnswer(f"{answer[:200]!r} where {request.mark!r} was expected")


def _end() -> bytes:
    raise WrongAnswer("The server closed the connection.")
