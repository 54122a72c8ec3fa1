"""The journal in a SQLite file of its own beside the store, so that usage never delays a revocation."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.dialects import sqlite

from keyrack.stores.sql.database_file import DatabaseFile, make_file
from keyrack.stores.sql.journal import SqlJournal
from keyrack.stores.sql.journal_addresses import metadata

BUSY_SECONDS = 2.0


class SqliteJournal(SqlJournal):
    """The journal in the file at this path, which is made if absent."""

    def __init__(self, path: Path):
        if not path.exists():
            make_file(path)
        self._file = DatabaseFile(path)
        # NORMAL: a crash of the machine loses the last second of usage, which is what is promised.
        self._engine = self._file.engine(busy_seconds=BUSY_SECONDS, synchronous="NORMAL")
        reading, writing = (
            partial(self._file.reading, self._engine),
            partial(self._file.writing, self._engine),
        )
        super().__init__(reading=reading, writing=writing, announcing=writing, insert=sqlite.insert)
        if not self._has_tables():
            # Alone: of two processes that start at once, one would find a table that was not there.
            with self._writing() as connection:
                metadata.create_all(connection)

    def close(self) -> None:
        self._engine.dispose()

    def _has_tables(self) -> bool:
        with self._reading() as connection:
            return metadata.tables.keys() <= set(inspect(connection).get_table_names())
