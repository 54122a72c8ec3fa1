"""Balances of every kind for tests: in memory, SQLite, PostgreSQL and Redis, each empty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import psycopg
import pytest
from balances_values import open_at
from servers.postgresql import PostgresServer

from keyrack.stores.balances import Balances
from keyrack.stores.sql.postgres import open_postgres

SHARED = ("sqlite", "postgresql", "redis")
"""The kinds that several processes share."""


def place(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """Where new balances of a kind are to be kept, as one text that another process understands."""
    if kind == "postgresql":
        url = _database(request.getfixturevalue("postgresql"))
        with psycopg.connect(url) as connection:
            connection.execute("TRUNCATE credit_balances, credit_reservations")
        return url
    if kind == "redis":
        patient: str = request.getfixturevalue("redis_server").patient_url
        return patient
    return str(folder / "keyrack-credits.db") if kind == "sqlite" else "memory:"


@cache
def _database(server: PostgresServer) -> str:
    """The URL of one database of these tests, which it takes a while to make."""
    url = server.new_url()
    keys, _ = open_postgres(url, create=True)
    keys.close()
    return url


def opened(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Balances]:
    """New balances of a kind, closed at the end."""
    with closing(open_at(place(kind, request, folder))) as balances:
        yield balances
