"""The journal in a SQLite file of its own beside the store, so that usage never delays a revocation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite

from keyrack.stores.sql.database_file import DatabaseFile, make_file
from keyrack.stores.sql.journal import SqlJournal, metadata

BUSY_SECONDS = 2.0


class SqliteJournal(SqlJournal):
    """The journal in the file at this path, which is made if absent."""

    def __init__(self, path: Path):
        super().__init__(
            reading=self._read, writing=self._write, announcing=self._write, insert=sqlite.insert
        )
        if not path.exists():
            make_file(path)
        self._file = DatabaseFile(path)
        # NORMAL: a crash of the machine loses the last second of usage, which is what is promised.
        self._engine = self._file.engine(busy_seconds=BUSY_SECONDS, synchronous="NORMAL")
        # Alone: of two processes that start at once, one would find a table that was not there.
        with self._writing() as connection:
            metadata.create_all(connection)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        self._file.require_same()
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        self._file.require_same()
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()
