"""How much is measured: rounds, seconds and sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace


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
    nodes: int
    """Processes that a revocation has to reach."""
    revocations: int
    writers: tuple[int, ...]
    """Processes that write at once."""
    misses: int
    """Keys that are not held and asked for."""
    takes: int
    """Units taken of a limit, one by one."""
    reservations: int
    """Credits that several processes try to reserve at once, in all places together."""
    carried: int
    """Keys in the stores of each kind that are started from; one of the sizes."""
    streams: int
    """Answers under way at once."""
    first_bytes: int
    """Streams whose first byte is waited for, in one turn."""
    runs: tuple[int, int]
    """Runs in the two databases of the results service, the few and the many."""
    asks: int
    """Requests of each kind to each of the two."""


SHORT = Effort(
    rounds=200,
    calls=1000,
    singles=20_000,
    web_rounds=6,
    web_seconds=1.0,
    sizes=(10, 10_000, 1_000_000),
    nodes=3,
    revocations=20,
    writers=(1, 4, 16),
    misses=200,
    takes=2000,
    reservations=100_000,
    carried=10_000,
    streams=500,
    first_bytes=50,
    runs=(100, 10_000),
    asks=6,
)
LONG = replace(
    SHORT,
    rounds=2000,
    singles=200_000,
    web_rounds=40,
    web_seconds=2.0,
    revocations=200,
    misses=2000,
    takes=20_000,
    reservations=1_000_000,
    carried=1_000_000,
    asks=200,
)
