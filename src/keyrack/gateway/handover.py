"""What a proxy is handed for a request that it carries itself: the decision, and the upstream's key.

A key is handed only to a proxy whose own key names the API, of its own tenant, in a scope; a scope that
merely covers that one, such as `*:*`, is not enough.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from keyrack.core.errors import Unavailable
from keyrack.core.http import Headers, Response
from keyrack.core.model import Address, Allowed
from keyrack.core.upstream import Api, SendPolicy
from keyrack.gateway import receipts
from keyrack.gateway.admission import Admission
from keyrack.gateway.data_plane import DataPlane
from keyrack.gateway.injection import Injection, UpstreamKeyUnavailable
from keyrack.gateway.paths import Target
from keyrack.gateway.receipts import Receipt
from keyrack.gateway.signals import Signal, SignalKind
from keyrack.stores.balances import Outcome

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
        self._peppers = plane.verifier.stores.peppers
        self._admissions = plane.admissions
        self._injector = plane.injector
        self._charges = plane.charges
        self._signals = plane.monitoring.signals

    async def hand(
        self, proxy: Allowed | None, target: Target, headers: Headers, client: Address | None
    ) -> Handed | Response:
        """Admit a request for this proxy, or say with which problem document to refuse it.

        There is no second attempt with another version, so the old one is held until an operator says
        otherwise. What is reserved is settled when nobody reports.
        """
        reporter = NOBODY if proxy is None else proxy.key.id
        admission = await self._admissions.admit(
            target,
            headers,
            client,
            policy=SendPolicy.HOLD_OLD,
            at_lapse=Outcome.SETTLED,
            reporter=reporter,
        )
        if isinstance(admission, Response):
            return admission
        try:
            injection = await self._injection(proxy, admission)
        except UpstreamKeyUnavailable as error:
            return await self._withdraw(admission, error)
        return Handed(admission, self._request_id(admission, reporter), injection)

    async def _injection(self, proxy: Allowed | None, admission: Admission) -> Injection | None:
        if admission.upstream is None:
            return None
        if proxy is None or not may_be_handed(proxy, admission.api):
            raise UpstreamKeyUnavailable("This proxy may not be handed the key of this API.")
        return await self._injector.injection(admission, _number(admission), admission.api.servers[0])

    async def _withdraw(self, admission: Admission, error: UpstreamKeyUnavailable) -> Response:
        """Nothing will be sent: give back what was reserved, and tell the operator."""
        if admission.held is not None:
            # Where that cannot be done now, nothing passes all the same.
            with suppress(Unavailable):
                await self._charges.end(admission.held.id, Outcome.REFUNDED)
        told = {"version": _number(admission)}
        group = str(admission.api.group)
        self._signals.tell(Signal(SignalKind.UPSTREAM_KEY_UNAVAILABLE, admission.tenant, group, told))
        return self._admissions.refusals.fail(error, request_id=admission.request_id)

    def _request_id(self, admission: Admission, reporter: str) -> str:
        if reporter == NOBODY or admission.upstream is None:
            return admission.request_id
        receipt = Receipt(
            admission.request_id if admission.held is None else admission.held.id,
            0 if admission.user_key is not None else _number(admission),
            "" if admission.allowed is None else admission.allowed.key.id,
            admission.upstream.name,
        )
        return receipts.write(receipt, reporter, self._peppers)


def may_be_handed(proxy: Allowed, api: Api) -> bool:
    """Whether a proxy's key names this API among those whose upstream key it is handed."""
    return proxy.key.tenant == api.tenant and f"apis/{api.name}/{api.version}:inject" in proxy.scopes


def _number(admission: Admission) -> int:
    return admission.candidates[0].number
