"""The forms in which proxies ask: where each of them says what the request in its hands is.

A form reads what its own proxy sets and nothing else, since the rest comes from the proxy's client.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from keyrack.core.errors import InvalidRequest
from keyrack.core.http import Headers
from keyrack.gateway.paths import Target
from keyrack.guards.paths import reads_in_two_ways
from keyrack.server import forwarded
from keyrack.server.forwarded import Told
from keyrack.server.wire import Scope

_NAMED_API = re.compile(rb"([A-Za-z0-9][A-Za-z0-9_.-]{0,49})/(v[0-9]{1,9})")


class Form(NamedTuple):
    """How one kind of proxy asks."""

    path: str
    method: bytes | None
    """The header with the method of the request; None where the question itself has it."""
    target: bytes | None
    """The header with path and query; None where they are the rest of the question's own."""


NGINX = Form("/v1/forward-auth/nginx", b"x-original-method", b"x-original-uri")
CADDY = Form("/v1/forward-auth/caddy", b"x-forwarded-method", b"x-forwarded-uri")
TRAEFIK = Form("/v1/forward-auth/traefik", b"x-forwarded-method", b"x-forwarded-uri")
ENVOY = Form("/v1/forward-auth/envoy", None, None)

_BY_PATH = {form.path: form for form in (NGINX, CADDY, TRAEFIK)}
_BELOW_ENVOY = f"{ENVOY.path}/"


class Question(NamedTuple):
    """What a proxy asks."""

    method: bytes
    target: bytes | None
    """Path and query of the request as the proxy will send them; None where it does not say."""
    query: bytes
    """The part of the question's own query that the configuration of the proxy wrote."""
    told: Told


def form_of(path: str) -> Form | None:
    """The form that is asked at this path."""
    return ENVOY if path.startswith(_BELOW_ENVOY) else _BY_PATH.get(path)


def read(form: Form, scope: Scope, headers: Headers) -> Question:
    """The question. Raises InvalidRequest for a header that is there twice, or an odd target."""
    told = forwarded.read(headers)
    target = _own_target(scope) if form.target is None else told.get(form.target)
    if target is not None:
        forwarded.check_target(target)
    method = scope["method"].encode() if form.method is None else told.get(form.method, b"")
    query = scope["query_string"] if form is NGINX else b""
    return Question(method, target, query, {**told, forwarded.METHODS[0]: method})


def target_of(question: Question) -> Target | None:
    """The target that an API's document is asked about, or None where a scope is asked for instead.

    Raises InvalidRequest where both are named, or the proxy does not say what the request is.
    """
    named = question.told.get(forwarded.API)
    if named is None:
        return None
    found = _NAMED_API.fullmatch(named)
    if found is None or forwarded.SCOPE in question.told or question.query:
        raise InvalidRequest("Name one API as name/version in X-Keyrack-Api, or a scope, and not both.")
    if not question.method or question.target is None:
        raise InvalidRequest("The proxy does not say which request it asks about.")
    path, _, query = question.target.partition(b"?")
    if reads_in_two_ways(path):
        raise InvalidRequest(forwarded.TWO_WAYS)
    return Target(question.method.decode("latin-1"), found[1].decode(), found[2].decode(), path, query)


def _own_target(scope: Scope) -> bytes:
    # Some servers leave the query in it.
    path: bytes = scope["raw_path"].partition(b"?")[0][len(ENVOY.path) :]
    return path + b"?" + scope["query_string"] if scope["query_string"] else path
