"""Who may ask for decisions: proxies, known by a key of their own that holds gateway:authorize."""

from __future__ import annotations

from keyrack.core.http import ANSWERS
from keyrack.core.model import Access, Allowed, Denied, Reason
from keyrack.server.arrivals import Arrivals, Peer
from keyrack.server.async_verifier import AsyncVerifier
from keyrack.server.wire import Scope
from keyrack.verifier import Verifier

PROXY_SCOPE = "gateway:authorize"

_NOT_THE_PROXYS_FAULT = frozenset(reason for reason in Reason if ANSWERS[reason].status in (429, 503))
"""Refusals of a proxy's key that say nothing about the key; a 401 would blame whoever sent the request."""


class ProxyKeys:
    """Proves the keys of proxies, held to their networks by the connection that they come over."""

    def __init__(self, verifier: Verifier, arrivals: Arrivals, *, internal_alone: bool = False):
        """`internal_alone`: there is an internal listener, so `admit` knows proxies nowhere else."""
        self._verifier = verifier
        self._internal_alone = internal_alone
        self._arrivals = arrivals
        self._asked = AsyncVerifier(verifier)

    def peer(self, scope: Scope) -> Peer:
        """The other end of the connection."""
        client = scope["client"]
        return self._arrivals.peer(client[0] if client else None)

    async def admit(self, presented: bytes | None, scope: Scope, request_id: str) -> Allowed | Denied:
        """The proxy that presents this key where proxies may ask; anybody else is refused."""
        if presented is None or (self._internal_alone and not is_internal(scope)):
            return self.refuse(scope, request_id)
        return await self.prove(presented, scope, request_id)

    async def prove(self, presented: bytes, scope: Scope, request_id: str) -> Allowed | Denied:
        """The proxy of this key; anything that is wrong with the key is `missing` to whoever asks."""
        access = Access((PROXY_SCOPE,), address=self.peer(scope).address, credits=False)
        question = (
            presented.decode("latin-1").strip(" \t"),
            access,
            ("forward-auth for a proxy key", request_id),
        )
        decision = self._asked.at_once(*question) or await self._asked.verify(*question)
        if isinstance(decision, Allowed) or decision.reason in _NOT_THE_PROXYS_FAULT:
            return decision
        return Denied(Reason.MISSING)

    def refuse(self, scope: Scope, request_id: str) -> Denied:
        """The refusal of somebody who shows no key and is no proxy by its place; noted for the operator."""
        denied = Denied(Reason.MISSING)
        origin = ("forward-auth for a peer that is no trusted proxy", request_id)
        self._verifier.notebook.note(
            (denied, self.peer(scope).address, self._verifier.stores.clock(), origin)
        )
        return denied


def is_internal(scope: Scope) -> bool:
    """Whether a request came to the internal listener."""
    internal: bool = scope["state"].get("internal", False)
    return internal
