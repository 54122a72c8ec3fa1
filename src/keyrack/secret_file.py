"""A secret that was made on this machine, in a 0600 file of its own: for one machine, never for several."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keyrack.core.errors import ConfigurationError
from keyrack.stores.objects.directory import directory_of
from keyrack.stores.urls import sqlite_path

OTHERS = 0o077
"""The permissions of everybody but the owner."""


@dataclass(frozen=True, slots=True)
class SecretFile:
    """One kind of such a file: the setting in whose place it stands, and what may be in it."""

    setting: str
    suffix: str
    fresh: Callable[[], str]
    """Makes a new text."""
    parse: Callable[[str], object]
    """Raises ConfigurationError for a text that is none."""

    def beside_store(self, url: str) -> Path | None:
        """Where it stands: `keyrack.peppers` beside `keyrack.db`, `keys.peppers` beside the directory `keys`.

        None for a store that is in neither.
        """
        file, root = sqlite_path(url), directory_of(url)
        if root is not None:
            # Absolute, so that the directory has a name however it was written.
            return root.absolute().parent / f"{root.absolute().name}{self.suffix}"
        return None if file is None else file.with_suffix(self.suffix)

    def read(self, path: Path) -> str:
        """Its text. Raises ConfigurationError when others may read it too, or it is damaged."""
        try:
            mode = path.stat().st_mode
            text = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise self._wrong(f"cannot be read from {path}: {type(error).__name__}.") from None
        if mode & OTHERS:
            raise self._wrong(f"stand in {path}, which others may read; `chmod 600` it.")
        self.parse(text)
        return text

    def make(self, path: Path) -> bool:
        """Make one with a fresh text, all of it or nothing; False when there is one already."""
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        try:
            _write(draft, self.fresh())
            return _publish(draft, path)
        except OSError as error:
            raise self._wrong(f"cannot be kept in {path}: {type(error).__name__}.") from None
        finally:
            draft.unlink(missing_ok=True)

    def _wrong(self, detail: str) -> ConfigurationError:
        return ConfigurationError(self.setting, detail)


def _write(draft: Path, text: str) -> None:
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _publish(draft: Path, path: Path) -> bool:
    """Give the draft its name unless something bears it: a link, unlike a rename, replaces nothing."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return True
