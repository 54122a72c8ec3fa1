"""Copy the balances of users into another store; may be stopped and repeated."""

from __future__ import annotations

from collections.abc import Iterator

from keyrack.core.errors import Conflict
from keyrack.core.upstream import ResetFrequency, Tier
from keyrack.stores.balances import Amendment, Balance, Balances
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Kind, Listing

PAGE = 1000


def copy_balances(source: Stores, target: Stores) -> None:
    """Make the balances of the target those of the source as they are now.

    What requests hold at that moment counts as spent. Raises what `require_room` raises.
    """
    require_room(source, target)
    if target.balances is not None:
        for tenant in _tenants(source):
            _empty(target.balances, tenant)
            for balance in _all(source.balances, tenant):
                _state(target, target.balances, balance)


def require_room(source: Stores, target: Stores) -> None:
    """Raise Conflict (`unsupported_store`) where the target keeps no balances and there are some."""
    if target.balances is None and any(any(_all(source.balances, tenant)) for tenant in _tenants(source)):
        raise Conflict(
            "The target keeps no credits, and users have some: name a place for them in KEYRACK_CREDITS.",
            code="unsupported_store",
        )


def _tenants(stores: Stores) -> list[str]:
    """Those that have had a credit group, without which nobody has a balance."""
    found, after = set[str](), 0
    while page := stores.keys.records(Listing(Kind.UPSTREAM, after=after, most=PAGE)):
        found.update(record.tenant for record in page if record.tenant is not None)
        after = page[-1].serial
    return sorted(found)


def _empty(balances: Balances, tenant: str) -> None:
    while page := balances.find(tenant, most=PAGE):
        for _, balance in page:
            balances.remove(balance.account)


def _all(balances: Balances | None, tenant: str) -> Iterator[Balance]:
    after = 0
    while balances is not None and (page := balances.find(tenant, after=after, most=PAGE)):
        yield from (balance for _, balance in page)
        after = page[-1][0]


def _state(target: Stores, balances: Balances, balance: Balance) -> None:
    # Its tier gives nothing here: all that a balance has is stated, and the next reset is the group's.
    tier = Tier(balance.tier, 0, None, None, ResetFrequency.NEVER)
    stated = Amendment(
        balance.tier,
        balance.available,
        balance.resets_at,
        balance.user_key,
        balance.input_used,
        balance.output_used,
    )
    balances.amend(balance.account, stated, [tier], target.clock())
