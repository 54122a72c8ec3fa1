"""SQLite for the key store: WAL, synchronous=FULL, one writer at a time, and a cheap look for news."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from keyrack.core.errors import ConfigurationError, Unavailable
from keyrack.stores.sql.database_file import DatabaseFile, make_file
from keyrack.stores.sql.keys import SqlKeys
from keyrack.stores.sql.migrate import is_migrated, migrate

BUSY_SECONDS = 5.0


class SqliteKeys(SqlKeys):
    """The key store in one file, shared by the processes of one machine."""

    def __init__(self, path: Path):
        self._file = DatabaseFile(path)
        self._engine = self._file.engine(busy_seconds=BUSY_SECONDS, synchronous="FULL")
        reading, writing = (
            partial(self._file.reading, self._engine),
            partial(self._file.writing, self._engine),
        )
        super().__init__(reading=reading, writing=writing, blocks=False)
        self._watch = self._file.connect()
        self._seen: int | None = None

    def hold(self) -> None:
        """Know the file and its log from now on. Raises Unavailable."""
        with _watching():
            self._file.hold(self._watch)

    def moved(self) -> bool:
        """Compare SQLite's own counter of other connections' commits (PRAGMA data_version)."""
        self._file.require_same()
        with _watching():
            (version,) = self._watch.execute("PRAGMA data_version").fetchone()
        moved, self._seen = version != self._seen, version
        return bool(moved)

    def close(self) -> None:
        self._watch.close()
        self._engine.dispose()


@contextmanager
def _watching() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(f"The key store failed: {type(error).__name__}.") from None


def open_sqlite(path: Path, *, create: bool) -> SqliteKeys:
    """Open the store in this file, migrated. A missing file is made only when asked for.

    Raises ConfigurationError for a missing or newer one, Unavailable for trouble.
    """
    if not path.exists():
        if not create:
            raise ConfigurationError(
                "KEYRACK_STORE", f"names {path}, which does not exist; `keyrack init` creates it."
            )
        make_file(path)
    if not path.is_file():
        raise ConfigurationError("KEYRACK_STORE", f"names {path}, which is no file.")
    keys = SqliteKeys(path)
    with ExitStack() as undone:
        undone.callback(keys.close)
        _migrate(keys)
        keys.hold()
        undone.pop_all()
    return keys


def _migrate(keys: SqliteKeys) -> None:
    # A look first: of many processes that start at once, none waits for the others to have a look.
    with keys._reading() as connection:
        if is_migrated(connection):
            return
    with keys._writing() as connection:
        migrate(connection)
