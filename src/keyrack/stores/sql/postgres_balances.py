"""Balances in tables of the store's own database, which its migrations make."""

from __future__ import annotations

from sqlalchemy.dialects import postgresql

from keyrack.stores.sql.balances import SqlBalances
from keyrack.stores.sql.postgres_connection import Limits
from keyrack.stores.sql.postgres_database import PostgresDatabase

LIMITS = Limits(answer=3.0, lock=2.0)
"""A request waits for it, and others for the row of its balance."""


class PostgresBalances(SqlBalances):
    """Balances in the database of this URL, shared by processes of many machines."""

    def __init__(self, url: str, limits: Limits = LIMITS):
        self._database = PostgresDatabase(url, limits)
        super().__init__(
            reading=self._database.reading,
            writing=self._database.writing,
            blocks=True,
            insert=postgresql.insert,
        )

    def close(self) -> None:
        self._database.close()
