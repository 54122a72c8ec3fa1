"""What a proxy is handed for a request that it carries itself: the decision, and the upstream's key.

A key is handed only to a proxy whose own key names the API, of its own tenant, in a scope; a scope that
merely covers that one, such as `*:*`, is not enough.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from keyrack.core.errors import Unavailable
from keyrack.core.http import Headers, Response
from keyrack.core.model import Address, Allowed
from keyrack.core.sending import candidates
from keyrack.core.upstream import Api, SendPolicy
from keyrack.gateway import receipts
from keyrack.gateway.admission import Admission
from keyrack.gateway.data_plane import DataPlane
from keyrack.gateway.injection import Injection, UpstreamKeyUnavailable
from keyrack.gateway.monitoring.signals import Signal, SignalKind
from keyrack.gateway.paths import Target
from keyrack.gateway.receipts import Receipt
from keyrack.gateway.refusals import Refused
from keyrack.stores.balances import Outcome

POLICY = SendPolicy.HOLD_OLD
"""There is no second attempt with another version, so an operator says when the new one is sent."""
NOBODY = ""
"""The reporter of a decision that was told to a proxy without a key: nobody can be it."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A request that the proxy may send."""

    admission: Admission
    request_id: str
    """What the proxy reports its outcome under."""
    injection: Injection | None
    """The header that the upstream takes its key in; None where the API needs none."""


class Handover:
    """Admits requests that proxies carry."""

    def __init__(self, plane: DataPlane):
        self._verifier = plane.verifier
        self._admissions = plane.admissions
        self._injector = plane.injector
        self._charges = plane.charges
        self._signals = plane.monitoring.signals

    async def hand(
        self, proxy: Allowed | None, target: Target, headers: Headers, client: Address | None
    ) -> Handed | Response:
        """Admit a request for this proxy, or say with which problem document to refuse it.

        What is reserved is settled when nobody reports.
        """
        reporter = NOBODY if proxy is None else proxy.key.id
        admission = await self._admissions.admit(
            target,
            headers,
            client,
            policy=POLICY,
            at_lapse=Outcome.SETTLED,
            reporter=reporter,
        )
        if isinstance(admission, Response):
            return admission
        try:
            number, injection = await self._injection(proxy, admission)
        except UpstreamKeyUnavailable as error:
            return await self._withdraw(admission, error)
        return Handed(admission, self._request_id(admission, reporter, number), injection)

    async def _injection(self, proxy: Allowed | None, admission: Admission) -> tuple[int, Injection | None]:
        """The version that is handed over, and its header. Raises UpstreamKeyUnavailable."""
        if admission.upstream is None:
            return 0, None
        if proxy is None or not may_be_handed(proxy, admission.api):
            raise UpstreamKeyUnavailable("This proxy may not be handed the key of this API.")
        server, number = admission.api.servers[0], admission.candidates[0].number
        try:
            return number, await self._injector.injection(admission, number, server)
        except UpstreamKeyUnavailable:
            # It may have been destroyed since it was chosen; then there is another to choose.
            chosen = self._chosen_now(admission.upstream.id, admission.request_id)
            if chosen == number:
                raise
        return chosen, await self._injector.injection(admission, chosen, server)

    def _chosen_now(self, upstream_id: str, request_id: str) -> int:
        """The version that would be chosen for this request now."""
        upstream = self._verifier.follower.replica.upstreams[upstream_id]
        now = datetime.fromtimestamp(self._verifier.clock(), UTC)
        return candidates(upstream, request_id, default=POLICY, now=now)[0].number

    async def _withdraw(self, admission: Admission, error: UpstreamKeyUnavailable) -> Response:
        """Nothing will be sent: give back what was reserved, and tell the operator."""
        if admission.held is not None:
            # Where that cannot be done now, nothing passes all the same.
            with suppress(Unavailable):
                await self._charges.end(admission.held.id, Outcome.REFUNDED)
        told = {"api": admission.api.name, "detail": error.detail}
        kind, group = SignalKind.UPSTREAM_KEY_UNAVAILABLE, admission.api.group or ""
        self._signals.tell(Signal(kind, admission.tenant, group, told))
        refused, now = Refused.UPSTREAM_KEY_UNAVAILABLE, self._verifier.clock()
        rates = () if admission.allowed is None else admission.allowed.rates
        request_id = admission.request_id
        return self._admissions.refusals.refuse(refused, request_id=request_id, now=now, rates=rates)

    def _request_id(self, admission: Admission, reporter: str, number: int) -> str:
        if reporter == NOBODY or admission.upstream is None:
            return admission.request_id
        receipt = Receipt(
            admission.request_id if admission.held is None else admission.held.id,
            admission.held is not None,
            0 if admission.user_key is not None else number,
            "" if admission.allowed is None else admission.allowed.key.id,
            admission.upstream.name,
        )
        return receipts.write(receipt, reporter, self._verifier.stores.peppers)


def may_be_handed(proxy: Allowed, api: Api) -> bool:
    """Whether a proxy's key names this API among those whose upstream key it is handed.

    The key itself, and not its session alone: that may name what its key only covers.
    """
    name = f"apis/{api.name}/{api.version}:inject"
    return proxy.key.tenant == api.tenant and name in proxy.key.scopes and name in proxy.scopes
