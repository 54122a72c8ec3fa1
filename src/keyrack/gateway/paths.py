"""Which API, version and path a request to the gateway is for, read from the bytes that came.

What was matched is what is sent, byte for byte: a path that two readers could take for two resources is
refused whoever asks.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from keyrack.core.errors import InvalidRequest
from keyrack.core.http import KEY_IN_QUERY, Headers, key_in_query, values
from keyrack.guards.paths import reads_in_two_ways

PREFIX = "/api/rest/"
VERSION_HEADER = b"x-api-version"
"""Names the version where the path has none."""

_PREFIX = PREFIX.encode()
_VERSION = re.compile(rb"v[0-9]{1,9}")
_VISIBLE = re.compile(rb"[!-~]*")


class Target(NamedTuple):
    """What a request is for. `path` and `query` are the bytes that came, and the bytes that are sent."""

    method: str
    api: str
    version: str | None
    """None where neither path nor header names one."""
    path: bytes
    query: bytes

    @property
    def decoded(self) -> str:
        """The path as it is matched."""
        return unquote(self.path.decode("ascii"))


def read_target(method: str, raw_path: bytes, query: bytes, headers: Headers) -> Target:
    """The target of a request. Raises InvalidRequest for one that could be read in two ways."""
    if not raw_path.startswith(_PREFIX) or reads_in_two_ways(raw_path):
        raise InvalidRequest(
            "This path could be read in two ways: no dot or empty segments, escaped slashes or backslashes."
        )
    if query:
        _check_query(query)
    api, _, rest = raw_path[len(_PREFIX) :].partition(b"/")
    version, _, behind = rest.partition(b"/")
    if _VERSION.fullmatch(version):
        return Target(method, _text(api), version.decode(), b"/" + behind, query)
    return Target(method, _text(api), _version_of(headers), b"/" + rest, query)


def _check_query(query: bytes) -> None:
    if _VISIBLE.fullmatch(query) is None:
        raise InvalidRequest("This query holds what has to be escaped.")
    if key_in_query(query):
        raise InvalidRequest(KEY_IN_QUERY)


def _version_of(headers: Headers) -> str | None:
    given = values(headers, VERSION_HEADER)
    if len(given) > 1:
        raise InvalidRequest("Send X-API-Version once.")
    return given[0].decode() if given and _VERSION.fullmatch(given[0]) else None


def _text(segment: bytes) -> str:
    return unquote(segment.decode("ascii"))
