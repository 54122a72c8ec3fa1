"""Small real things for the tests of services that stand on Keyrack; no mocks needed.

`MemoryKeys` is the reference store, `FixedClock` the time, and `open_memory` a whole Verifier.
"""

from __future__ import annotations

from keyrack.core.policy import Policy
from keyrack.stores.memory import MemoryKeys
from keyrack.verifier import Verifier

__all__ = ["PEPPERS", "FixedClock", "MemoryKeys", "open_memory"]

PEPPERS = "p1:aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA"
"""A pepper for tests, strong in form and known to everybody."""


class FixedClock:
    """A clock that stands still until it is told otherwise. Unix seconds."""

    def __init__(self, now: float = 1_800_000_000.0):
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def open_memory(policy: Policy | None = None, *, clock: FixedClock | None = None) -> Verifier:
    """A Verifier on an empty store in memory, at a time that stands still. Close it, or use `with`."""
    return Verifier.open("memory:", peppers=PEPPERS, policy=policy, clock=clock or FixedClock())
