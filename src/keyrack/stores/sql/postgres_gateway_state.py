"""The state of a gateway in tables of the store's own database, which its migrations make."""

from __future__ import annotations

from functools import partial

from sqlalchemy.dialects import postgresql

from keyrack.stores.gateway_state import GatewayState
from keyrack.stores.sql.breakers import SqlBreakers
from keyrack.stores.sql.keys import translated
from keyrack.stores.sql.outbox import SqlOutbox
from keyrack.stores.sql.postgres_connection import Limits
from keyrack.stores.sql.postgres_database import PostgresDatabase
from keyrack.stores.sql.sends import SqlSends

LIMITS = Limits(answer=3.0, lock=2.0)
"""Requests wait for it while a server fails."""
GATEWAY_LOCK = int.from_bytes(b"keyrack\x04")
"""Taken by whoever changes this state, so that a row is not read and written by two at once."""


def open_postgres_state(url: str) -> GatewayState:
    """The state in the store's own database, whose migrations make the tables."""
    database = PostgresDatabase(url, LIMITS)
    reading = translated(database.reading)
    writing = translated(partial(database.writing_alone, GATEWAY_LOCK))
    return GatewayState(
        SqlSends(reading, writing, postgresql.insert),
        SqlBreakers(reading, writing, postgresql.insert),
        SqlOutbox(reading, writing, postgresql.insert),
        blocks=True,
        reach="everywhere",
        close=database.close,
    )
