"""What the guards of all protocols do alike: from a request to a proved key or to an answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypedDict

from keyrack.core.errors import InvalidRequest, MethodNotAllowed, NotFound
from keyrack.core.http import KEY_IN_QUERY, Response, key_in_query, values
from keyrack.core.model import Access, Denied, Network
from keyrack.deciding import ANYTHING, Ceiling, Decides
from keyrack.guards.answers import Answers, Respond
from keyrack.guards.client_address import MAX_LENGTH, client_host, read_address, read_networks
from keyrack.guards.key_state import KeyState
from keyrack.guards.means import Means, Unconfigured
from keyrack.guards.request import Request
from keyrack.guards.rows import Row
from keyrack.guards.table import Place, Table

_KEY_IN_QUERY = InvalidRequest(KEY_IN_QUERY)
_NOT_FOUND = NotFound("There is nothing at this path.")
_NOT_ALLOWED = MethodNotAllowed("This path does not take this method.")


class Options(TypedDict, total=False):
    """What every guard takes beside its rows."""

    realm: str
    """Names the service in challenges; `keyrack` by default."""
    respond: Respond | None
    """Words the refusals of a service; their status and the table's headers stay."""
    trusted_proxies: Iterable[str | Network]
    """The networks of proxies whose X-Forwarded-For is believed; none by default."""
    ceiling: Ceiling | None
    """What a key may do here at most."""
    tenant_header: str | None
    """A header in which a request may name its tenant; any but the key's own is refused."""


class Decider:
    """Decides on requests for one guard.

    A protocol asks `table` for the place of a request. An open one it serves untouched; for every other
    it calls `decide`, serves the request with the KeyState, or sends the Response.
    """

    def __init__(
        self,
        verifier: Decides | None,
        rows: Iterable[Row],
        *,
        realm: str = "keyrack",
        respond: Respond | None = None,
        trusted_proxies: Iterable[str | Network] = (),
        ceiling: Ceiling | None = None,
        tenant_header: str | None = None,
    ):
        self.table = Table(rows)
        self._trusted = read_networks(trusted_proxies)
        self._verifier: Decides = verifier or Unconfigured()
        self._ceiling = ceiling
        self._tenant_header = tenant_header.lower().encode() if tenant_header else None
        self._answers = Answers(realm=realm, respond=respond, clock=self._verifier.clock)
        self._means = Means(self._verifier, ceiling, self._answers)

    def waits(self, place: Place | None, request: Request) -> bool:
        """Whether the decision on this request may wait for a network."""
        return self._verifier.waits(request.presented, ANYTHING if place is None else place.access)

    def decide(self, place: Place | None, request: Request) -> KeyState | Response:
        """The proved key, or why not. Without a place a good key learns that, and others nothing."""
        if request.query and key_in_query(request.query):
            return self._answers.fail(_KEY_IN_QUERY, request)
        if place is None:
            return self._turn_away(request)
        access = self._access(place, request)
        ask = self._verifier.identify if place.is_later else self._verifier.verify
        decision = ask(request.presented, access, (place.operation, request.id), ceiling=self._ceiling)
        if isinstance(decision, Denied):
            return self._answers.refuse(decision, request)
        return KeyState(self._means, place, request, access, decision)

    def _access(self, place: Place, request: Request) -> Access:
        access = self._access_from(place, request)
        return access if self._tenant_header is None else self._of_tenant(access, request)

    def _access_from(self, place: Place, request: Request) -> Access:
        if self._trusted:
            return place.access_from(self._host(request))
        peer = request.peer
        return place.access_from(peer if peer is None or len(peer) <= MAX_LENGTH else None)

    def _of_tenant(self, access: Access, request: Request) -> Access:
        """Named by several headers, it is none that there is: no id has a comma."""
        named = values(request.named, self._tenant_header or b"")
        return replace(access, tenant=b",".join(named).decode("latin-1")) if named else access

    def _host(self, request: Request) -> str | None:
        return client_host(request.peer, values(request.named, b"x-forwarded-for"), self._trusted)

    def _turn_away(self, request: Request) -> Response:
        """Answer a request that no row is for: only a good key learns that there is nothing."""
        access = Access(address=read_address(self._host(request)), credits=False)
        decision = self._verifier.verify(request.presented, access, (None, request.id))
        if isinstance(decision, Denied):
            return self._answers.refuse(decision, request)
        methods = self.table.methods(request.path)
        if not methods:
            return self._answers.fail(_NOT_FOUND, request, rates=decision.rates)
        allow = [("allow", ", ".join(methods))]
        return self._answers.fail(_NOT_ALLOWED, request, rates=decision.rates, headers=allow)
