"""From the URL of a directory or a bucket to its store; a new one has to show that it refuses."""

from __future__ import annotations

import secrets
from pathlib import Path

from keyrack.core.errors import ConfigurationError, Unavailable
from keyrack.core.peppers import Peppers
from keyrack.stores.objects.directory import STORE, Directory, directory_of, make_directory
from keyrack.stores.objects.journal import ObjectJournal
from keyrack.stores.objects.keys import ObjectKeys
from keyrack.stores.objects.paths import Place, path_of
from keyrack.stores.objects.storage import Storage


def open_objects(url: str, peppers: Peppers, *, create: bool) -> tuple[ObjectKeys, ObjectJournal]:
    """The keys and the journal at a URL. Only `create` makes a directory; a bucket is there before.

    Raises ConfigurationError for a missing directory, and for a storage that fails the probe.
    """
    storage = open_storage(url, create=create)
    if create:
        probe(storage)
    keys = ObjectKeys(storage, peppers)
    return keys, ObjectJournal(storage, clock=keys.clock)


def open_storage(url: str, *, create: bool = False) -> Storage:
    """The storage that a URL names. Nothing is asked of a bucket yet."""
    root = directory_of(url)
    if root is not None:
        return _open_directory(root, create=create)
    # Imported here: a directory needs no library.
    from keyrack.stores.objects.bucket import Bucket

    if not url.partition("://")[2].partition("/")[0]:
        raise ConfigurationError(STORE, "names no bucket; write s3://bucket/prefix.")
    return Bucket(url)


def probe(storage: Storage) -> None:
    """See that put-if-absent is refused the second time. Raises ConfigurationError."""
    path = path_of(Place.PROBE, secrets.token_hex(8))
    try:
        first, second = storage.put(path, b"{}"), storage.put(path, b"{}")
        storage.remove(path)
    except Unavailable as error:
        raise ConfigurationError(STORE, f"names a storage that cannot be written: {error.detail}") from None
    if first is None or second is not None:
        raise ConfigurationError(
            STORE, "names a storage that writes over an object when it is told to write an absent one."
        )


def _open_directory(root: Path, *, create: bool) -> Directory:
    if create:
        _make(root)
    if not root.is_dir():
        raise ConfigurationError(
            STORE, f"names {root}, which is no directory; `keyrack init` makes a missing one."
        )
    return Directory(root)


def _make(root: Path) -> None:
    try:
        make_directory(root)
    except OSError as error:
        raise ConfigurationError(
            STORE, f"names {root}, which cannot be created: {type(error).__name__}."
        ) from None
