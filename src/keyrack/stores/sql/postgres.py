"""PostgreSQL for the key store: one writer at a time in the whole database, and nodes that are told."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from sqlalchemy import Connection, inspect, select

from keyrack.core.errors import ConfigurationError
from keyrack.stores.clock import StoreClock
from keyrack.stores.sql.keys import SqlKeys, translated
from keyrack.stores.sql.migrate import VERSION_TABLE, migrate
from keyrack.stores.sql.postgres_connection import Limits, require_readable
from keyrack.stores.sql.postgres_database import NOW, PostgresDatabase
from keyrack.stores.sql.postgres_journal import PostgresJournal
from keyrack.stores.sql.postgres_watch import ANNOUNCE, Watch

LIMITS = Limits(answer=6.0, lock=5.0)
"""With the time to connect, less than a third of the default max_stale."""
LOG_LOCK = int.from_bytes(b"keyrack\x01")
"""The advisory lock that every writer of the log takes, so that its numbers have no gaps."""


class PostgresKeys(SqlKeys):
    """The key store in one database, shared by processes of many machines."""

    def __init__(self, database: PostgresDatabase, clock: StoreClock):
        writing = partial(database.writing_alone, LOG_LOCK)
        super().__init__(reading=database.reading, writing=writing, blocks=True, announce=ANNOUNCE)
        self._database = database
        self._watch = Watch(database, clock)
        self.clock = clock

    def moved(self) -> bool:
        """Compare the last entry with the one that was last seen."""
        return self._watch.moved()

    def pushed(self) -> bool:
        """Whether a commit was announced (LISTEN and NOTIFY) since this was last asked."""
        return self._watch.pushed()

    def close(self) -> None:
        self._watch.close()
        self._database.close()


def open_postgres(url: str, *, create: bool) -> tuple[PostgresKeys, PostgresJournal]:
    """Open the store in this database, migrated. Its tables are made only when asked for.

    Raises ConfigurationError for a database without them or with newer ones, Unavailable for trouble.
    """
    require_readable(url, "KEYRACK_STORE")
    database, clock = PostgresDatabase(url, LIMITS), StoreClock()
    with ExitStack() as undone:
        undone.callback(database.close)
        with translated(partial(database.writing_alone, LOG_LOCK))() as connection:
            _require_tables(connection, create=create)
            migrate(connection)
            asked_at = clock.system()
            clock.compare(connection.execute(select(NOW)).scalar_one(), asked_at=asked_at)
        undone.pop_all()
    return PostgresKeys(database, clock), PostgresJournal(database)


def _require_tables(connection: Connection, *, create: bool) -> None:
    if not create and not inspect(connection).has_table(VERSION_TABLE):
        raise ConfigurationError(
            "KEYRACK_STORE", "names a database without Keyrack's tables; `keyrack init` makes them."
        )
