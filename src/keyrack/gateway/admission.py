"""Whether a request may be sent to an upstream, and with which versions of its key: UG-42's order, once.

The gateway carries what is admitted itself; forward-auth tells a proxy. Whoever is admitted with credits
held ends them (keyrack.gateway.charging).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from keyrack.core.errors import Unavailable
from keyrack.core.http import Headers, Response, extract
from keyrack.core.model import Address, Allowed, Denied, Reason
from keyrack.core.sending import candidates
from keyrack.core.upstream import Api, Endpoint, SendPolicy, Upstream, UpstreamVersion
from keyrack.gateway.charging import Charges, Held, Short
from keyrack.gateway.decider import Asked, Decider, Passed, new_request_id
from keyrack.gateway.monitoring.exhausted import exhausted
from keyrack.gateway.monitoring.signals import Signals
from keyrack.gateway.paths import Target
from keyrack.gateway.refusals import Refusals, Refused
from keyrack.stores.balances import Account, Balance, Outcome
from keyrack.verifier import Verifier


class Admission(NamedTuple):
    """A request that may be sent."""

    allowed: Allowed | None
    """None for one without a key, to a public API."""
    tenant: str
    """The API's, which is the key's own unless the API is public."""
    api: Api
    endpoint: Endpoint
    operation: str
    """How the log names it."""
    upstream: Upstream | None
    """None for an API that needs no key of an upstream."""
    request_id: str
    """128 random bits that we made; never what a client sent."""
    held: Held | None
    """None where nothing is charged."""
    candidates: tuple[UpstreamVersion, ...]
    """The versions that may be sent, the preferred one first."""
    user_key: int | None = None
    """The version of the user's own key, which is sent in place of the group's."""


class _Terms(NamedTuple):
    """Of whoever asks."""

    policy: SendPolicy
    at_lapse: Outcome
    reporter: str | None
    input_units: int


class Admissions:
    """Admits requests on what a Verifier follows."""

    def __init__(self, verifier: Verifier, charges: Charges, signals: Signals, *, realm: str):
        self._verifier = verifier
        self._charges = charges
        self._signals = signals
        self._clock = verifier.clock
        self.refusals = Refusals(realm=realm)
        self._decider = Decider(verifier, self.refusals)

    async def admit(
        self,
        target: Target,
        headers: Headers,
        client: Address | None,
        *,
        policy: SendPolicy,
        at_lapse: Outcome,
        reporter: str | None = None,
        input_units: int = 0,
        request_id: str | None = None,
    ) -> Admission | Response:
        """Decide, charge limits, hold credits and choose versions; or the problem document to answer with.

        `policy` is followed where the rotation states none. `reporter` is the id of the key of a proxy
        that will report what came of the request; without one the caller carries it. `input_units` is what
        is known of the body's size.
        """
        asked = Asked(target, extract(headers), client, request_id or new_request_id())
        decide, waits = self._decider.decide, self._decider.waits(asked)
        passed = await asyncio.to_thread(decide, asked) if waits else decide(asked)
        if isinstance(passed, Response):
            return passed
        return await self._charged(passed, asked, _Terms(policy, at_lapse, reporter, input_units))

    async def _charged(self, passed: Passed, asked: Asked, terms: _Terms) -> Admission | Response:
        """The credits, then the versions. Where credits refuse, the limits are given back."""
        api, upstream = passed.api, self._upstream(passed.api)
        if upstream is None and (api.group is not None or api.charged):
            return await self._take_back(Reason.UNCONFIGURED, passed, asked)
        try:
            held = await self._hold(passed, upstream, terms)
            user_key = await self._user_key(passed, upstream, held)
        except Unavailable:
            return await self._take_back(Reason.STORE_DOWN, passed, asked)
        if isinstance(held, Short):
            self._tell(held, passed)
            return await self._take_back(Reason.CREDITS, passed, asked, details=held.details)
        if passed.spent is not None:
            self._verifier.keep(passed.spent, (passed.operation, asked.request_id))
        return Admission(
            passed.allowed,
            api.tenant,
            api,
            passed.endpoint,
            passed.operation,
            upstream,
            asked.request_id,
            held,
            () if upstream is None else self._versions(upstream, asked.request_id, terms.policy),
            user_key,
        )

    def _upstream(self, api: Api) -> Upstream | None:
        found = self._verifier.follower.replica.upstreams.get(f"{api.tenant}/{api.group}")
        return None if found is None or found.deleted_at is not None else found

    def _versions(
        self, upstream: Upstream, request_id: str, policy: SendPolicy
    ) -> tuple[UpstreamVersion, ...]:
        now = datetime.fromtimestamp(self._clock(), UTC)
        return candidates(upstream, request_id, default=policy, now=now)

    async def _hold(self, passed: Passed, upstream: Upstream | None, terms: _Terms) -> Held | Short | None:
        if not passed.api.charged or upstream is None or passed.allowed is None:
            return None
        return await self._charges.reserve(
            upstream,
            passed.allowed.key.owner,
            cost=passed.endpoint.cost,
            at_lapse=terms.at_lapse,
            reporter=terms.reporter,
            # Where the upstream reports its units, nobody knows yet how many the body has.
            input_units=0 if "input" in passed.api.usage_pointers else terms.input_units,
        )

    async def _user_key(
        self, passed: Passed, upstream: Upstream | None, held: Held | Short | None
    ) -> int | None:
        """The version of the user's own key, if there is one. Public APIs are sent the group's."""
        if isinstance(held, Held):
            return held.balance.user_key
        owner = None if passed.allowed is None else passed.allowed.key.owner
        if held is not None or upstream is None or owner is None or passed.api.public:
            return None
        # Nodes are told of such a secret before the balance names it, so most balances need not be read; one
        # that lags sends the group's key until it has followed, as with any other change.
        known = self._verifier.follower.replica.user_secrets
        if not known or (upstream.tenant, upstream.user_secret_name(owner)) not in known:
            return None
        balance = await self._balance(upstream, owner)
        return None if balance is None else balance.user_key

    async def _balance(self, upstream: Upstream, owner: str) -> Balance | None:
        balances = self._verifier.stores.balances
        if balances is None:
            return None
        account = Account(upstream.tenant, owner, upstream.name)
        get = partial(balances.get, account, upstream.tiers, self._clock())
        return await asyncio.to_thread(get) if balances.blocks else get()

    def _tell(self, short: Short, passed: Passed) -> None:
        """Tell once in a period that a user has used up what there was."""
        if not short.is_first or passed.allowed is None:
            return
        account = Account(passed.api.tenant, passed.allowed.key.owner or "", passed.api.group or "")
        self._signals.tell(exhausted(account, short.details))

    async def _take_back(
        self, reason: Reason, passed: Passed, asked: Asked, details: Mapping[str, Any] | None = None
    ) -> Response:
        """Refuse what had passed until here; it keeps nothing of what it was charged."""
        denied = Denied(reason, details=details or {})
        if passed.allowed is not None:
            denied = denied._replace(key=passed.allowed.key, secret=passed.allowed.secret)
        if passed.spent is not None:
            origin = (passed.operation, asked.request_id)
            undo = partial(self._verifier.give_back, passed.spent, denied, origin)
            denied = await asyncio.to_thread(undo) if self._verifier.stores.counters.blocks else undo()
        if reason is Reason.UNCONFIGURED:
            refused = Refused.UPSTREAM_KEY_UNAVAILABLE
            return self.refusals.refuse(refused, request_id=asked.request_id, now=self._clock())
        return self.refusals.deny(denied, request_id=asked.request_id, now=self._clock())
