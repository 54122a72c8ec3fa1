"""From the credential to the rate limit: which endpoint of which API a request may use (UG-42).

Whoever has no good key learns of public APIs alone; whoever has one learns what its tenant has.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from keyrack.core.http import Presented, Response
from keyrack.core.model import DEFAULT_TENANT, Access, Address, Allowed, Decision, Denied, Reason
from keyrack.core.upstream import Api, Endpoint
from keyrack.gateway.endpoints import EndpointsByApi, find_api
from keyrack.gateway.paths import PREFIX, Target
from keyrack.gateway.refusals import Refusals, Refused
from keyrack.stores.journal import Origin
from keyrack.verifier import Spent, Verifier

ACCESSES_KEPT = 4096
UNNAMED = f"the gateway, {PREFIX}"
"""How the journal names a request that was refused before its API was known."""


class Asked(NamedTuple):
    """A request as it is decided on."""

    target: Target
    presented: Presented
    client: Address | None
    request_id: str

    def __repr__(self) -> str:
        return f"<Asked {self.request_id}>"


class Passed(NamedTuple):
    """What a request is for, and who makes it; None for a request without a key, to a public API."""

    allowed: Allowed | None
    api: Api
    endpoint: Endpoint
    operation: str
    """How journal and log name it: its endpoint, and never the path that was called."""
    spent: Spent | None = None
    """What it was charged, to be kept or given back by whoever goes on."""


class Decider:
    """Decides on what a Verifier follows. May wait where the Verifier may."""

    def __init__(self, verifier: Verifier, refusals: Refusals):
        self._verifier = verifier
        self._refusals = refusals
        self._clock = verifier.clock
        self._endpoints = EndpointsByApi()

    def waits(self, asked: Asked) -> bool:
        """Whether the decision may wait for a network; an event loop then asks for it in a thread."""
        return self._verifier.waits(asked.presented)

    def decide(self, asked: Asked) -> Passed | Response:
        """What passed and was charged to its limits, not yet noted; or the refusal, noted."""
        if asked.presented is Reason.MISSING:
            return self._decide_keyless(asked)
        origin: Origin = (UNNAMED, asked.request_id)
        identified = self._verifier.identify(asked.presented, _access(None, asked.client), origin)
        if isinstance(identified, Denied):
            return self._deny(identified, asked)
        found = self._find(identified.key.tenant, asked)
        if isinstance(found, Response):
            return found
        scope = None if found.api.public else found.endpoint.scope
        spent = self._verifier.spend(identified, _access(scope, asked.client))
        if isinstance(spent.decision, Denied):
            self._verifier.keep(spent, (found.operation, asked.request_id))
            return self._deny(spent.decision, asked)
        return found._replace(allowed=spent.decision, spent=spent)

    def _decide_keyless(self, asked: Asked) -> Passed | Response:
        """A request without a key: it is told of public APIs alone, and of anything else that one lacks."""
        api = find_api(self._apis, DEFAULT_TENANT, asked.target)
        if api is None or not api.public or self._verifier.doubt() is not None:
            origin: Origin = (UNNAMED, asked.request_id)
            decision = self._verifier.verify(Reason.MISSING, _access(None, asked.client), origin)
            return self._deny(decision, asked)
        return self._endpoint(api, asked)

    def _find(self, tenant: str, asked: Asked) -> Passed | Response:
        """The API of a tenant, or a public one of the default tenant, and its endpoint."""
        api = find_api(self._apis, tenant, asked.target)
        if api is None:
            shared = find_api(self._apis, DEFAULT_TENANT, asked.target)
            api = shared if shared is not None and shared.public else None
        if api is None:
            return self._refuse(Refused.API_NOT_FOUND, asked)
        return self._endpoint(api, asked)

    def _endpoint(self, api: Api, asked: Asked) -> Passed | Response:
        if not api.active:
            return self._refuse(Refused.API_DISABLED, asked)
        endpoints, path = self._endpoints.of(api), asked.target.decoded
        endpoint = endpoints.find(asked.target.method, path)
        if endpoint is not None:
            operation = f"{endpoint.method} {PREFIX}{api.name}/{api.version}{endpoint.uri}"
            return Passed(None, api, endpoint, operation)
        methods = endpoints.methods(path)
        if not methods:
            return self._refuse(Refused.ENDPOINT_NOT_FOUND, asked)
        refused = self._refuse(Refused.METHOD_NOT_ALLOWED, asked)
        return refused._replace(headers=(*refused.headers, ("allow", ", ".join(methods))))

    def _deny(self, decision: Decision, asked: Asked) -> Response:
        denied = decision if isinstance(decision, Denied) else Denied(Reason.MISSING)
        return self._refusals.deny(denied, request_id=asked.request_id, now=self._clock())

    def _refuse(self, refused: Refused, asked: Asked) -> Response:
        return self._refusals.refuse(refused, request_id=asked.request_id, now=self._clock())

    @property
    def _apis(self) -> Mapping[str, Api]:
        return self._verifier.follower.replica.apis


def new_request_id() -> str:
    """An id for a request: 128 random bits."""
    # Seeded by the system and again after a fork; it has to be unique, not secret, on every request.
    return f"{random.getrandbits(128):032x}"


@lru_cache(ACCESSES_KEPT)
def _access(scope: str | None, client: Address | None) -> Access:
    return Access(() if scope is None else (scope,), address=client, credits=False)
