"""What a deleted group leaves: the balances of its users, and their own keys.

A group that takes its name gets neither.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from itertools import groupby

from keyrack.core.authority import Authority
from keyrack.core.upstream import Upstream, upstream_id
from keyrack.gateway.admin.tidying import NOTHING_OPENED, TIDIER
from keyrack.gateway.admin.user_keys import UserKeys
from keyrack.stores.balances import Account, Balance
from keyrack.stores.follower import Follower
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores

PAGE = 100
"""Of balances that are looked at and cleared in one step."""


class Leftovers:
    """Clears deleted groups, each once in a process; any number of processes may do it."""

    def __init__(self, stores: Stores, follower: Follower):
        self._stores = stores
        self._follower = follower
        self._cleared: set[tuple[str, int]] = set()

    def clear(self) -> None:
        """Clear the groups that were deleted since the last call. Raises Unavailable."""
        deleted = sorted(
            (one for one in list(self._follower.replica.upstreams.values()) if self._is_new(one)),
            key=lambda one: one.tenant,
        )
        for tenant, groups in groupby(deleted, key=lambda one: one.tenant):
            found = list(groups)
            clear(self._stores, tenant, {one.name for one in found}, by=Authority.service(TIDIER, ()))
            self._cleared.update((one.id, one.revision) for one in found)

    def _is_new(self, upstream: Upstream) -> bool:
        return upstream.deleted_at is not None and (upstream.id, upstream.revision) not in self._cleared


def clear(stores: Stores, tenant: str, groups: Collection[str], *, by: Authority) -> None:
    """Erase the users' own keys of deleted groups, and remove the balances; may be stopped and repeated.

    A group that was made anew keeps what it has. Raises Unavailable.
    """
    balances, after = stores.balances, 0
    if balances is None:
        return
    while page := balances.find(tenant, after=after, most=PAGE):
        left = [balance for _, balance in page if balance.account.group in groups]
        for account in _erased(stores, left, by) if left else ():
            balances.remove(account)
        after = page[-1][0]


def _erased(stores: Stores, left: Sequence[Balance], by: Authority) -> list[Account]:
    """Whose balances can go, now that their own keys are erased, which nothing finds without a balance."""
    now = datetime.fromtimestamp(int(stores.clock()), UTC)

    def change(draft: Draft) -> list[Account]:
        keys, gone = UserKeys(draft, NOTHING_OPENED, by, now), []
        for balance in left:
            upstream = draft.upstream(upstream_id(balance.account.tenant, balance.account.group))
            if upstream is None or upstream.deleted_at is None:
                continue
            if balance.user_key is not None:
                keys.erase(upstream, balance.account.owner, balance.user_key)
            gone.append(balance.account)
        return gone

    return stores.ledger.commit(change)
