"""What tests of balances share, in whatever process: an account, its tiers, its orders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from keyrack.core.upstream import ResetFrequency, Tier
from keyrack.stores.balances import Account, Amendment, Balances, Order, Outcome
from keyrack.stores.balances_memory import MemoryBalances

NOW = 1_700_000_000.0
"""2023-11-14T22:13:20Z."""
MIDNIGHT = 1_700_006_400.0
ADA = Account("default", "ada", "chat")
FREE = Tier("free", 10, None, None, ResetFrequency.DAILY)
METERED = replace(FREE, name="metered", credits=100, input_limit=1_000, output_limit=5_000)
TIERS = (FREE, METERED)
PATIENCE_SECONDS = 60.0
"""So long a loaded machine may take for what is done in a millisecond."""


def open_at(where: str) -> Balances:
    """The balances of a place. Each kind is imported for itself: processes are to start soon."""
    if where.startswith("postgresql:"):
        from keyrack.stores.sql.postgres_balances import LIMITS, PostgresBalances

        patient = LIMITS._replace(answer=PATIENCE_SECONDS, lock=PATIENCE_SECONDS / 2)
        return PostgresBalances(where, patient)
    if where.startswith("redis:"):
        from keyrack.stores.balances_redis import RedisBalances

        return RedisBalances(where)
    if where == "memory:":
        return MemoryBalances()
    from keyrack.stores.sql.sqlite_balances import SqliteBalances

    return SqliteBalances(Path(where), busy_seconds=PATIENCE_SECONDS)


def order(name: str = "r1", cost: int = 1, *, account: Account = ADA, input_units: int = 0) -> Order:
    """An order of this id."""
    return Order(name, account, cost, TIERS, Outcome.REFUNDED, None, input_units)


def given(balances: Balances, account: Account = ADA, **stated: object) -> None:
    """A balance of the free tier, or of what is stated."""
    amendment = Amendment(**{"tier": "free", **stated})
    balances.amend(account, amendment, TIERS, NOW)


def available(balances: Balances, account: Account = ADA, now: float = NOW) -> int:
    """The credits of a balance that is there."""
    balance = balances.get(account, TIERS, now)
    assert balance is not None
    return balance.available
