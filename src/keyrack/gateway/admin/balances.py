"""Look at, change and remove balances of credits: every call says by whom, and no answer has a secret.

The event comes first, as a part of the history of the group; what it says is then done in one guarded
step. Where that fails, the caller is told, and the same call again does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from keyrack.core.authority import Authority
from keyrack.core.errors import NotFound
from keyrack.core.events import EventKind
from keyrack.core.fields import name, refuse
from keyrack.core.upstream import Tier, Upstream, upstream_id
from keyrack.gateway.admin import reach
from keyrack.gateway.admin.auditing import audited
from keyrack.gateway.admin.balance_fields import BalanceWish, tier_required, validated
from keyrack.gateway.admin.edit import standing
from keyrack.gateway.admin.reach import everything
from keyrack.gateway.admin.upstreams import require_credits
from keyrack.gateway.admin.user_keys import UserKeys
from keyrack.givers import as_now
from keyrack.key_changes import Spread, require_changeable
from keyrack.stores import crediting
from keyrack.stores.balances import Account, Balance
from keyrack.stores.crediting import Standing
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Kind, Listing
from keyrack.stores.sealing import open_upstream
from keyrack.vault.secrets import Vault

MANAGE_CREDITS, READ_CREDITS = "credits:manage", "credits:read"
Given = Mapping[str, Any]
T = TypeVar("T")


class CreditBalances:
    """The balances of a tenant's users: the caller's own tenant, or with `tenants:manage` any.

    Every call blocks. Raises Conflict (`unsupported_store`) where no credits are kept.
    """

    def __init__(self, stores: Stores, vault: Vault, *, spread: Spread | None = None):
        self._stores = stores
        self._vault = vault
        self._spread = spread or (lambda number, wait: None)

    def amend(
        self, owner: str, group: str, given: Given, *, by: Authority, tenant: str | None = None
    ) -> Balance:
        """Change what is given of a balance; a missing one is made, which needs a tier.

        Raises ValidationFailed, NotHeld, NotFound (`group_not_found`), Unavailable.
        """
        wanted = reach.tenant_for(by, tenant, needs=MANAGE_CREDITS)
        require_changeable(self._stores)
        wish, balances = validated(given, now=self._now()), require_credits(self._stores)
        account = Account(wanted, name(owner, "username"), group)
        before = balances.get(account, (), self._stores.clock())
        if before is None and wish.tier is None:
            self._require_group(wanted, group)
            raise tier_required()

        def change(draft: Draft) -> tuple[Upstream, int | None]:
            keys, upstream = self._begun(draft, by, account)
            _require_tier(wish, upstream)
            number = _sealed(keys, upstream, owner, wish)
            data = {"owner": owner, "given": given}
            event = audited(EventKind.BALANCE_CHANGED, keys.by, keys.now, data)
            return draft.write_upstream(upstream, event), number

        upstream, number = self._commit(change)
        after = balances.amend(account, wish.amendment(number), upstream.tiers, self._stores.clock())
        if after is None:
            raise tier_required()
        if wish.has_key and before is not None and before.user_key is not None:
            self._erase(account, before.user_key, by)
        return after

    def remove(self, owner: str, group: str, *, by: Authority, tenant: str | None = None) -> None:
        """Drop a balance, and erase the user's own key. Raises NotFound, NotHeld, Unavailable."""
        wanted = reach.tenant_for(by, tenant, needs=MANAGE_CREDITS)
        require_changeable(self._stores)
        balances, account = require_credits(self._stores), Account(wanted, owner, group)
        before = balances.get(account, (), self._stores.clock())

        def change(draft: Draft) -> tuple[Upstream, None]:
            keys, upstream = self._begun(draft, by, account)
            if before is None:
                raise NotFound("This user has no balance in this group.")
            if before.user_key is not None:
                keys.erase(upstream, owner, before.user_key)
            event = audited(EventKind.BALANCE_REMOVED, keys.by, keys.now, {"owner": owner})
            return draft.write_upstream(upstream, event), None

        self._commit(change)
        balances.remove(account)

    def of(self, owner: str, *, by: Authority, tenant: str | None = None) -> list[Balance]:
        """The balances of a user, by group. Raises ValidationFailed, NotHeld, Unavailable."""
        return self._all(name(owner, "username"), reach.tenant_for(by, tenant, needs=READ_CREDITS))

    def own(self, *, by: Authority) -> list[Balance]:
        """The balances of whoever owns the key that asks; a key without an owner has none."""
        owner = None if by.key is None else by.key.owner
        return [] if owner is None else self._all(owner, by.tenant)

    def find(
        self, *, by: Authority, tenant: str | None = None, after: int = 0, most: int = 50, search: str = ""
    ) -> tuple[list[Balance], int | None]:
        """A page of balances in the order in which they were made, and the cursor of the next page.

        `search` is a part of the user's name.
        """
        wanted = reach.tenant_for(by, tenant, needs=READ_CREDITS)
        found = require_credits(self._stores).find(wanted, after=after, most=most + 1, search=search)
        tiers = {group.name: group.tiers for group in self._groups(wanted)}
        page = [self._as_of_now(balance, tiers.get(balance.account.group, ())) for _, balance in found[:most]]
        return page, found[most - 1][0] if len(found) > most else None

    def _all(self, owner: str, tenant: str) -> list[Balance]:
        balances, now = require_credits(self._stores), self._stores.clock()
        asked = (
            balances.get(Account(tenant, owner, group.name), group.tiers, now)
            for group in self._groups(tenant)
        )
        return [balance for balance in asked if balance is not None]

    def _groups(self, tenant: str) -> list[Upstream]:
        listing = Listing(Kind.UPSTREAM, tenant=tenant)
        return [group for _, group in everything(self._stores, listing, open_upstream)]

    def _as_of_now(self, balance: Balance, tiers: tuple[Tier, ...]) -> Balance:
        return crediting.as_of(Standing(balance, 0), tiers, self._stores.clock()).balance

    def _require_group(self, tenant: str, group: str) -> None:
        record = self._stores.keys.record(Kind.UPSTREAM, upstream_id(tenant, group))
        standing(None if record is None else open_upstream(record, self._stores.peppers))

    def _begun(self, draft: Draft, by: Authority, account: Account) -> tuple[UserKeys, Upstream]:
        """Who asks and about which group, as of this commit."""
        now = self._now()
        giver = as_now(draft, by, now, needs=MANAGE_CREDITS)
        reach.tenant_for(giver, account.tenant, needs=MANAGE_CREDITS)
        upstream = standing(draft.upstream(upstream_id(account.tenant, account.group)))
        return UserKeys(draft, self._vault, giver, now), upstream

    def _erase(self, account: Account, number: int, by: Authority) -> None:
        """Erase a key that another one has replaced; until then requests in flight may still need it."""

        def change(draft: Draft) -> None:
            keys, upstream = self._begun(draft, by, account)
            keys.erase(upstream, account.owner, number)

        self._stores.ledger.commit(change)

    def _commit(self, change: Callable[[Draft], tuple[Upstream, T]]) -> tuple[Upstream, T]:
        written = self._stores.ledger.commit(change)
        self._spread(written[0].revision, False)
        return written

    def _now(self) -> datetime:
        """The store's time to the second: what is written is compared with what is read back."""
        return datetime.fromtimestamp(int(self._stores.clock()), UTC)


def _require_tier(wish: BalanceWish, upstream: Upstream) -> None:
    if wish.tier is not None and upstream.tier(wish.tier) is None:
        known = ", ".join(tier.name for tier in upstream.tiers)
        raise refuse("tier_name", f"Give one of: {known}.")


def _sealed(keys: UserKeys, upstream: Upstream, owner: str, wish: BalanceWish) -> int | None:
    """The number of the user's own key after a change; 0 for none, None where it is left as it was."""
    if not wish.has_key:
        return None
    return 0 if wish.key is None else keys.seal(upstream, owner, wish.key)
