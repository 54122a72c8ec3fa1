"""Credits for tests: a group with two tiers, and balances in it."""

from __future__ import annotations

from typing import Any

from engine_bed import OPERATOR, Bed
from session_bed import ONE

from keyrack.core.upstream import Upstream
from keyrack.gateway.admin.balances import CreditBalances
from keyrack.gateway.admin.upstreams import Upstreams
from keyrack.stores.balances import Account, Amendment, Balance
from keyrack.vault.secrets import Vault

GROUP = "openai"
SECRET = "an-upstream-key-of-theirs-0001"
OWN_KEY = "a-key-of-ada-herself-0001"
FREE = {
    "tier_name": "free",
    "credits": 10,
    "input_limit": None,
    "output_limit": None,
    "reset_frequency": "daily",
}
METERED = {**FREE, "tier_name": "metered", "credits": 100, "input_limit": 1000, "output_limit": 5000}


def group(name: str = GROUP, **given: Any) -> dict[str, Any]:
    """The group that is asked for."""
    return {
        "api_credit_group": name,
        "api_key": SECRET,
        "api_key_header": "Authorization",
        "credit_tiers": [FREE, METERED],
        **given,
    }


class Credits:
    """The group on an engine, and what is done with its balances by the operator."""

    def __init__(self, bed: Bed):
        self.bed = bed
        self.vault = Vault(ONE)
        self.upstreams = Upstreams(bed.stores, self.vault, spread=bed.verifier.spread)
        self.desk = CreditBalances(bed.stores, self.vault, spread=bed.verifier.spread)
        self.upstream: Upstream = self.upstreams.create(group(), by=OPERATOR)

    def given(self, owner: str = "ada", **stated: Any) -> Balance:
        """A balance of the free tier, or of what is stated."""
        balances = self.bed.stores.balances
        assert balances is not None
        amendment = Amendment(**{"tier": "free", **stated})
        made = balances.amend(self.account(owner), amendment, self.upstream.tiers, self.bed.clock())
        assert made is not None
        return made

    def available(self, owner: str = "ada") -> int:
        """What is left."""
        balances = self.bed.stores.balances
        assert balances is not None
        found = balances.get(self.account(owner), self.upstream.tiers, self.bed.clock())
        assert found is not None
        return found.available

    def account(self, owner: str = "ada") -> Account:
        return Account("default", owner, GROUP)

    def key(self, owner: str | None = "ada", **wish: Any) -> str:
        """The text of a key that pays for what it does."""
        _, text = self.bed.mint("logs:read", owner=owner, credits=GROUP, **wish)
        return text
