"""Makes a store, with its peppers where that is allowed. When several try at once, one wins."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from keyrack import pepper_file
from keyrack.admin.founding import found
from keyrack.cli.session import opened
from keyrack.core.errors import ConfigurationError, StoreExists, Tampered
from keyrack.core.scopes import EVERYTHING
from keyrack.settings import Settings
from keyrack.stores.objects.directory import directory_of
from keyrack.stores.objects.paths import Place
from keyrack.stores.opened import Stores
from keyrack.stores.urls import is_static, open_stores, public_url, sqlite_path
from keyrack.wishes import Wish


def create(settings: Settings) -> None:
    """Make the store of these settings. Raises StoreExists, and nothing is changed, if it is there."""
    if settings.store == "memory:" or is_static(settings.store):
        raise ConfigurationError(
            "KEYRACK_STORE", "names a store that lives in the process; it needs no init."
        )
    completed, made = _with_peppers(settings)
    with closing(
        open_stores(settings.store, peppers=completed.peppers, counters="memory:", create=True)
    ) as stores:
        _found(stores, settings, made)


def mint_root(settings: Settings) -> str:
    """The text of a new key that may do everything."""
    with opened(settings.store) as session:
        minted = session.issuer().mint(Wish("root", scopes=(EVERYTHING,)), by=session.by)
    return minted.secret or ""


def _with_peppers(settings: Settings) -> tuple[Settings, Path | None]:
    """The settings with peppers, and the file of those that were made for them just now."""
    path = pepper_file.beside_store(settings.store)
    if path is None or not pepper_file.may_make(settings):
        return settings, None
    if _is_there(settings.store) and not path.exists():
        raise _exists(settings)
    made = pepper_file.make(path)
    return replace(settings, peppers=pepper_file.read(path)), path if made else None


def _is_there(url: str) -> bool:
    """Whether there is a store in this file or directory, whatever opens it."""
    file, root = sqlite_path(url), directory_of(url)
    if root is not None:
        return (root / Place.LOG.folder).exists()
    return file is not None and file.exists()


def _found(stores: Stores, settings: Settings, made: Path | None) -> None:
    try:
        if found(stores, max_stale=settings.max_stale):
            return
    except (ConfigurationError, Tampered):
        # The store is there under peppers of somebody else's; those made just now are nobody's.
        if made is not None:
            made.unlink()
    raise _exists(settings)


def _exists(settings: Settings) -> StoreExists:
    return StoreExists(
        f"The store {public_url(settings.store)} exists; nothing was changed. "
        "Another root key: `keyrack keys mint NAME --scope '*:*'`."
    )
