"""What a guard knows of a request before anything is decided, alike for every protocol."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import NamedTuple

Headers = Sequence[tuple[bytes, bytes]]
"""As ASGI gives them: names in lower case, one pair for each line."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


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

    def __repr__(self) -> str:
        return f"<Request {self.id} {self.method}>"


def request_id(headers: Headers) -> str:
    """The client's X-Request-ID if it sent one of 1 to 128 of `A-Za-z0-9._-`, else a new one."""
    given = [value for name, value in headers if name == b"x-request-id"]
    if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]):
        return given[0].decode()
    # Seeded by the system and again after a fork; it has to be unique, not secret, on every request.
    return f"{random.getrandbits(96):024x}"
