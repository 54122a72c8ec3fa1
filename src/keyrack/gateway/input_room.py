"""How long a body may be whose length nobody stated: what its user's balance still has room for (UG-37)."""

from __future__ import annotations

from keyrack.core.model import Denied, Reason
from keyrack.gateway.admission import Admission
from keyrack.gateway.body import RequestBody
from keyrack.stores.balances import Account, Meter, Order, Outcome, Reserved
from keyrack.stores.crediting import left, shortage, tier_of


def bound(body: RequestBody, admission: Admission) -> None:
    """Let the body be no longer than that. One of stated length was looked at before it was admitted."""
    if admission.held is None or admission.upstream is None or body.stated is not None:
        return
    tiers, balance = admission.upstream.tiers, admission.held.balance
    tier = tier_of(tiers, balance.tier)
    if tier is not None and tier.input_limit is not None and "input" not in admission.api.usage_pointers:
        body.most = left(balance, Meter.INPUT, tiers)


def exceeded(body: RequestBody, admission: Admission) -> Denied:
    """The denial of a request whose body went beyond it."""
    allowed, held, upstream = admission.allowed, admission.held, admission.upstream
    if allowed is None or held is None or upstream is None:
        raise RuntimeError("A body is bounded only where somebody is charged for it.")
    account = Account(upstream.tenant, allowed.key.owner or "", upstream.name)
    order = Order(held.id, account, 0, upstream.tiers, Outcome.REFUNDED, input_units=body.size)
    details = shortage(order, Reserved(held.balance, Meter.INPUT))
    return Denied(Reason.CREDITS, allowed.key, allowed.secret, details, allowed.rates)
