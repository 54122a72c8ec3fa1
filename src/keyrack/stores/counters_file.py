"""The SQLite file that counters are kept in: made, opened, locked and let go of.

The one place where its driver's errors become Unavailable.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from keyrack.core.errors import Unavailable

FORMAT = 1
BUSY_SECONDS = 0.25
PAUSE_SECONDS = 0.000_05
CALLS_A_LOOK = 10

_SCHEMA = (
    "PRAGMA journal_mode = WAL",
    # Small columns first: a read of them does not follow a long state to its overflow pages.
    """
    CREATE TABLE windows (
        bucket TEXT PRIMARY KEY,
        stale_at INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        state BLOB NOT NULL
    )
    """,
    "CREATE INDEX windows_due ON windows (due_at)",
    "CREATE TABLE size (entries INTEGER NOT NULL)",
    "INSERT INTO size VALUES (0)",
    f"PRAGMA user_version = {FORMAT}",
)

_T = TypeVar("_T")


class CountersFile:
    """The file at path, which is made if absent, readable by its owner alone.

    Threads take turns on one connection, since a transaction is shorter than a change of threads. A
    file that was removed or exchanged is noticed within 10 calls and opened anew: what counts is what
    the path names, for every process.
    """

    def __init__(self, path: Path):
        self._path = path.absolute()
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity = (0, 0)
        self._calls = 0

    def write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run work in one transaction, alone among all threads and processes. Raises Unavailable."""
        if os.getpid() != self._pid:
            # A connection that two processes hold corrupts the file.
            raise Unavailable("This process was forked; open its counters again.")
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise Unavailable("The counters are busy.")
        try:
            return _transaction(self._current(), work)
        except (sqlite3.Error, OSError) as error:
            self._let_go()
            raise Unavailable("The counters cannot be read or written.") from error
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the connection; the next write opens another."""
        with self._lock:
            self._let_go()

    def _current(self) -> sqlite3.Connection:
        self._calls += 1
        if self._calls % CALLS_A_LOOK == 0 and self._identity != _identity(self._path):
            self._let_go()
        return self._connection or self._open()

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists():
            make(self._path)
        # Looked up first: a file that is exchanged before the next line is noticed by a later call.
        self._identity = _identity(self._path)
        self._connection = connection = _connect(self._path)
        _prepare(connection)
        return connection

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def make(path: Path) -> None:
    """Make the file, unless another process does so first."""
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        if not path.exists():
            _link_whole(path)
    finally:
        os.close(directory)


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw: a file that is gone by now is not made anew, without its tables and rights.
    return sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def _prepare(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA user_version").fetchone() != (FORMAT,):
        raise sqlite3.DatabaseError("This file does not hold counters of our format.")
    # In WAL mode NORMAL does not wait for the disk at a commit, only at a checkpoint, once in some 300
    # commits: 3 µs on average. OFF would save these, but after a power cut the file may be corrupt, and
    # then every limited request is refused until somebody removes it. NORMAL then forgets the last few
    # hundred takes at most; a crash of processes loses nothing with either.
    connection.execute("PRAGMA synchronous = NORMAL")
    # From here on we wait ourselves, see _begin.
    connection.execute("PRAGMA busy_timeout = 0")


def _transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], _T]) -> _T:
    _begin(connection)
    try:
        result = work(connection)
        connection.execute("COMMIT")
        return result
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _begin(connection: sqlite3.Connection) -> None:
    """Take the write lock, waiting for it ourselves.

    It is held for some 20 µs. SQLite's own busy handler sleeps 1 ms at least, then longer, and so favours
    whoever came last: of four processes at full speed it kept one waiting for 250 ms, this for 20.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while not _began(connection, last=time.monotonic() >= deadline):
        time.sleep(PAUSE_SECONDS)


def _began(connection: sqlite3.Connection, *, last: bool) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if last or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _link_whole(path: Path) -> None:
    """Make the file beside its place and link it there whole, so that nobody opens half of it."""
    # What somebody left who removed only the file itself would be read as a part of the new one.
    for part in ("-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        _fill(beside)
        path.hardlink_to(beside)
    finally:
        beside.unlink()


def _fill(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in _SCHEMA:
            connection.execute(statement)


def _identity(path: Path) -> tuple[int, int]:
    """Which file the path names; (0, 0), which is no file's, when it names none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_dev, found.st_ino)
