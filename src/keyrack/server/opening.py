"""Opens the store that the settings name, and refuses to serve from one that is not fit for it."""

from __future__ import annotations

from keyrack.core.errors import ConfigurationError
from keyrack.pepper_file import with_peppers
from keyrack.settings import Settings
from keyrack.stores.urls import default_counters, open_stores
from keyrack.verifier import Verifier


def open_verifier(settings: Settings) -> Verifier:
    """A Verifier as the settings say. Raises ConfigurationError, Unavailable or Tampered."""
    return Verifier.open(
        settings.store,
        peppers=with_peppers(settings).peppers,
        policy=settings.policy,
        counters=settings.counters or default_counters(settings.store, workers=settings.workers),
        max_stale=settings.max_stale,
        poll=settings.poll,
        open_when_down=settings.counters_down == "open",
    )


def check_store(settings: Settings) -> None:
    """Refuse, before any port is open, a store that is missing, empty or not ours to open."""
    stores = open_stores(settings.store, peppers=with_peppers(settings).peppers)
    try:
        if not stores.fixed and stores.keys.last() is None:
            raise ConfigurationError("KEYRACK_STORE", "names an empty store; run `keyrack init` first.")
    finally:
        stores.close()
