"""Balances of every kind, opened for tests: in memory, SQLite, PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path

import psycopg
import pytest
from servers.postgresql import PostgresServer

from keyrack.core.upstream import ResetFrequency, Tier
from keyrack.stores.balances import Account, Amendment, Balances, Order, Outcome
from keyrack.stores.balances_memory import MemoryBalances
from keyrack.stores.balances_redis import RedisBalances
from keyrack.stores.sql.postgres import open_postgres
from keyrack.stores.sql.postgres_balances import LIMITS, PostgresBalances
from keyrack.stores.sql.sqlite_balances import SqliteBalances

NOW = 1_700_000_000.0
"""2023-11-14T22:13:20Z."""
MIDNIGHT = 1_700_006_400.0
ADA = Account("default", "ada", "chat")
FREE = Tier("free", 10, None, None, ResetFrequency.DAILY)
METERED = replace(FREE, name="metered", credits=100, input_limit=1_000, output_limit=5_000)
TIERS = (FREE, METERED)
PATIENT = LIMITS._replace(answer=60.0, lock=30.0)
"""So long a loaded machine may take for what is done in a millisecond."""
SHARED = ("sqlite", "postgresql", "redis")
"""The kinds that several processes share."""


def place(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """Where new balances of a kind are to be kept, as one text that another process understands."""
    if kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgresql")
        url = _database(server)
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


def open_at(where: str) -> Balances:
    """The balances of a place."""
    if where.startswith("postgresql:"):
        return PostgresBalances(where, PATIENT)
    if where.startswith("redis:"):
        return RedisBalances(where)
    return MemoryBalances() if where == "memory:" else SqliteBalances(Path(where), busy_seconds=60.0)


def opened(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Balances]:
    """New balances of a kind, closed at the end."""
    with closing(open_at(place(kind, request, folder))) as balances:
        yield balances


def order(name: str = "r1", cost: int = 1, *, account: Account = ADA, input_units: int = 0) -> Order:
    """An order of this id."""
    return Order(name, account, cost, TIERS, Outcome.REFUNDED, None, input_units)


def given(balances: Balances, account: Account = ADA, **stated: object) -> None:
    """A balance of the free tier, or of what is stated."""
    amendment = Amendment(**{"tier": "free", **stated})  # type: ignore[arg-type]
    balances.amend(account, amendment, TIERS, NOW)


def available(balances: Balances, account: Account = ADA, now: float = NOW) -> int:
    """The credits of a balance that is there."""
    balance = balances.get(account, TIERS, now)
    assert balance is not None
    return balance.available
