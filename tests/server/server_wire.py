"""Requests written byte for byte, since a good client would not send them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Sequence
from http.client import HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from patience import PATIENCE_SECONDS

Headers = Sequence[tuple[str, str | bytes]]


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> tuple[int, str]:
        """Status and code of what must be a whole problem document."""
        assert self.headers["content-type"] == "application/problem+json", self
        document = json.loads(self.body)
        assert document["status"] == self.status
        assert document["request_id"] == self.headers["x-request-id"]
        return self.status, document["code"]


def head(method: str, target: str | bytes, headers: Headers) -> bytes:
    """A request line and headers, exactly so."""
    lines = [method.encode() + b" " + _bytes(target) + b" HTTP/1.1", b"Host: x"]
    lines += [_bytes(name) + b": " + _bytes(value) for name, value in headers]
    return b"\r\n".join([*lines, b"", b""])


def send(url: str, data: bytes | Iterable[bytes]) -> Reply:
    """Send these bytes, as far as the server reads them, and take its answer."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname or "", where.port or 0), PATIENCE_SECONDS) as connection:
        try:
            for part in (data,) if isinstance(data, bytes) else data:
                connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has answered, and closed
        response = HTTPResponse(connection)
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, headers, response.read())


def chunked(body: bytes, size: int = 1000) -> bytes:
    """A body of unstated length."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])


def nested(depth: int) -> str:
    """A JSON text so deep."""
    return '{"a":' * depth + "1" + "}" * depth


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
