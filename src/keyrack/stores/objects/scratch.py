"""A database on this machine's disk for what a process works out again at each start.

SQLite makes it in the temporary directory (`SQLITE_TMPDIR`, `TMPDIR`), takes its name away at once, and the
system takes its bytes away with the process. Nobody else can open it, and nothing relies on it later.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from keyrack.core.errors import Unavailable

CACHE_KIB = 16_384
"""How much of it is kept in memory, however large it is."""


class Scratch:
    """Tables in a temporary database. One thread at a time uses it. Raises Unavailable."""

    def __init__(self, tables: str):
        with _translated():
            # No name: a temporary file. Statements commit by themselves outside of `changing`.
            self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            self._connection.executescript(tables)
        self._process = os.getpid()
        # Also closed when whoever held it is merely dropped.
        self.close = weakref.finalize(self, self._connection.close)

    def rows(self, statement: str, *values: object) -> list[Any]:
        """All rows of a query."""
        with self._here():
            return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, *values: object) -> Any:
        """The first row of a query, or None."""
        with self._here():
            return self._connection.execute(statement, values).fetchone()

    def number(self, statement: str, *values: object) -> int:
        """The number in the one row of a query."""
        return int(self.row(statement, *values)[0])

    def run(self, statement: str, *values: object) -> None:
        """Run a statement."""
        with self._here():
            self._connection.execute(statement, values)

    def fill(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement for each row."""
        with self._here():
            self._connection.executemany(statement, rows)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """All that is run within, or nothing of it."""
        self.run("BEGIN")
        try:
            yield
            self.run("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.rollback()

    @contextmanager
    def _here(self) -> Iterator[None]:
        if self._process != os.getpid():
            raise Unavailable("This process was forked; open the store after the fork.")
        with _translated():
            yield


@contextmanager
def _translated() -> Iterator[None]:
    """The one place where SQLite's errors become ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(f"The temporary directory of this machine failed: {error}.") from None
