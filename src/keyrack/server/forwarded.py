"""What a proxy says about the request in its hands, read strictly: each header once, no odd target.

A target that the proxy and the application behind it could read differently is a way around the
proxy's choice of scope, so it is refused whatever key comes with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import parse_qs

from keyrack.core import fields
from keyrack.core.credential import ENVIRONMENT
from keyrack.core.errors import InvalidRequest, ValidationFailed
from keyrack.core.http import CREDENTIAL_HEADERS, KEY_IN_QUERY, Headers, key_in_query, values
from keyrack.core.model import Access, Address

Told = dict[bytes, bytes]
"""Headers by name, each of the proxy's own known to be there at most once."""

PROXY_KEY = b"x-keyrack-proxy-key"
SCOPE = b"x-keyrack-scope"
ENVIRONMENTS = b"x-keyrack-environments"
SERVICE = b"x-keyrack-service"
TARGETS = (b"x-original-uri", b"x-forwarded-uri")
METHODS = (b"x-original-method", b"x-forwarded-method")
MAX_ASKED = 4096
"""Bytes of scopes, environments and service together."""
MAX_ENVIRONMENTS = 10
_ONCE = frozenset({PROXY_KEY, SCOPE, ENVIRONMENTS, SERVICE, b"x-forwarded-host", *TARGETS, *METHODS})

MAX_METHOD = 31
_METHOD = re.compile(rb"[A-Z][A-Z-]*")
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
            _check_target(told[target].strip(_BLANKS))
    return told


def access(query: bytes, told: Told, client: Address | None) -> Access:
    """What the proxy's configuration asks of a key that comes from this address. Raises InvalidRequest."""
    scope, environments, service = told.get(SCOPE), told.get(ENVIRONMENTS, b"live"), told.get(SERVICE, b"")
    # A proxy may let through what its client says, and what comes in is kept below.
    if len(query) + len(scope or b"") + len(environments) + len(service) > MAX_ASKED:
        raise InvalidRequest("This asks for more than a proxy's configuration would.")
    return _access(query, scope, environments, service, client)


def operation(told: Told, wanted: Access) -> str:
    """How journal entries name the request: its method and the scopes, never the path that was called."""
    method = told.get(METHODS[0]) or told.get(METHODS[1], b"")
    return _operation(method if len(method) <= MAX_METHOD else b"", wanted.scopes)


def credential_lines(headers: Headers) -> Headers:
    """The credential headers, one for each that a proxy may have joined with a comma (nginx, Envoy).

    A key of foreign form with a comma in it cannot be presented here.
    """
    if isinstance(headers, dict) and not (
        _is_joined(headers, b"authorization") or _is_joined(headers, b"x-api-key")
    ):
        return headers
    lines = [(name, value) for name in CREDENTIAL_HEADERS for value in values(headers, name)]
    return [(name, part) for name, value in lines for part in value.split(b",")]


def _is_joined(headers: Told, name: bytes) -> bool:
    return name in headers and b"," in headers[name]


def _once(headers: Iterable[tuple[bytes, bytes]]) -> Told:
    told: Told = {}
    for name, value in headers:
        if name in _ONCE and name in told:
            raise InvalidRequest(f"Send {name.decode()} once.")
        told[name] = value
    return told


def _check_target(target: bytes) -> None:
    path, _, query = target.partition(b"?")
    if not path.startswith(b"/") or _ODD.search(path):
        raise InvalidRequest(
            "This path could be read in two ways: no dot or empty segments, escaped slashes or backslashes."
        )
    if query:
        _check_query(query)


def _check_query(query: bytes) -> None:
    if key_in_query(query):
        raise InvalidRequest(KEY_IN_QUERY)


@lru_cache(maxsize=4096)
def _access(
    query: bytes, scope: bytes | None, environments: bytes, service: bytes, client: Address | None
) -> Access:
    _check_query(query)
    return Access(
        scopes=_scopes(query, scope),
        environments=_environments(environments),
        service=service.decode("latin-1").strip(" \t") or None,
        address=client,
    )


@lru_cache(maxsize=1024)
def _operation(method: bytes, scopes: tuple[str, ...]) -> str:
    named = [method.decode()] if _METHOD.fullmatch(method) else []
    return " ".join(["forward-auth", *named, *scopes])


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
