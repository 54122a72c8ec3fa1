"""Forward-auth: a proxy asks about the request in its hands, and gets the decision as a response.

Caddy, Traefik and Envoy pass any answer on to their client. nginx understands only 2xx, 401 and 403
from `auth_request`, so its form says the rest in headers, which the shipped configuration turns back
into the true answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import parse_qs, quote, urlsplit

from keyrack.core import fields, http
from keyrack.core.credential import ENVIRONMENT
from keyrack.core.errors import InvalidRequest, KeyrackError, ValidationFailed
from keyrack.core.http import Response, extract, key_in_query
from keyrack.core.model import Access, Address, Allowed, Decision, Denied, Network, Reason
from keyrack.core.ratelimit_headers import ratelimit_headers
from keyrack.guards.answers import refusal
from keyrack.server.wire import Scope
from keyrack.stores.journal import Origin
from keyrack.verifier import Verifier

PATH = "/v1/forward-auth"
NGINX_PATH = "/v1/forward-auth/nginx"
PROXY_SCOPE = "gateway:authorize"
_ORIGINAL = (b"x-original-uri", b"x-forwarded-uri")
Headers = Sequence[tuple[bytes, bytes]]


class ForwardAuth:
    """Answers proxies: a loopback or trusted peer, or one that presents a key with gateway:authorize."""

    def __init__(self, verifier: Verifier, *, trusted: Sequence[Network], realm: str):
        self._verifier = verifier
        self._trusted = tuple(trusted)
        self._realm = realm

    def answer(
        self, scope: Scope, *, peer: Address | None, client: Address | None, request_id: str
    ) -> Response:
        """The decision on the forwarded request, or 401 and none for a peer that may not ask."""
        headers: Headers = scope["headers"]
        try:
            if not self._may_ask(headers, peer, internal=scope["state"].get("internal", False)):
                return self._respond(Denied(Reason.MISSING), request_id)
            access = _access(scope, headers, client)
        except KeyrackError as error:
            return http.failure(error, request_id=request_id)
        decision = self._verifier.decide(extract(headers), access, _origin(headers, request_id))
        return self._respond(decision, request_id)

    def _may_ask(self, headers: Headers, peer: Address | None, *, internal: bool) -> bool:
        presented = _all(headers, b"x-keyrack-proxy-key")
        if len(presented) > 1:
            raise InvalidRequest("Send X-Keyrack-Proxy-Key once.")
        if presented:
            access = Access((PROXY_SCOPE,), address=peer)
            return isinstance(self._verifier.verify(presented[0], access), Allowed)
        if internal or peer is None:
            return internal
        return peer.is_loopback or any(peer in network for network in self._trusted)

    def _respond(self, decision: Decision, request_id: str) -> Response:
        now = self._verifier.stores.clock()
        if isinstance(decision, Denied):
            return refusal(decision, realm=self._realm, request_id=request_id, now=now)
        limits = ratelimit_headers(decision.rates, now)
        return Response(200, (*_identity(decision), ("x-request-id", request_id), *limits), b"")


def for_nginx(response: Response) -> Response:
    """The same answer in what `auth_request` understands: 200, 401, or 403 for everything else."""
    if response.status == 200:
        return response
    status = 401 if response.status == 401 else 403
    told = (
        ("x-keyrack-status", str(response.status)),
        ("x-keyrack-problem", _one_line(response.body)),
    )
    return Response(status, (*response.headers, *told), response.body)


def _identity(allowed: Allowed) -> tuple[tuple[str, str], ...]:
    key = allowed.key
    return (
        ("x-keyrack-key-id", key.id),
        ("x-keyrack-tenant", key.tenant),
        ("x-keyrack-user", _header_safe(key.owner or "")),
        ("x-keyrack-scopes", " ".join(allowed.scopes)),
        ("cache-control", "no-store"),
    )


def _access(scope: Scope, headers: Headers, client: Address | None) -> Access:
    for original in (value for name, value in headers if name in _ORIGINAL):
        if key_in_query(urlsplit(original.decode("latin-1")).query.encode("latin-1")):
            raise InvalidRequest("Send the key in a header: query strings end up in logs.")
    environments = tuple(_one(headers, b"x-keyrack-environments", "live").split(","))
    if not all(ENVIRONMENT.fullmatch(one) for one in environments):
        raise InvalidRequest("X-Keyrack-Environments takes names such as `live`, with commas.")
    service = _one(headers, b"x-keyrack-service", "")
    return Access(
        scopes=_scopes(scope["query_string"], headers),
        environments=environments,
        service=service or None,
        address=client,
    )


def _scopes(query: bytes, headers: Headers) -> tuple[str, ...]:
    """The scopes that the proxy's configuration names, in `?scope=` or X-Keyrack-Scope, exactly once."""
    named = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("scope", [])
    named += _all(headers, b"x-keyrack-scope")
    if len(named) != 1:
        raise InvalidRequest("Name the scope exactly once, as ?scope=… or in X-Keyrack-Scope.")
    try:
        return fields.scopes(named[0].replace(",", " ").split() or [""], "scope")
    except ValidationFailed as error:
        raise InvalidRequest(error.details["fields"]["scope"][0]) from None


def _one(headers: Headers, name: bytes, default: str) -> str:
    found = _all(headers, name)
    if len(found) > 1:
        raise InvalidRequest(f"Send {name.decode()} once.")
    return found[0] if found else default


def _all(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for header, value in headers if header == name]


def _origin(headers: Headers, request_id: str) -> Origin:
    method = next(iter(_all(headers, b"x-forwarded-method") or _all(headers, b"x-original-method")), "")
    uri = next((value.decode("latin-1") for name, value in headers if name in _ORIGINAL), "")
    path = urlsplit(uri).path
    return Origin(f"forward-auth {method} {path}".strip()[:300], request_id)


def _header_safe(text: str) -> str:
    """A name as a header can hold it: percent-encoded beyond visible ASCII."""
    return text if text.isascii() and text.isprintable() else quote(text, safe=" ")


def _one_line(body: bytes) -> str:
    """The problem document in ASCII without line ends, since it travels in a header."""
    return json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=True)
