"""Which headers pass, in both directions: what is allowed, and never what names or carries a credential.

Names that differ only in letter case or in other characters than letters and digits count as one: some
readers behind us take `X_API_Key` for `X-API-Key`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from keyrack.core.http import CREDENTIAL_HEADERS, Lines, values
from keyrack.core.upstream import Api
from keyrack.guards.answers import OWN_HEADERS

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)
"""About one connection and not about the message (RFC 9110, 7.6.1), and those of older days."""
_FRAMING = frozenset({"host", "content-length", "expect", "accept-encoding", "content-encoding"})
_CREDENTIALS = frozenset(
    {
        *(name.decode() for name in CREDENTIAL_HEADERS),
        "api-key",
        "cookie",
        "x-csrf-token",
        "x-csrftoken",
        "x-xsrf-token",
        "csrf-token",
    }
)
_OWN_PREFIX = "x-keyrack-"
GATEWAY_TIME, BACKEND_TIME = b"x-gateway-time", b"x-backend-time"
_NOT_SENT = HOP_BY_HOP | _FRAMING | _CREDENTIALS | {"x-request-id"}
_NOT_PASSED = (
    HOP_BY_HOP
    | {"authorization", "www-authenticate", "content-length", "content-encoding"}
    | {GATEWAY_TIME.decode(), BACKEND_TIME.decode()}
    | OWN_HEADERS
)
_ALWAYS = frozenset({"content-type"})
"""Says how a body is to be read, and passes with it."""
_PASSABLE = re.compile(rb"[\t -~\x80-\xff]*")
_OTHER = re.compile(r"[^a-z0-9]")


class Passing(NamedTuple):
    """The names of headers that pass for one API, in lower case."""

    request: frozenset[bytes]
    response: frozenset[bytes]


@lru_cache(1024)
def passing(allowed: tuple[str, ...], answered: tuple[str, ...], key_header: str | None) -> Passing:
    """What passes where these are allowed and the upstream's key is sent under this name."""
    own = set() if key_header is None else {key_header}
    return Passing(_without(allowed, _NOT_SENT | own), _without(answered, _NOT_PASSED | own))


def sent_headers(lines: Lines, api: Api, key_header: str | None) -> list[tuple[str, str]]:
    """The headers of a client's request that its upstream is sent. One that is not UTF-8 is left out."""
    names = passing(api.request_headers, api.response_headers, key_header).request
    names = names - _nominated(lines)
    return [
        (name.decode(), value.decode())
        for name, value in lines
        if name in names and _PASSABLE.fullmatch(value) and _is_text(value)
    ]


def passed_headers(lines: Lines, api: Api, key_header: str | None) -> list[tuple[bytes, bytes]]:
    """The headers of an upstream's answer that the client gets."""
    names = passing(api.request_headers, api.response_headers, key_header).response - _nominated(lines)
    return [(name, value) for name, value in lines if name in names and _PASSABLE.fullmatch(value)]


def _without(names: Iterable[str], never: Iterable[str]) -> frozenset[bytes]:
    folded = {_folded(name) for name in never}
    allowed = {name.lower() for name in names} | _ALWAYS
    return frozenset(
        name.encode()
        for name in allowed
        if _folded(name) not in folded and not _folded(name).startswith(_folded(_OWN_PREFIX))
    )


def _nominated(lines: Lines) -> frozenset[bytes]:
    """The headers that `Connection` declares to be about the connection."""
    said = b",".join(values(lines, b"connection"))
    return frozenset(one.strip().lower() for one in said.split(b","))


def _folded(name: str) -> str:
    return _OTHER.sub("-", name.lower())


def _is_text(value: bytes) -> bool:
    if value.isascii():
        return True
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
