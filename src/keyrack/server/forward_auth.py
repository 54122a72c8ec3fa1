"""Forward-auth: a proxy asks about the request in its hands, and gets the decision as a response.

Caddy, Traefik and Envoy pass any answer on to their client. nginx understands only 2xx, 401 and 403
from `auth_request`, so its form says the rest in headers, which the shipped configuration turns back
into the true answer.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

from keyrack.core import http
from keyrack.core.errors import KeyrackError
from keyrack.core.http import ANSWERS, Response
from keyrack.core.model import Access, Address, Allowed, Decision, Denied, Reason
from keyrack.core.ratelimit_headers import ratelimit_headers
from keyrack.guards.answers import refusal
from keyrack.guards.request import request_id as request_id_of
from keyrack.server import forwarded
from keyrack.server.arrivals import Arrivals, Peer
from keyrack.server.async_verifier import AsyncVerifier
from keyrack.server.forwarded import Told
from keyrack.server.wire import Encoded, Scope, Send, answer, answer_encoded, encoded
from keyrack.verifier import Verifier

PATH = "/v1/forward-auth"
NGINX_PATH = "/v1/forward-auth/nginx"
PROXY_SCOPE = "gateway:authorize"

_NOT_THE_PROXYS_FAULT = frozenset(reason for reason in Reason if ANSWERS[reason].status in (429, 503))
"""Refusals of a proxy's key that say nothing about the key; a 401 would blame whoever sent the request."""
_NOT_PLAIN = re.compile(r"%|[^ -~]|\A | \Z")


class ForwardAuth:
    """Answers proxies: a loopback or trusted peer, or one that presents a key with gateway:authorize."""

    def __init__(self, verifier: Verifier, arrivals: Arrivals, *, realm: str):
        self._verifier = verifier
        self._arrivals = arrivals
        self._asked = AsyncVerifier(verifier)
        self._realm = realm

    async def __call__(self, scope: Scope, send: Send) -> None:
        """Answer with the decision on the forwarded request: its headers, or the refusal.

        A peer that may not ask gets 401, and no decision is made.
        """
        headers = http.by_name(scope["headers"])
        request_id = request_id_of(headers)
        try:
            told = forwarded.read(headers)
            refused = await self._refuse(scope, told, request_id) if self._is_doubtful(scope, told) else None
            host = self._arrivals.client_host(scope)
            asked = refused or forwarded.asked(scope["query_string"], told, host)
        except KeyrackError as error:
            await _refuse_with(scope, send, http.failure(error, request_id=request_id))
            return
        decision: Decision
        if isinstance(asked, Denied):
            decision = asked
        else:
            question = (forwarded.credential(headers), asked.access, (asked.operation, request_id))
            decision = self._asked.at_once(*question) or await self._asked.verify(*question)
        if isinstance(decision, Denied):
            await _refuse_with(scope, send, self._refusal(decision, request_id))
        else:
            await answer_encoded(send, 200, self._identity(decision, request_id), b"")

    def _is_doubtful(self, scope: Scope, told: Told) -> bool:
        """Whether this peer has to show that it is a proxy. A proxy key that is presented decides alone."""
        if forwarded.PROXY_KEY in told:
            return True
        return not (scope["state"].get("internal") or self._peer(scope).is_proxy)

    def _peer(self, scope: Scope) -> Peer:
        client = scope["client"]
        return self._arrivals.peer(client[0] if client else None)

    async def _refuse(self, scope: Scope, told: Told, request_id: str) -> Denied | None:
        """Why whoever asks gets no decision, or None."""
        peer = self._peer(scope)
        if forwarded.PROXY_KEY in told:
            return await self._refuse_key(told[forwarded.PROXY_KEY], peer.address, request_id)
        denied = Denied(Reason.MISSING)
        origin = ("forward-auth for a peer that is no trusted proxy", request_id)
        self._verifier.notebook.note((denied, peer.address, self._verifier.stores.clock(), origin))
        return denied

    async def _refuse_key(self, presented: bytes, peer: Address | None, request_id: str) -> Denied | None:
        access = Access((PROXY_SCOPE,), address=peer)
        origin = ("forward-auth for a proxy key", request_id)
        decision = await self._asked.verify(presented.decode("latin-1").strip(" \t"), access, origin)
        if isinstance(decision, Allowed):
            return None
        return decision if decision.reason in _NOT_THE_PROXYS_FAULT else Denied(Reason.MISSING)

    def _refusal(self, denied: Denied, request_id: str) -> Response:
        now = self._verifier.stores.clock()
        return refusal(denied, realm=self._realm, request_id=request_id, now=now)

    def _identity(self, allowed: Allowed, request_id: str) -> Encoded:
        key = allowed.key
        identity = _identity(key.id, key.tenant, key.owner or "", allowed.scopes)
        headers = [*identity, (b"x-request-id", request_id.encode())]
        if allowed.rates:
            headers += encoded(ratelimit_headers(allowed.rates, self._verifier.stores.clock()))
        return headers


async def _refuse_with(scope: Scope, send: Send, response: Response) -> None:
    await answer(send, for_nginx(response) if scope["path"] == NGINX_PATH else response)


def for_nginx(response: Response) -> Response:
    """The same refusal in what `auth_request` understands: 401, or 403 for everything else."""
    # A header holds bytes, and JSON has no line ends in it: so the client gets the very same document.
    problem = response.body.decode("latin-1")
    told = (("x-keyrack-status", str(response.status)), ("x-keyrack-problem", problem))
    status = 401 if response.status == 401 else 403
    return Response(status, (*response.headers, *told), response.body)


@lru_cache(maxsize=10_000)
def _identity(key_id: str, tenant: str, owner: str, scopes: tuple[str, ...]) -> Encoded:
    return encoded(
        (
            ("x-keyrack-key-id", key_id),
            ("x-keyrack-tenant", header_safe(tenant)),
            ("x-keyrack-user", header_safe(owner)),
            ("x-keyrack-scopes", " ".join(scopes)),
            ("cache-control", "no-store"),
        )
    )


def header_safe(text: str) -> str:
    """A name as a header can hold it, so that no two names look alike there.

    Percent-encoded (UTF-8) are `%`, what is beyond visible ASCII, and a blank at either end.
    """
    return _NOT_PLAIN.sub(lambda found: quote(found[0], safe=""), text)
