"""Every object that this service writes, lists or loads goes through here, and through obstore.

All calls block. Whatever goes wrong is Unavailable: what could not be asked is neither absent nor stored.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, S3Store
from ulid import ULID

from keyrack import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

CLIENT: ClientConfig = {"connect_timeout": "3s", "timeout": "10s", "allow_http": True}
RETRIES: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
STAGING = ".staging"


@dataclass(frozen=True, slots=True)
class Stored:
    """One object, as a listing tells it."""

    path: str
    size_bytes: int
    modified_at: datetime


class Storage:
    """Objects under one URL: `file:relative/folder`, `file:///absolute` or `s3://bucket/prefix`.

    A write has reached the disk, or the other side, when it returns. `root` is the local folder, if any.
    """

    def __init__(self, store: ObjectStore, root: Path | None = None):
        self.store = store
        self._root = root

    @classmethod
    def open(cls, url: str) -> Storage:
        """The storage at a URL; a local folder is made. Raises ConfigurationError."""
        parts = urlsplit(url)
        if parts.scheme == "file" and not parts.netloc and parts.path:
            return cls._open_folder(Path(parts.path).absolute())
        if parts.scheme == "s3" and parts.netloc:
            with _configuring():
                return cls(S3Store.from_url(url, client_options=CLIENT, retry_config=RETRIES))
        raise ConfigurationError("LAKE_STORAGE_URL", "must be `file:folder` or `s3://bucket/prefix`.")

    @classmethod
    def _open_folder(cls, root: Path) -> Storage:
        with _configuring():
            root.mkdir(parents=True, exist_ok=True)
            return cls(LocalStore(root, automatic_cleanup=True), root)

    def put(self, path: str, data: bytes) -> None:
        """Write an object, over one that is there."""
        with _translated():
            self._write(path, data, overwrite=True)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Write an object unless it exists; whether it was written."""
        with _translated(), suppress(AlreadyExistsError):
            self._write(path, data, overwrite=False)
            return True
        return False

    def get(self, path: str) -> bytes | None:
        """The bytes of an object, or None."""
        with _translated(), suppress(FileNotFoundError):
            return bytes(obstore.get(self.store, path).bytes())
        return None

    def load(self, path: str) -> bytes:
        """The bytes of an object that has to be there. Raises Unavailable when it is not."""
        data = self.get(path)
        if data is None:
            raise Unavailable("An object is gone that was there before.")
        return data

    def exists(self, path: str) -> bool:
        """Whether there is an object."""
        with _translated(), suppress(FileNotFoundError):
            obstore.head(self.store, path)
            return True
        return False

    def tail(self, path: str, *, size_bytes: int, length: int) -> bytes:
        """The last bytes of an object of that size, at most so many. One that is gone is Unavailable."""
        with _translated():
            return bytes(
                obstore.get_range(self.store, path, start=max(0, size_bytes - length), end=size_bytes)
            )

    def list(self, prefix: str) -> list[Stored]:
        """All objects below a prefix, by path. Staged writes are none."""
        with _translated():
            pages = obstore.list(self.store, _folder(prefix))
            found = [Stored(one["path"], one["size"], one["last_modified"]) for page in pages for one in page]
        return sorted(found, key=lambda one: one.path)

    def has_any(self, prefix: str) -> bool:
        """Whether there is an object below a prefix."""
        with _translated():
            return any(page for page in obstore.list(self.store, _folder(prefix), chunk_size=1))

    def folders(self, prefix: str) -> Sequence[str]:
        """The names of what lies directly below a prefix and has objects below itself."""
        with _translated():
            below = obstore.list_with_delimiter(self.store, _folder(prefix))["common_prefixes"]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in below)

    def delete(self, paths: Sequence[str]) -> None:
        """Remove objects; one that is gone is no trouble."""
        for path in paths:
            with _translated(), suppress(FileNotFoundError):
                obstore.delete(self.store, path)

    def _write(self, path: str, data: bytes, *, overwrite: bool) -> None:
        if self._root is None:
            obstore.put(self.store, path, data, mode="overwrite" if overwrite else "create")
        else:
            self._write_file(self._root, path, data, overwrite=overwrite)

    def _write_file(self, root: Path, path: str, data: bytes, *, overwrite: bool) -> None:
        """The library syncs no file: write aside, sync, move into place, sync the folders above."""
        staged = f"{STAGING}/{ULID()}"
        obstore.put(self.store, staged, data)
        _sync(root / staged)
        try:
            obstore.rename(self.store, staged, path, overwrite=overwrite)
        except AlreadyExistsError:
            obstore.delete(self.store, staged)
            raise
        for folder in Path(path).parents:
            _sync(root / folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _folder(prefix: str) -> str:
    """A prefix without its slash would take in neighbours whose names begin alike; empty, it is the root."""
    if prefix and not prefix.endswith("/"):
        raise ValueError("A prefix ends in a slash.")
    return prefix


@contextmanager
def _translated() -> Iterator[None]:
    """The one place where trouble with the storage gets its name; the text may quote a URL, so it goes."""
    try:
        yield
    except (BaseError, OSError) as error:
        raise Unavailable("The storage cannot be used.") from error


@contextmanager
def _configuring() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise ConfigurationError("LAKE_STORAGE_URL", "names a storage that cannot be opened.") from error
