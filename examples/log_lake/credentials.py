"""The forms in which a credential may come, each turned into the one or two that the guard reads.

Nothing is chosen here: whatever counts as a credential is handed on, so that the guard finds two
where there were two, and refuses them as ambiguous. It stands in front of the guard.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from examples.log_lake.errors import problem
from examples.log_lake.firehose_attributes import Lines, read_attributes
from examples.log_lake.operations import FIREHOSE_PATH
from examples.log_lake.problems import InvalidRequest
from keyrack import KeyrackError, read_json

KEY = b"x-api-key"
AUTHORIZATION = b"authorization"
ACCESS_KEY = b"x-amz-firehose-access-key"
MAX_ACCESS_KEY = 4096
_UNREADABLE = problem(InvalidRequest("The common attributes cannot be read."))


class Credentials:
    """An application that gets every accepted form of credential as a plain one."""

    def __init__(self, app: ASGIApp, *, basic: bool):
        self._app = app
        self._basic = basic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = list(_turned(scope["headers"], basic=self._basic))
        if scope["path"] == FIREHOSE_PATH:
            attributes = read_attributes(scope["headers"])
            if attributes is None:
                await _UNREADABLE(scope, receive, send)
                return
            headers += _of_firehose(scope["headers"], attributes)
        await self._app({**scope, "headers": headers}, receive, send)


def _turned(headers: Lines, *, basic: bool) -> Iterator[tuple[bytes, bytes]]:
    """Every header; where it is switched on, Basic authorization as the key that is its user name."""
    for name, value in headers:
        user = _user(value) if basic and name == AUTHORIZATION else None
        yield (name, value) if user is None else (KEY, user)


def _of_firehose(headers: Lines, attributes: Mapping[str, str]) -> Iterator[tuple[bytes, bytes]]:
    """What a Firehose request presents in headers of its own."""
    for name, value in headers:
        if name == ACCESS_KEY and value.strip():
            yield KEY, _access_key(value)
    for name in (KEY, AUTHORIZATION):
        if name.decode() in attributes:
            yield name, attributes[name.decode()].encode("latin-1", "replace")


def _user(authorization: bytes) -> bytes | None:
    """The user name of Basic authorization (RFC 7617) without a password; None for any other text."""
    scheme, _, encoded = authorization.strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except ValueError:
        return None
    return user if colon and not password else None


def _access_key(value: bytes) -> bytes:
    """The key of an access-key header: its text, or the member `api_key` of JSON."""
    text = value.strip()
    if not text.startswith(b"{") or len(text) > MAX_ACCESS_KEY:
        return text
    try:
        document = read_json(text)
    except KeyrackError:
        return text
    key = document.get("api_key") if isinstance(document, dict) else None
    return key.encode("latin-1", "replace") if isinstance(key, str) else text
