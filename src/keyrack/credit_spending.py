"""The end of the last step: what was charged to its limits is charged to its owner's credits as well.

So it is for keys that name a credit group. A request pays for all or for nothing: where credits refuse,
the limits are given back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keyrack.core.checks import Charge
from keyrack.core.errors import Unavailable
from keyrack.core.model import Access, Allowed, Decision, Denied, Key, Reason
from keyrack.core.upstream import Upstream, upstream_id
from keyrack.stores.balances import NO_BALANCE, Account, Order, Outcome
from keyrack.stores.charging import Spend
from keyrack.stores.crediting import shortage
from keyrack.stores.follower import Follower
from keyrack.stores.opened import Stores

CreditWatcher = Callable[[Account, Mapping[str, Any]], None]
"""Takes a balance that is used up, and what the refusal says of it."""


class CreditSpender:
    """Charges decisions to the balances of a store; where it keeps none, a key with a group never passes."""

    def __init__(self, stores: Stores, follower: Follower):
        self._balances = stores.balances
        self._counters = stores.counters
        self._follower = follower
        self.blocks = stores.balances is not None and stores.balances.blocks
        """Whether a charge may wait for a network."""
        self.watchers: list[CreditWatcher] = []
        """Called once in each period of a balance, when something is refused for it."""

    def take(self, allowed: Allowed, charges: Sequence[Charge], access: Access, now: float) -> Decision:
        """The same decision, paid for; or a refusal, for which nothing of the charges is kept."""
        refused = self._charge(allowed, access, now)
        if refused is None:
            return allowed
        # Limits that could not be counted, and passed all the same, have nothing to give back.
        return self.give_back(refused, charges, access, now) if allowed.rates else refused

    def _charge(self, allowed: Allowed, access: Access, now: float) -> Denied | None:
        key, group = allowed.key, self._group(allowed.key)
        account = Account(key.tenant, key.owner or "", key.credits or "")
        tiers = () if group is None else group.tiers
        order = Order("", account, access.cost, tiers, Outcome.SETTLED)
        if self._balances is None:
            return Denied(Reason.UNCONFIGURED, key, allowed.secret)
        try:
            is_nobodys = group is None or key.owner is None
            reserved = NO_BALANCE if is_nobodys else self._balances.take(order, now)
        except Unavailable:
            return Denied(Reason.STORE_DOWN, key, allowed.secret)
        if reserved.short is None:
            return None
        short = shortage(order, reserved)
        if reserved.first_short:
            for watch in self.watchers:
                watch(account, short)
        return Denied(Reason.CREDITS, key, allowed.secret, short)

    def _group(self, key: Key) -> Upstream | None:
        """The group that a key names, unless it was deleted."""
        group = self._follower.replica.upstreams.get(upstream_id(key.tenant, key.credits or ""))
        return None if group is None or group.deleted_at is not None else group

    def give_back(self, denied: Denied, charges: Sequence[Charge], access: Access, now: float) -> Denied:
        """Undo the take of the limits; the refusal then says what is left of them."""
        spends = [Spend(charge.bucket, charge.limit, access.cost) for charge in charges]
        try:
            self._counters.give_back(spends, now)
            left = self._counters.peek(spends, now)
        except Unavailable:
            # What could not be given back leaves with its window; the refusal stands.
            return denied
        return denied._replace(rates=left.rates)
