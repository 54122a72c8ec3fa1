"""Balances in a SQLite file of their own beside the store, so that no request waits for its log."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sqlalchemy.dialects import sqlite

from keyrack.stores.sql.balances import SqlBalances, metadata
from keyrack.stores.sql.database_file import DatabaseFile, make_file

BUSY_SECONDS = 5.0


class SqliteBalances(SqlBalances):
    """Balances in the file at this path, which is made if absent."""

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS):
        if not path.exists():
            make_file(path)
        self._file = DatabaseFile(path)
        # NORMAL: processes that are killed lose nothing, a machine without power the last charges.
        self._engine = self._file.engine(busy_seconds=busy_seconds, synchronous="NORMAL")
        reading = partial(self._file.reading, self._engine)
        writing = partial(self._file.writing, self._engine)
        super().__init__(reading=reading, writing=writing, blocks=False, insert=sqlite.insert)
        # Alone: of two processes that start at once, one would find a table that was not there.
        with self._writing() as connection:
            metadata.create_all(connection)

    def close(self) -> None:
        self._engine.dispose()
