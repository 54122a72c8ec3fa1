"""Places for files: a directory of this machine, or an object store. Paths come from `layout` alone."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import AzureStore, GCSStore, S3Store, from_url

from examples.ci_results.problems import Unavailable
from keyrack import ConfigurationError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

CHUNK = 256 * 1024
_SCHEMES = ("s3", "gs", "az")


_CLIENT: ClientConfig = {
    "allow_http": True,
    "connect_timeout": timedelta(seconds=3),
    "timeout": timedelta(seconds=30),
}
_RETRIES: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=30)}
"""A request waits for an answer of the store, so the store is not asked for minutes."""


class Files(Protocol):
    """One place. Every method raises Unavailable when the place cannot be reached."""

    def put(self, path: str, source: Path) -> None:
        """Keep the content of a local file here, whole or not at all."""

    def read(self, path: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The content in chunks, from a byte on; nothing where there is no such file."""

    def size(self, path: str) -> int | None:
        """How many bytes it has; None where there is no such file."""

    def sign(self, path: str, minutes: float) -> str | None:
        """An address where anybody may fetch it for so long; None where there is no such thing here."""

    def answers(self) -> bool:
        """Whether the place can be reached now."""


class LocalFiles:
    """A directory. What leads out of it, by a link as well, is not there."""

    def __init__(self, root: Path):
        self._root = root.absolute()

    def put(self, path: str, source: Path) -> None:
        target = self._root / path
        self._require_inside(target.parent)  # before a folder is made where a link leads
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(source, target)
        except OSError as error:
            raise Unavailable("The file storage cannot be written.") from error

    def read(self, path: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        size = self.size(path)
        if size is None:
            return
        left = size - start if length is None else length
        try:
            file = (self._root / path).open("rb")
        except OSError as error:
            raise Unavailable("The file storage cannot be read.") from error
        with file:
            file.seek(start)
            while left > 0 and (chunk := file.read(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk

    def size(self, path: str) -> int | None:
        target = self._root / path
        try:
            found = target.lstat()
            is_there = stat.S_ISREG(found.st_mode) and self._is_inside(target)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unavailable("The file storage cannot be read.") from error
        return found.st_size if is_there else None

    def sign(self, path: str, minutes: float) -> str | None:
        return None

    def answers(self) -> bool:
        return self._root.is_dir() and os.access(self._root, os.R_OK | os.W_OK | os.X_OK)

    def _is_inside(self, target: Path) -> bool:
        real = Path(os.path.realpath(target))  # Path.resolve raises where links go round in a circle
        return real.is_relative_to(os.path.realpath(self._root))

    def _require_inside(self, folder: Path) -> None:
        if not self._is_inside(folder):
            raise Unavailable("A folder of the file storage leads out of it.")


class ObjectFiles:
    """A prefix of an object store."""

    def __init__(self, url: str):
        self._store = from_url(url, client_options=_CLIENT, retry_config=_RETRIES)

    def put(self, path: str, source: Path) -> None:
        try:
            obstore.put(self._store, path, source)
        except BaseError as error:
            raise Unavailable("The object storage cannot be written.") from error

    def read(self, path: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        size = self.size(path)
        if size is None:
            return
        end = size if length is None else min(size, start + length)
        for first in range(start, end, CHUNK):
            yield self._part(path, first, min(first + CHUNK, end))

    def size(self, path: str) -> int | None:
        try:
            return obstore.head(self._store, path)["size"]
        except (NotFoundError, FileNotFoundError):
            return None
        except BaseError as error:
            raise Unavailable("The object storage cannot be read.") from error

    def sign(self, path: str, minutes: float) -> str | None:
        if not isinstance(self._store, S3Store | GCSStore | AzureStore):
            return None
        try:
            return obstore.sign(self._store, "GET", path, timedelta(minutes=minutes))
        except BaseError as error:
            raise Unavailable("The object storage cannot be read.") from error

    def answers(self) -> bool:
        try:
            obstore.list_with_delimiter(self._store)
        except BaseError:
            return False
        return True

    def _part(self, path: str, start: int, end: int) -> bytes:
        try:
            return bytes(obstore.get_range(self._store, path, start=start, end=end))
        except BaseError as error:
            raise Unavailable("The object storage cannot be read.") from error


def open_files(url: str, setting: str) -> Files:
    """The place that a URL names: `file:directory`, `s3://bucket/prefix`, `gs://`, `az://`."""
    scheme, _, path = url.partition(":")
    if scheme == "file" and path:
        root = Path(path.removeprefix("//"))
        with suppress(OSError):  # whether it can be written is seen by the health check
            root.mkdir(parents=True, exist_ok=True)
        return LocalFiles(root)
    if scheme in _SCHEMES:
        return _open_objects(url, setting)
    raise ConfigurationError(setting, "must be file:directory, s3://bucket/prefix, gs:// or az://.")


def _open_objects(url: str, setting: str) -> ObjectFiles:
    try:
        return ObjectFiles(url)
    except BaseError:
        raise ConfigurationError(setting, "names no object store that can be opened.") from None


def _copy(source: Path, target: Path) -> None:
    """Copy beside the target and rename, so that nobody ever sees half a file."""
    handle, name = tempfile.mkstemp(dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file, source.open("rb") as content:
            shutil.copyfileobj(content, file, CHUNK)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
