"""A directory as a store of objects: a hard link is its put-if-absent, and fsync makes it durable."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from keyrack.core.errors import ConfigurationError, Unavailable
from keyrack.stores.objects.storage import Found, Listed

STORE = "KEYRACK_STORE"


class Directory:
    """The directory that this path named when it was opened. Implements Storage."""

    def __init__(self, root: Path):
        self._root = root
        self._identity = _identity(root)

    def get(self, path: str) -> Found | None:
        with self._here():
            try:
                file = (self._root / path).open("rb")
            except FileNotFoundError:
                return None
            with file:
                return Found(file.read(), _tag(os.fstat(file.fileno())))

    def tag(self, path: str) -> str | None:
        with self._here():
            try:
                return _tag((self._root / path).stat())
            except FileNotFoundError:
                return None

    def written_at(self, path: str) -> float | None:
        with self._here():
            try:
                return (self._root / path).stat().st_mtime
            except FileNotFoundError:
                return None

    def list(self, folder: str, *, after: str = "") -> Sequence[Listed]:
        with self._here():
            paths = sorted(path for path in self._paths(folder) if path > after)
            return [one for path in paths if (one := self._listed(path)) is not None]

    def put(self, path: str, data: bytes) -> str | None:
        with self._here():
            target = self._target(path)
            with _draft(target, data, durable=True) as draft:
                try:
                    target.hardlink_to(draft)
                except FileExistsError:
                    return None
            _sync(target.parent)
            return _tag(target.stat())

    def replace(self, path: str, data: bytes) -> None:
        with self._here():
            target = self._target(path)
            # Not durable: whatever may be replaced here can be made again.
            with _draft(target, data, durable=False) as draft:
                draft.replace(target)

    def remove(self, path: str) -> None:
        with self._here():
            (self._root / path).unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is held."""

    @contextmanager
    def _here(self) -> Iterator[None]:
        """The one place where the system's errors become ours."""
        if self._identity is None or _identity(self._root) != self._identity:
            raise Unavailable("The store's directory was replaced or removed while it was open.")
        try:
            yield
        except OSError as error:
            raise Unavailable(f"The key store failed: {type(error).__name__}.") from None

    def _paths(self, folder: str) -> Iterator[str]:
        try:
            entries = os.scandir(self._root / folder)
        except FileNotFoundError:
            return
        with entries:
            yield from (folder + entry.name for entry in entries if not entry.name.startswith("."))

    def _listed(self, path: str) -> Listed | None:
        try:
            status = (self._root / path).stat()
        except FileNotFoundError:
            # Taken away meanwhile.
            return None
        return Listed(path, _tag(status), status.st_mtime)

    def _target(self, path: str) -> Path:
        """The file of a path, its folders made. The root is expected to be there and is never made."""
        target = self._root / path
        for above in reversed(Path(path).parents[:-1]):
            folder = self._root / above
            if not folder.is_dir():
                folder.mkdir(mode=0o700, exist_ok=True)
                _sync(folder.parent)
        return target


def directory_of(url: str) -> Path | None:
    """The directory of a `file:///abs/dir` or `file:relative/dir` url; None for another scheme.

    The path is taken as it is written. Raises ConfigurationError for a url without one.
    """
    scheme, _, path = url.partition(":")
    if scheme != "file":
        return None
    if path.startswith("//") and not path.startswith("///"):
        raise ConfigurationError(STORE, "names a host; write file:///abs/dir or file:relative/dir.")
    if not path.strip("/"):
        raise ConfigurationError(STORE, "names no directory; write file:///abs/dir or file:relative/dir.")
    return Path(path.removeprefix("//"))


def make_directory(root: Path) -> None:
    """Make the root with what is missing above it. Raises OSError."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sync(root.absolute().parent)


@contextmanager
def _draft(target: Path, data: bytes, *, durable: bool) -> Iterator[Path]:
    """A whole file beside the target, under a name that no listing shows; gone afterwards, come what may."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _tag(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
