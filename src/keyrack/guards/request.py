"""What a guard knows of a request before anything is decided, alike for every protocol."""

from __future__ import annotations

import random
import re
from typing import NamedTuple

from keyrack.core.http import Headers, Lines, Presented, by_name, extract, values

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_MAY_BE_KEY = re.compile(rb"[0-9A-Za-z]{40}")
"""Ids are logged and kept in events. A run this long is in keys, cut short or not, and not in UUIDs."""


class Request(NamedTuple):
    """A request as a guard sees it. Its repr shows no header, since one of them may hold a key."""

    method: str
    path: str
    """Decoded, and relative to where the app is mounted; empty if it is written in an odd way."""
    query: bytes
    headers: Lines
    peer: str | None
    """The host at the other end of the connection."""
    id: str
    named: Headers
    """The headers in the form that is quickest to read."""
    presented: Presented
    """The one credential among them."""

    def __repr__(self) -> str:
        return f"<Request {self.id} {self.method}>"


def read_request(method: str, path: str, query: bytes, headers: Lines, peer: str | None) -> Request:
    """The request that came to a guard; it goes by the client's X-Request-ID if that is a plain one."""
    named = by_name(headers)
    return Request(method, path, query, headers, peer, request_id(named), named, extract(named))


def request_id(headers: Headers) -> str:
    """The one X-Request-ID if it is 1 to 128 of `A-Za-z0-9._-` and cannot be a key, else a new one."""
    given = values(headers, b"x-request-id")
    if given and len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) and not _MAY_BE_KEY.search(given[0]):
        return given[0].decode()
    # Seeded by the system and again after a fork; it has to be unique, not secret, on every request.
    return f"{random.getrandbits(96):024x}"
