"""How much is measured: rounds, seconds and sizes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """Two things are compared by turns: so many rounds, each of so many calls or seconds."""

    rounds: int
    calls: int
    """Decisions in one turn."""
    singles: int
    """Decisions timed one by one, for percentiles."""
    web_rounds: int
    web_seconds: float
    """Seconds of requests in one turn."""
    sizes: tuple[int, ...]
    """Keys in the stores that are compared."""


SHORT = Effort(
    rounds=200, calls=1000, singles=20_000, web_rounds=10, web_seconds=1.0, sizes=(10, 10_000, 1_000_000)
)
LONG = Effort(
    rounds=2000, calls=1000, singles=200_000, web_rounds=40, web_seconds=2.0, sizes=(10, 10_000, 1_000_000)
)
