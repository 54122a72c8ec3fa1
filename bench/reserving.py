"""What each of several processes does that reserve from one balance. Loads no server: they start soon."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from keyrack.core.upstream import ResetFrequency, Tier
from keyrack.stores.balances import Account, Amendment, Balances, Order, Outcome
from keyrack.stores.balances_memory import MemoryBalances
from keyrack.stores.balances_redis import RedisBalances
from keyrack.stores.sql.postgres_balances import PostgresBalances
from keyrack.stores.sql.sqlite_balances import SqliteBalances

NOW = 1_700_000_000.0
ACCOUNT = Account("default", "bench", "bench")
TIERS = (Tier("basic", 1, None, None, ResetFrequency.NEVER),)


def attempt(where: str, name: str, attempts: int) -> int:
    """Try to reserve a credit so many times; how often there was one."""
    with closing(open_at(where)) as balances:
        tried = (balances.reserve(order(f"{name}-{number}"), NOW) for number in range(attempts))
        return sum(reserved.short is None for reserved in tried)


def fill(balances: Balances, available: int) -> None:
    """Give the balance so many credits."""
    balances.amend(ACCOUNT, Amendment("basic", available), TIERS, NOW)


def order(name: str) -> Order:
    """One credit, under this id."""
    return Order(name, ACCOUNT, 1, TIERS, Outcome.REFUNDED)


def open_at(where: str) -> Balances:
    """The balances of a place."""
    if where.startswith("postgresql:"):
        return PostgresBalances(where)
    if where.startswith("redis:"):
        return RedisBalances(where)
    return MemoryBalances() if where == "memory:" else SqliteBalances(Path(where))
