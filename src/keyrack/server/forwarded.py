"""What a proxy says about the request in its hands, read strictly: each header once, no odd target.

A target that the proxy and the application behind it could read differently is a way around the
proxy's choice of scope, so it is refused whatever key comes with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qs

from keyrack.core import fields
from keyrack.core.credential import ENVIRONMENT
from keyrack.core.errors import InvalidRequest, ValidationFailed
from keyrack.core.http import (
    CREDENTIAL_HEADERS,
    KEY_IN_QUERY,
    Headers,
    Lines,
    Presented,
    extract,
    key_in_query,
    values,
)
from keyrack.core.model import Access, Reason
from keyrack.guards.client_address import read_address

Told = dict[bytes, bytes]
"""Headers by name, each of the proxy's own known to be there at most once."""

PROXY_KEY = b"x-keyrack-proxy-key"
SCOPE = b"x-keyrack-scope"
API = b"x-keyrack-api"
"""Names the API whose document says what a request needs, as `name/version`."""
ENVIRONMENTS = b"x-keyrack-environments"
SERVICE = b"x-keyrack-service"
TARGETS = (b"x-original-uri", b"x-forwarded-uri")
METHODS = (b"x-original-method", b"x-forwarded-method")
MAX_ASKED = 4096
"""Bytes of scopes, environments and service together."""
MAX_ENVIRONMENTS = 10
TWO_WAYS = "This path could be read in two ways: no dot or empty segments, escaped slashes or backslashes."
_ONCE = frozenset({PROXY_KEY, SCOPE, API, ENVIRONMENTS, SERVICE, b"x-forwarded-host", *TARGETS, *METHODS})

_SAID = (SCOPE, ENVIRONMENTS, SERVICE, *METHODS)
_METHOD = re.compile(rb"[A-Z][A-Z-]{0,30}")
_BLANKS = b" \t"
_ODD = re.compile(
    # An escaped slash, backslash, dot or control character; a bad escape; the same unescaped.
    rb"%(?:2[EeFf]|5[Cc]|[01][0-9A-Fa-f]|7[Ff])|%(?![0-9A-Fa-f]{2})|[\\#\x00-\x20\x7f]"
    # An empty segment, a dot segment, and what becomes one where `;parameters` are cut off.
    rb"|/[/;]|/\.{1,2}(?:[/;]|\Z)"
)


def read(headers: Headers) -> Told:
    """What the proxy says. Raises InvalidRequest for a header that is there twice, or an odd target."""
    told = headers if isinstance(headers, dict) else _once(headers)
    for target in TARGETS:
        if target in told:
            check_target(told[target].strip(_BLANKS))
    return told


class Asked(NamedTuple):
    """What the proxy's configuration asks of a key, and how journal entries name the request: by its
    method and the scopes, never by the path that was called."""

    access: Access
    operation: str


def asked(query: bytes, told: Told, host: str | None) -> Asked:
    """What is asked of a key that comes from this host. Raises InvalidRequest."""
    return _asked(query, host, tuple(map(told.get, _SAID)))


def credential(headers: Headers) -> Presented:
    """The one credential, where a proxy may have joined several with a comma (nginx, Envoy).

    A key of foreign form with a comma in it cannot be presented here.
    """
    presented = extract(headers)
    # Of a joined header that begins with another scheme, extract sees no key.
    if "," not in presented and presented is not Reason.MISSING:
        return presented
    return extract(credential_lines(headers))


def credential_lines(headers: Headers) -> Lines:
    """The credential headers, a line for each that was joined."""
    lines = [(name, value) for name in CREDENTIAL_HEADERS for value in values(headers, name)]
    return [(name, part) for name, value in lines for part in value.split(b",")]


def _once(headers: Iterable[tuple[bytes, bytes]]) -> Told:
    told: Told = {}
    for name, value in headers:
        if name in _ONCE and name in told:
            raise InvalidRequest(f"Send {name.decode()} once.")
        told[name] = value
    return told


def check_target(target: bytes) -> None:
    """Raises InvalidRequest for a path and query that could be read in two ways, or hold a key."""
    path, _, query = target.partition(b"?")
    if not path.startswith(b"/") or _ODD.search(path):
        raise InvalidRequest(TWO_WAYS)
    if query:
        _check_query(query)


def _check_query(query: bytes) -> None:
    if key_in_query(query):
        raise InvalidRequest(KEY_IN_QUERY)


@lru_cache(maxsize=4096)  # what is refused is not kept
def _asked(query: bytes, host: str | None, said: tuple[bytes | None, ...]) -> Asked:
    # A proxy may let through what its client says.
    if len(query) + sum(map(len, filter(None, said))) > MAX_ASKED:
        raise InvalidRequest("This asks for more than a proxy's configuration would.")
    _check_query(query)
    scope, environments, service, *methods = said
    access = Access(
        scopes=_scopes(query, scope),
        environments=_environments(b"live" if environments is None else environments),
        service=(service or b"").decode("latin-1").strip(" \t") or None,
        address=read_address(host),
    )
    method = next(filter(None, methods), b"")
    named = [method.decode()] if _METHOD.fullmatch(method) else []
    return Asked(access, " ".join(["forward-auth", *named, *access.scopes]))


def _scopes(query: bytes, scope: bytes | None) -> tuple[str, ...]:
    named = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("scope", [])
    named += [] if scope is None else [scope.decode("latin-1")]
    if len(named) != 1:
        raise InvalidRequest("Name the scope exactly once, as ?scope=… or in X-Keyrack-Scope.")
    try:
        return fields.scopes(named[0].replace(",", " ").split() or [""], "scope")
    except ValidationFailed as error:
        raise InvalidRequest(error.details["fields"]["scope"][0]) from None


def _environments(listed: bytes) -> tuple[str, ...]:
    environments = tuple(one.strip() for one in listed.decode("latin-1").split(","))
    known = all(ENVIRONMENT.fullmatch(one) for one in environments)
    if not known or len(environments) > MAX_ENVIRONMENTS:
        raise InvalidRequest("X-Keyrack-Environments takes up to 10 names such as `live`, with commas.")
    return environments
