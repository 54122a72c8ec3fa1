"""A store with a key in every state that a client can meet, and the operator beside the server."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from session_bed import M1

from keyrack import Authority, Issuer, Wish, open_stores
from keyrack.admin.founding import found
from keyrack.core.master_keys import MasterKeys
from keyrack.gateway.admin.apis import Apis
from keyrack.gateway.admin.upstreams import Upstreams
from keyrack.stores.balances import Account, Amendment
from keyrack.stores.opened import Stores
from keyrack.tenancy import Tenants
from keyrack.testing import PEPPERS
from keyrack.vault.secrets import Vault

BY = Authority.operator("tests")
HOUR = 3600.0
VAULT = Vault(MasterKeys.parse(M1))
UNLIMITED = {"input_limit": None, "output_limit": None, "reset_frequency": "never"}
LONG_SCOPES = [f"{number:02}{'x' * 50}/{'y' * 60}/{'z' * 60}:{'w' * 24}" for number in range(99)]
"""With one more they are all that a key can hold."""


@dataclass(slots=True)
class Prepared:
    """The store's URL, the texts of its keys by state, and their ids."""

    url: str
    texts: dict[str, str] = field(default_factory=dict, repr=False)
    ids: dict[str, str] = field(default_factory=dict)
    upstream_key: str = field(default="the-first-key-of-the-upstream", repr=False)
    """What the upstream of the API is sent, in X-Api-Key."""

    def opened(self, *, hours_ago: float = 0.0) -> Stores:
        """The store as seen by an operator, today or some hours ago."""
        return open_stores(
            self.url, peppers=PEPPERS, create=True, clock=lambda: time.time() - hours_ago * HOUR
        )

    def upstreams(self, stores: Stores) -> Upstreams:
        """The desk of an operator, who has the master key too."""
        return Upstreams(stores, VAULT)

    def credits_of(self, owner: str) -> int:
        """What an owner has left in the group of the API."""
        stores = self.opened()
        assert stores.balances is not None
        upstream = self.upstreams(stores).get("chat", by=BY)
        balance = stores.balances.get(Account("default", owner, "chat"), upstream.tiers, stores.clock())
        stores.close()
        assert balance is not None
        return balance.available

    def mint(self, issuer: Issuer, name: str, *scopes: str, **wish: Any) -> str:
        """A new key, kept under this name; its id."""
        minted = issuer.mint(Wish(name=name, scopes=scopes, **wish), by=BY)
        assert minted.secret is not None
        self.texts[name], self.ids[name] = minted.secret, minted.key.id
        return minted.key.id


def prepare(folder: Path) -> Prepared:
    """A new store in this folder. What lies in the past was done there, so that nobody has to wait."""
    prepared = Prepared(f"sqlite:///{folder / 'keys.db'}")
    long_ago = prepared.opened(hours_ago=10)
    found(long_ago)
    _mint_past(prepared, Issuer(long_ago))
    Tenants(long_ago).create("sleepers", by=BY)
    prepared.mint(Issuer(long_ago), "suspended", "*:*", tenant="sleepers")
    Tenants(long_ago).suspend("sleepers", "workspace", by=BY)
    _make_api(prepared, long_ago)
    long_ago.close()
    return prepared


def _mint_past(prepared: Prepared, issuer: Issuer) -> None:
    read = ("app:read",)
    prepared.mint(issuer, "proxy", "gateway:authorize", "apis/chat/v1:inject")
    prepared.mint(issuer, "good", *read, "chat:use", owner="ann")
    prepared.mint(issuer, "poor", "chat:use", owner="poor")
    prepared.mint(issuer, "admin", "app:*", owner="Zoë 100%")
    prepared.mint(issuer, "nobody's", *read)
    prepared.mint(issuer, "scope", "logs:read")
    prepared.mint(issuer, "network", *read, networks=["127.0.0.7/32"])
    prepared.mint(issuer, "rate", *read, limits=[{"name": "day", "limit": 1, "window_seconds": 86400}])
    prepared.mint(
        issuer, "limited", *read, limits=[{"name": "day", "limit": 100_000, "window_seconds": 86400}]
    )
    prepared.mint(issuer, "many", *read, *LONG_SCOPES)
    ends_at = datetime.fromtimestamp(time.time() - 9 * HOUR, UTC)
    prepared.mint(issuer, "expired", *read, expires_at=ends_at)
    issuer.revoke(prepared.mint(issuer, "revoked", *read), by=BY)
    issuer.disable(prepared.mint(issuer, "disabled", *read), by=BY)
    issuer.rotate(prepared.mint(issuer, "retired", *read), by=BY, grace=timedelta(hours=1))


def _make_api(prepared: Prepared, stores: Stores) -> None:
    """An API that is charged, and credits for two users: plenty, and none."""
    group = {
        "api_credit_group": "chat",
        "api_key": prepared.upstream_key,
        "api_key_header": "X-Api-Key",
        "credit_tiers": [{"tier_name": "plenty", "credits": 1_000_000, **UNLIMITED}],
    }
    upstream = prepared.upstreams(stores).create(group, by=BY)
    endpoint = {"method": "GET", "uri": "/chat/{id}", "scope": "chat:use", "cost": 1}
    api = {
        "api_name": "chat",
        "api_version": "v1",
        "api_servers": ["http://127.0.0.1:9090"],
        "api_credit_group": "chat",
        "api_credits_enabled": True,
        "endpoints": [endpoint, {**endpoint, "method": "POST"}],
    }
    Apis(stores, VAULT).create(api, by=BY)
    assert stores.balances is not None
    for owner, available in (("ann", None), ("poor", 0)):
        amendment = Amendment(tier="plenty", available=available)
        stores.balances.amend(Account("default", owner, "chat"), amendment, upstream.tiers, stores.clock())
