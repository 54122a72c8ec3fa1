"""The seam for rate limits: how many units of what were spent, counted once for all who share it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from heapq import heappop, heappush, heapreplace
from typing import Protocol

from keyrack.core.errors import ConfigurationError
from keyrack.core.model import Rate
from keyrack.core.window import Window, ticks
from keyrack.stores import charging
from keyrack.stores.charging import MAX_ENTRIES, Placed, Reach, Spend, Taken, stale_at

__all__ = ["Counters", "MemoryCounters", "Spend", "Taken", "open_counters"]

SETTING = "KEYRACK_COUNTERS"
PRUNED_AT_ONCE = 100
"""Stale entries that one call drops at most, so that a hundred calls drop a full table of them."""


class Counters(Protocol):
    """Counts units in sliding windows (keyrack.core.window), by bucket.

    Each call is one atomic step among all threads and processes that share the Counters. `now` is
    Unix seconds on one clock: all who share the Counters have the same one, within a minute. Stale
    entries are dropped, live ones never; where there is a `max_entries`, unknown buckets beyond it share
    an overflow bucket. Every method but close raises keyrack.core.errors.Unavailable, within about 250
    ms, when it cannot read or write; nothing is charged then, unless an answer was lost on a network.
    """

    blocks: bool
    """Whether a call may wait for a network; an event loop must not make it then."""

    reach: Reach
    """Who counts together."""

    def take(self, spends: Sequence[Spend], now: float) -> Taken:
        """Charge all spends of a request in one step. Where one does not fit, none is charged."""

    def peek(self, spends: Sequence[Spend], now: float) -> Taken:
        """What `take` would answer; spends nothing."""

    def add(self, spends: Sequence[Spend], now: float) -> tuple[Rate, ...]:
        """Charge all spends, fit or not: what happened elsewhere and is only counted here."""

    def give_back(self, spends: Sequence[Spend], now: float) -> None:
        """Undo a take that was granted with these spends and this same now."""

    def close(self) -> None:
        """Let go of files and connections; a later call opens them anew."""


def open_counters(url: str, *, max_entries: int | None = None) -> Counters:
    """The Counters that a KEYRACK_COUNTERS url names.

    `memory:`, `sqlite:///path` (made if absent; as with stores, `sqlite:///a.db` is relative and
    `sqlite:////a.db` absolute), `redis://`, `rediss://` or `postgresql://` (first connected to when it is
    asked). At most `max_entries` buckets are kept at once; Redis, which expires them itself, is not told.
    Raises ConfigurationError for any other url, and Unavailable when the file cannot be used.
    """
    if url == "memory:":
        return MemoryCounters(max_entries or MAX_ENTRIES)
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and rest != "/":
        # Imported here, so that counting in memory loads no database.
        from keyrack.stores.counters_sqlite import SqliteCounters

        return SqliteCounters(rest[1:], max_entries or MAX_ENTRIES)
    if scheme in ("redis", "rediss") and rest:
        return _open_redis(url)
    if scheme in ("postgresql", "postgres") and rest:
        return _open_postgres(url, max_entries)
    raise ConfigurationError(
        SETTING,
        "is none of memory:, sqlite:///path, redis://host, rediss://host and postgresql://host/database.",
    )


def _open_redis(url: str) -> Counters:
    try:
        from keyrack.stores.counters_redis import RedisCounters
    except ModuleNotFoundError:
        raise ConfigurationError(SETTING, "needs `pip install keyrack[redis]`.") from None
    return RedisCounters(url)


def _open_postgres(url: str, max_entries: int | None) -> Counters:
    try:
        from keyrack.stores.counters_postgres import PostgresCounters
    except ModuleNotFoundError:
        raise ConfigurationError(SETTING, "needs `pip install keyrack[postgres]`.") from None
    return PostgresCounters(url, max_entries=max_entries)


class MemoryCounters:
    """Counters of one process, gone with it. Raises Unavailable only when `charging.place` does."""

    blocks = False
    reach: Reach = "process"

    def __init__(self, max_entries: int = MAX_ENTRIES):
        self._lock = threading.Lock()
        self._table = MemoryTable(max_entries)

    def take(self, spends: Sequence[Spend], now: float) -> Taken:
        at = ticks(now)
        with self._lock:
            self._table.prune(at)
            return charging.take(self._table, spends, at)

    def peek(self, spends: Sequence[Spend], now: float) -> Taken:
        with self._lock:
            return charging.peek(self._table, spends, ticks(now))

    def add(self, spends: Sequence[Spend], now: float) -> tuple[Rate, ...]:
        at = ticks(now)
        with self._lock:
            self._table.prune(at)
            return charging.add(self._table, spends, at)

    def give_back(self, spends: Sequence[Spend], now: float) -> None:
        with self._lock:
            charging.give_back(self._table, spends, ticks(now))

    def entries(self) -> int:
        """How many buckets are kept, stale ones included."""
        return self._table.entries()

    def close(self) -> None:
        """Nothing to let go of."""


class MemoryTable:
    """Windows in a dictionary, with an agenda of when each may be stale."""

    def __init__(self, max_entries: int):
        self.max_entries = max_entries
        self._kept: dict[str, Placed] = {}
        # One item for each bucket. Charges do not move it, so it may come up early and is put off then.
        self._agenda: list[tuple[int, str]] = []

    def get(self, bucket: str) -> Window | None:
        kept = self._kept.get(bucket)
        return kept.window if kept else None

    def entries(self) -> int:
        return len(self._kept)

    def keep(self, placed: Sequence[Placed]) -> None:
        for one in placed:
            bucket = one.spend.bucket
            if bucket in self._kept:
                self._kept[bucket] = one
            elif not one.window.is_empty:
                self._kept[bucket] = one
                heappush(self._agenda, (stale_at(one), bucket))

    def prune(self, at: int) -> None:
        """Drop stale entries."""
        for _ in range(PRUNED_AT_ONCE):
            if not self._agenda or self._agenda[0][0] > at:
                return
            self._look_at(self._agenda[0][1], at)

    def _look_at(self, bucket: str, at: int) -> None:
        until = stale_at(self._kept[bucket])
        if until > at:
            heapreplace(self._agenda, (until, bucket))
        else:
            heappop(self._agenda)
            del self._kept[bucket]
