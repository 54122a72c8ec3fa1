"""A store with a key in every state that a client can meet, and the operator beside the server."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from keyrack import Authority, Issuer, Wish, open_stores
from keyrack.admin.founding import found
from keyrack.stores.opened import Stores
from keyrack.tenancy import Tenants
from keyrack.testing import PEPPERS

BY = Authority.operator("tests")
HOUR = 3600.0
LONG_SCOPES = [f"{number:02}{'x' * 50}/{'y' * 60}/{'z' * 60}:{'w' * 24}" for number in range(99)]
"""With one more they are all that a key can hold."""


@dataclass(slots=True)
class Prepared:
    """The store's URL, the texts of its keys by state, and their ids."""

    url: str
    texts: dict[str, str] = field(default_factory=dict, repr=False)
    ids: dict[str, str] = field(default_factory=dict)

    def opened(self, *, hours_ago: float = 0.0) -> Stores:
        """The store as seen by an operator, today or some hours ago."""
        return open_stores(
            self.url, peppers=PEPPERS, create=True, clock=lambda: time.time() - hours_ago * HOUR
        )

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
    long_ago.close()
    return prepared


def _mint_past(prepared: Prepared, issuer: Issuer) -> None:
    read = ("app:read",)
    prepared.mint(issuer, "good", *read, owner="ann")
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
