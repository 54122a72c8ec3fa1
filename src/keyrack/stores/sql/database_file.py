"""One SQLite file of ours: made whole, opened only where it stands, and told from any that replaces it."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, Engine

from keyrack.core.errors import ConfigurationError, Unavailable


class DatabaseFile:
    """The file that this path named when it was opened."""

    def __init__(self, path: Path):
        self._path = path
        self._identity = _identity(path)
        # Beside the file itself, whatever link leads to it.
        self._log = Path(f"{path.resolve()}-wal")
        self._log_identity: tuple[int, int] | None = None
        # rw: a file that is gone by now is not made anew, empty and with other rights.
        self._uri = f"{path.absolute().as_uri()}?mode=rw"

    def require_same(self) -> None:
        """Refuse to go on with a file that has no name any more: what is written there is lost with us."""
        is_same = _identity(self._path) == self._identity
        if not is_same or (self._log_identity and _identity(self._log) != self._log_identity):
            raise Unavailable("The store's file was replaced or removed while it was open.")

    def hold(self, connection: sqlite3.Connection) -> None:
        """Know the write-ahead log, too, which nobody but SQLite removes, and not while this one is open.

        Who puts a copy of an earlier state in its place, byte by byte, has to take the log away.
        Raises sqlite3.Error.
        """
        connection.execute("PRAGMA data_version").fetchone()
        self._log_identity = _identity(self._log)

    @contextmanager
    def reading(self, engine: Engine) -> Iterator[Connection]:
        """A transaction that sees one instant."""
        self.require_same()
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    @contextmanager
    def writing(self, engine: Engine) -> Iterator[Connection]:
        """A transaction that is alone among all writers, committed at its end."""
        self.require_same()
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()
        # Again: the wait for other writers is long enough to exchange a file in.
        self.require_same()

    def connect(self) -> sqlite3.Connection:
        """A connection beside the engine. Raises Unavailable."""
        try:
            return sqlite3.connect(self._uri, uri=True, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise Unavailable(f"The key store failed: {type(error).__name__}.") from None

    def engine(self, *, busy_seconds: float, synchronous: str) -> Engine:
        """Connections that begin no transaction behind our back: we say BEGIN."""
        engine = create_engine(
            URL.create("sqlite", database=self._uri, query={"uri": "true"}),
            connect_args={"timeout": busy_seconds, "isolation_level": None},
            pool_timeout=busy_seconds,
        )

        @event.listens_for(engine, "connect")
        def configure(connection: Any, _: object) -> None:
            for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}").close()

        return engine


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
        draft.unlink()
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(
            "KEYRACK_STORE", f"names {path}, which cannot be created: {type(error).__name__}."
        ) from None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
