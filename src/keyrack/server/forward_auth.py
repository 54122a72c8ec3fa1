"""Forward-auth: a proxy asks about the request in its hands, and gets the decision as a response.

This is the form for any proxy that passes an answer on to its client; keyrack.server.proxies has those
that are shipped with a configuration.
"""

from __future__ import annotations

from keyrack.core import http
from keyrack.core.errors import KeyrackError
from keyrack.core.http import Response
from keyrack.core.model import Allowed, Decision, Denied
from keyrack.guards.answers import refusal
from keyrack.guards.request import request_id as request_id_of
from keyrack.server import forwarded
from keyrack.server.arrivals import Arrivals
from keyrack.server.async_verifier import AsyncVerifier
from keyrack.server.forwarded import Told
from keyrack.server.identity_headers import identity_headers
from keyrack.server.proxy_keys import ProxyKeys, is_internal
from keyrack.server.wire import Scope, Send, answer, answer_encoded
from keyrack.verifier import Verifier

PATH = "/v1/forward-auth"


class ForwardAuth:
    """Answers proxies: a loopback or trusted peer, or one that presents a key with gateway:authorize."""

    def __init__(self, verifier: Verifier, arrivals: Arrivals, *, realm: str):
        self._verifier = verifier
        self._arrivals = arrivals
        self._proxies = ProxyKeys(verifier, arrivals)
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
            await answer(send, http.failure(error, request_id=request_id))
            return
        decision: Decision
        if isinstance(asked, Denied):
            decision = asked
        else:
            question = (forwarded.credential(headers), asked.access, (asked.operation, request_id))
            decision = self._asked.at_once(*question) or await self._asked.verify(*question)
        if isinstance(decision, Denied):
            await answer(send, self._refusal(decision, request_id))
        else:
            identity = identity_headers(decision, request_id, self._verifier.stores.clock())
            await answer_encoded(send, 200, identity, b"")

    def _is_doubtful(self, scope: Scope, told: Told) -> bool:
        """Whether this peer has to show that it is a proxy. A proxy key that is presented decides alone."""
        if forwarded.PROXY_KEY in told:
            return True
        return not (is_internal(scope) or self._proxies.peer(scope).is_proxy)

    async def _refuse(self, scope: Scope, told: Told, request_id: str) -> Denied | None:
        """Why whoever asks gets no decision, or None."""
        if forwarded.PROXY_KEY not in told:
            return self._proxies.refuse(scope, request_id)
        proved = await self._proxies.prove(told[forwarded.PROXY_KEY], scope, request_id)
        return None if isinstance(proved, Allowed) else proved

    def _refusal(self, denied: Denied, request_id: str) -> Response:
        now = self._verifier.stores.clock()
        return refusal(denied, realm=self._realm, request_id=request_id, now=now)
