"""Opens the store that the settings name, and refuses to serve from one that is not fit for it."""

from __future__ import annotations

from keyrack.admin.founding import static_callers
from keyrack.core.errors import ConfigurationError
from keyrack.core.master_keys import MasterKeys
from keyrack.pepper_file import with_peppers
from keyrack.settings import Settings
from keyrack.stores.follower import Follower
from keyrack.stores.heads import missing_peppers
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Kind, Listing
from keyrack.stores.urls import default_counters, open_stores
from keyrack.vault.secrets import require_openable
from keyrack.verifier import Verifier

_ANY_GROUP = Listing(Kind.UPSTREAM, most=1)


def open_verifier(settings: Settings) -> Verifier:
    """A Verifier as the settings say. Raises ConfigurationError, Unavailable or Tampered."""
    return Verifier.open(
        settings.store,
        peppers=with_peppers(settings).peppers,
        policy=settings.policy,
        counters=_counters(settings),
        credits=settings.credits,
        max_stale=settings.max_stale,
        poll=settings.poll,
        replica_max_keys=settings.replica_max_keys,
        open_when_down=settings.counters_down == "open",
    )


def check_store(settings: Settings) -> None:
    """Refuse, before any port is open, a store that is missing, empty or not ours to open."""
    peppers = with_peppers(settings).peppers
    stores = open_stores(
        settings.store, peppers=peppers, counters=_counters(settings), credits=settings.credits
    )
    try:
        _check(stores, settings)
    finally:
        stores.close()


def _check(stores: Stores, settings: Settings) -> None:
    if stores.fixed:
        static_callers(stores.url, None, settings.policy)
        return
    if stores.keys.last() is None:
        raise ConfigurationError("KEYRACK_STORE", "names an empty store; run `keyrack init` first.")
    require_openable(stores, master_keys(settings))
    _require_shared(stores, settings.workers)
    if missing_peppers(stores.keys, stores.peppers):
        # Whether one that is missing is needed is known once all was read; otherwise workers do that.
        Follower(stores.keys, stores.peppers, max_keys=settings.replica_max_keys).load()


def _require_shared(stores: Stores, workers: int) -> None:
    """Refuse several processes where what gateways share would be counted by each for itself."""
    if workers > 1 and stores.gateway.reach == "process" and stores.keys.records(_ANY_GROUP):
        raise ConfigurationError(
            "KEYRACK_WORKERS", "must be 1: this store has credit groups, and no place for what workers share."
        )


def master_keys(settings: Settings) -> MasterKeys | None:
    """The master keys that the settings hold, if any."""
    return None if settings.master_keys is None else MasterKeys.parse(settings.master_keys)


def _counters(settings: Settings) -> str:
    return settings.counters or default_counters(settings.store, workers=settings.workers)
