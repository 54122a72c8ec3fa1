"""SQLite for the key store: WAL, synchronous=FULL, one writer at a time, and a cheap look for news."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, Engine

from keyrack.core.errors import ConfigurationError, Unavailable
from keyrack.stores.sql.keys import SqlKeys
from keyrack.stores.sql.migrate import migrate

BUSY_SECONDS = 5.0


class SqliteKeys(SqlKeys):
    """The key store in one file, shared by the processes of one machine."""

    def __init__(self, path: Path, engine: Engine):
        super().__init__(reading=self._read, writing=self._write, blocks=False)
        self._path = path
        self._engine = engine
        self._identity = _identity(path)
        self._watch = _watch(path)
        self._seen: int | None = None

    def moved(self) -> bool:
        """Compare SQLite's own counter of other connections' commits (PRAGMA data_version)."""
        self._require_same_file()
        try:
            (version,) = self._watch.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:
            raise Unavailable(f"The key store failed: {type(error).__name__}.") from None
        moved, self._seen = version != self._seen, version
        return bool(moved)

    def close(self) -> None:
        self._watch.close()
        self._engine.dispose()

    def _require_same_file(self) -> None:
        # What is open goes on existing without a name: it could be written to, and lost with us.
        if _identity(self._path) != self._identity:
            raise Unavailable("The store's file was replaced or removed while it was open.")

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        self._require_same_file()
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        self._require_same_file()
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()


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
    keys = SqliteKeys(path, _engine(path))
    with ExitStack() as undone:
        undone.callback(keys.close)
        with keys._writing() as connection:
            migrate(connection)
        undone.pop_all()
    return keys


def make_file(path: Path) -> None:
    """Make an empty database, whole or not at all; where another process was faster, its file stands."""
    # Under another name first: turning a shared file to WAL fails in one of two that try at once.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        draft.touch(mode=0o600, exist_ok=False)
        with closing(sqlite3.connect(draft)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(
            "KEYRACK_STORE", f"names {path}, which cannot be created: {type(error).__name__}."
        ) from None
    finally:
        draft.unlink(missing_ok=True)


def _watch(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise ConfigurationError(
            "KEYRACK_STORE", f"names {path}, which cannot be opened: {type(error).__name__}."
        ) from None


def _engine(path: Path) -> Engine:
    # autocommit=False of Python's driver would begin transactions behind our back; we say BEGIN.
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    return engine


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
