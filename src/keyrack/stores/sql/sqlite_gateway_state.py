"""The state of a gateway in a SQLite file of its own beside the store."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sqlalchemy.dialects import sqlite

from keyrack.stores.gateway_state import GatewayState
from keyrack.stores.sql.breakers import SqlBreakers
from keyrack.stores.sql.database_file import DatabaseFile, make_file
from keyrack.stores.sql.gateway_tables import metadata
from keyrack.stores.sql.keys import translated
from keyrack.stores.sql.outbox import SqlOutbox
from keyrack.stores.sql.sends import SqlSends

BUSY_SECONDS = 2.0


def open_sqlite_state(path: Path) -> GatewayState:
    """The state in the file at this path, which is made if absent. Raises Unavailable."""
    if not path.exists():
        make_file(path)
    file = DatabaseFile(path)
    # NORMAL: processes that are killed lose nothing, a machine without power the last counts.
    engine = file.engine(busy_seconds=BUSY_SECONDS, synchronous="NORMAL")
    reading = translated(partial(file.reading, engine))
    writing = translated(partial(file.writing, engine))
    # Alone: of two processes that start at once, one would find a table that was not there.
    with writing() as connection:
        metadata.create_all(connection)
    return GatewayState(
        SqlSends(reading, writing, sqlite.insert),
        SqlBreakers(reading, writing, sqlite.insert),
        SqlOutbox(reading, writing, sqlite.insert),
        reach="machine",
        close=engine.dispose,
    )
