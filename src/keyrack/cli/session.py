"""The store that a command works on, opened as the settings say, and in whose name it is changed."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from keyrack.admin.founding import found, import_static, static_callers
from keyrack.cli import display
from keyrack.core.authority import Authority
from keyrack.core.errors import ConfigurationError
from keyrack.core.events import Head
from keyrack.core.policy import Policy
from keyrack.issuer import Issuer
from keyrack.pepper_file import with_peppers
from keyrack.settings import Settings
from keyrack.stores.follower import steady, store_max_stale
from keyrack.stores.heads import head_of, missing_peppers
from keyrack.stores.nodes import wait_until_passed
from keyrack.stores.opened import Stores
from keyrack.stores.urls import open_stores
from keyrack.tenancy import Tenants


@dataclass(frozen=True, slots=True)
class Session:
    """One command's store and authority."""

    stores: Stores
    policy: Policy
    by: Authority

    def issuer(self) -> Issuer:
        """An Issuer whose `wait` waits for the nodes that run on this store."""
        return Issuer(self.stores, self.policy, spread=self.spread)

    def tenants(self) -> Tenants:
        """The tenants of the store, likewise."""
        return Tenants(self.stores, spread=self.spread)

    def now(self) -> datetime:
        """The store's time."""
        return datetime.fromtimestamp(self.stores.clock(), UTC)

    def head(self) -> Head:
        """The head of the store's log."""
        return head_of(self.stores.keys.last(), self.stores.keys, self.stores.peppers)

    def spread(self, number: int, wait: bool) -> None:
        """Wait, where asked, until every node has passed an event, at most max_stale."""
        if not wait:
            return
        committed_at = steady()
        most = store_max_stale(self.stores.keys, self.stores.peppers, self.head())
        with display.waiting(f"Waiting until every node has passed event {number}, at most {most:g} s"):
            wait_until_passed(self.stores.journal, number, committed_at=committed_at, max_stale=most)


@contextmanager
def opened(store: str | None) -> Iterator[Session]:
    """The store of this URL, or of the settings. Raises ConfigurationError and Unavailable."""
    settings = with_peppers(Settings.read(store=store))
    # Counters are nothing that a change of keys needs, so no file of theirs is touched.
    stores = open_stores(
        settings.store, peppers=settings.peppers, counters="memory:", credits=settings.credits
    )
    try:
        _require_founded(stores, settings.policy)
        yield Session(stores, settings.policy, operator())
    finally:
        stores.close()


def operator() -> Authority:
    """Whoever is logged in, by name where there is one that can stand in the log."""
    try:
        return Authority.operator(getpass.getuser())
    except (KeyError, OSError, ValueError):
        return Authority.operator("cli")


def _require_founded(stores: Stores, policy: Policy) -> None:
    """Refuse a store that nobody initialised; keys from the environment are read now."""
    if stores.fixed:
        found(stores)
        import_static(stores, static_callers(stores.url, None, policy), policy)
    missing_peppers(stores.keys, stores.peppers)
    if stores.keys.last() is None:
        raise ConfigurationError("KEYRACK_STORE", "names an empty store; `keyrack init` makes its first key.")
