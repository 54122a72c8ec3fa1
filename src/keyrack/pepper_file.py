"""Peppers made together with a new store, and kept in a 0600 file beside it: for one machine.

They are made once, with a store that does not exist yet, and never afterwards: other peppers than
those a store was written under open nothing of it.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from pathlib import Path

from keyrack.core.errors import ConfigurationError
from keyrack.core.peppers import SETTING, Peppers
from keyrack.settings import Settings
from keyrack.stores.urls import DEFAULT_URL, is_static, sqlite_path

OTHERS = 0o077
"""The permissions of everybody but the owner."""


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


def beside_store(url: str) -> Path | None:
    """The peppers' file of a store: `keyrack.peppers` beside `keyrack.db`; None where there is no file."""
    path = sqlite_path(url)
    return None if path is None else path.with_suffix(".peppers")


def read(path: Path) -> str:
    """The peppers in a file. Raises ConfigurationError when others may read it too, or it is damaged."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(SETTING, f"cannot be read from {path}: {type(error).__name__}.") from None
    if mode & OTHERS:
        raise ConfigurationError(SETTING, f"stand in {path}, which others may read; `chmod 600` it.")
    Peppers.parse(text)
    return text


def make(path: Path) -> bool:
    """Make peppers in a file of their own, all of it or nothing; False when there are some already."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        _write(draft, _fresh())
        return _publish(draft, path)
    except OSError as error:
        raise ConfigurationError(SETTING, f"cannot be kept in {path}: {type(error).__name__}.") from None
    finally:
        draft.unlink(missing_ok=True)


def _fresh() -> str:
    return f"p1:{secrets.token_urlsafe(48)}"


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
