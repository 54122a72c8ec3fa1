"""Peppers made together with a new store, and kept in a file beside it: for one machine.

They are made once, with a store that does not exist yet, and never afterwards: other peppers than
those a store was written under open nothing of it.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

from keyrack.core.peppers import SETTING, Peppers
from keyrack.secret_file import SecretFile
from keyrack.settings import Settings
from keyrack.stores.urls import DEFAULT_URL, is_static


def _fresh() -> str:
    return f"p1:{secrets.token_urlsafe(48)}"


_FILE = SecretFile(SETTING, ".peppers", _fresh, Peppers.parse)
beside_store = _FILE.beside_store
read = _FILE.read
make = _FILE.make


def with_peppers(settings: Settings) -> Settings:
    """The settings completed with the peppers of a store that exists: as set, else from its file.

    With `--dev` keys in the environment get peppers for as long as the process lives. What is missing
    otherwise is left missing, for whoever opens the store to say so.
    """
    if settings.peppers is not None:
        return settings
    path = beside_store(settings.store)
    if path is not None and path.exists():
        return replace(settings, peppers=read(path))
    if settings.dev and is_static(settings.store):
        return replace(settings, peppers=_fresh())
    return settings


def may_make(settings: Settings) -> bool:
    """Whether missing peppers may be made with a new store: on the default SQLite file, or in dev."""
    return settings.peppers is None and (settings.dev or settings.store == DEFAULT_URL)
