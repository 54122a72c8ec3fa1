"""There is room for the limits of as many keys as a store is made for."""

from __future__ import annotations

from keyrack.core.model import Limit
from keyrack.stores.counters import MemoryCounters, Spend


def test_twenty_thousand_keys_used_once_are_each_counted_for_themselves() -> None:
    counters = MemoryCounters()
    hourly = Limit("requests", 2, 3600)
    taken = [counters.take([Spend(f"key/{number}/requests", hourly, 1)], 1000.0) for number in range(20_000)]
    assert all(one.ok and one.rates[0].remaining == 1 for one in taken)
