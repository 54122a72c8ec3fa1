"""What a guard knows of a request before anything is decided, alike for every protocol."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import NamedTuple

Headers = Sequence[tuple[bytes, bytes]]
"""As ASGI gives them: names in lower case, one pair for each line."""

RELEVANT = frozenset({b"authorization", b"x-api-key", b"x-forwarded-for", b"x-request-id"})
"""The headers that a guard reads."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_MAY_BE_KEY = re.compile(rb"[0-9A-Za-z]{40}")
"""Ids are logged and kept in events. A run this long is in keys, cut short or not, and not in UUIDs."""


class Request(NamedTuple):
    """A request as a guard sees it. Its repr shows no header, since one of them may hold a key."""

    method: str
    path: str
    """Decoded, and relative to where the app is mounted; empty if it is written in an odd way."""
    query: bytes
    headers: Headers
    peer: str | None
    """The host at the other end of the connection."""
    id: str
    relevant: Headers
    """Those of the headers that a guard reads."""

    def __repr__(self) -> str:
        return f"<Request {self.id} {self.method}>"


def read_request(method: str, path: str, query: bytes, headers: Headers, peer: str | None) -> Request:
    """The request that came to a guard; it goes by the client's X-Request-ID if that is a plain one."""
    relevant = [pair for pair in headers if pair[0] in RELEVANT]
    return Request(method, path, query, headers, peer, request_id(relevant), relevant)


def request_id(headers: Headers) -> str:
    """The one X-Request-ID if it is 1 to 128 of `A-Za-z0-9._-` and cannot be a key, else a new one."""
    given = None
    for name, value in headers:
        if name == b"x-request-id":
            given = b"" if given is not None else value
    if given and _REQUEST_ID.fullmatch(given) and not _MAY_BE_KEY.search(given):
        return given.decode()
    # Seeded by the system and again after a fork; it has to be unique, not secret, on every request.
    return f"{random.getrandbits(96):024x}"
