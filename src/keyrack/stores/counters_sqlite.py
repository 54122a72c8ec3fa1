"""Counters in a local SQLite file, shared by all processes of one machine that name the same path.

A row is a window; a call is one transaction of about four prepared statements.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from keyrack.core.errors import Unavailable
from keyrack.core.model import Rate
from keyrack.core.window import Window, ticks
from keyrack.stores import charging
from keyrack.stores.charging import MAX_ENTRIES, Placed, Reach, Spend, Taken, stale_at
from keyrack.stores.counters_file import CountersFile

CALLS_A_PRUNING = 10
PRUNED_AT_ONCE = 1_000
"""Stale entries that one pruning drops at most, so that a hundred calls drop a full table of them."""

# due_at, when to look whether a row is stale, is put off only then, so that charging moves no index.
_PUT_OFF = """
UPDATE windows SET due_at = stale_at WHERE stale_at > :at AND rowid IN
    (SELECT rowid FROM windows WHERE due_at <= :at ORDER BY due_at LIMIT :most)
"""
_DROP = """
DELETE FROM windows WHERE stale_at <= :at AND rowid IN
    (SELECT rowid FROM windows WHERE due_at <= :at ORDER BY due_at LIMIT :most)
"""

_T = TypeVar("_T")


class SqliteCounters:
    """Counters in the file at path, which is made if absent. Raises Unavailable if that is impossible."""

    # A call waits for a disk at most, and usually for less time than a change of threads takes.
    blocks = False
    reach: Reach = "machine"

    def __init__(self, path: str | os.PathLike[str], max_entries: int = MAX_ENTRIES):
        self._max_entries = max_entries
        self._file = CountersFile(Path(path))
        self._calls = 0
        self.entries()

    def take(self, spends: Sequence[Spend], now: float) -> Taken:
        at = ticks(now)
        return self._step(lambda rows: charging.take(rows, spends, at), at)

    def peek(self, spends: Sequence[Spend], now: float) -> Taken:
        at = ticks(now)
        return self._step(lambda rows: charging.peek(rows, spends, at), at)

    def add(self, spends: Sequence[Spend], now: float) -> tuple[Rate, ...]:
        at = ticks(now)
        return self._step(lambda rows: charging.add(rows, spends, at), at)

    def give_back(self, spends: Sequence[Spend], now: float) -> None:
        at = ticks(now)
        self._step(lambda rows: charging.give_back(rows, spends, at), at)

    def entries(self) -> int:
        """How many buckets are kept, stale ones included."""
        return self._step(lambda rows: rows.entries(), 0)

    def close(self) -> None:
        self._file.close()

    def _step(self, work: Callable[[Rows], _T], at: int) -> _T:
        def step(connection: sqlite3.Connection) -> _T:
            rows = Rows(connection, self._max_entries)
            self._calls += 1
            if self._calls % CALLS_A_PRUNING == 0:
                rows.prune(at)
            return work(rows)

        return self._file.write(step)


class Rows:
    """The windows in the file, within one transaction. A charging.Table."""

    def __init__(self, connection: sqlite3.Connection, max_entries: int):
        self.max_entries = max_entries
        self._execute = connection.execute

    def get(self, bucket: str) -> Window | None:
        row = self._execute("SELECT state FROM windows WHERE bucket = ?", (bucket,)).fetchone()
        return _load(row[0]) if row else None

    def entries(self) -> int:
        # Counted along: count(*) would read a whole index.
        return int(self._execute("SELECT entries FROM size").fetchone()[0])

    def keep(self, placed: Sequence[Placed]) -> None:
        for one in placed:
            if not self._update(one) and not one.window.is_empty:
                self._insert(one)

    def prune(self, at: int) -> None:
        """Drop stale rows; put off those that were charged since they were made."""
        limits = {"at": at, "most": PRUNED_AT_ONCE}
        self._execute(_PUT_OFF, limits)
        self._grow(-self._execute(_DROP, limits).rowcount)

    def _update(self, one: Placed) -> bool:
        new = (one.window.dump(), stale_at(one), one.spend.bucket)
        done = self._execute("UPDATE windows SET state = ?, stale_at = ? WHERE bucket = ?", new)
        return done.rowcount == 1

    def _insert(self, one: Placed) -> None:
        new = (one.spend.bucket, stale_at(one), stale_at(one), one.window.dump())
        self._execute("INSERT INTO windows (bucket, stale_at, due_at, state) VALUES (?, ?, ?, ?)", new)
        self._grow(1)

    def _grow(self, entries: int) -> None:
        if entries:
            self._execute("UPDATE size SET entries = entries + ?", (entries,))


def _load(state: bytes) -> Window:
    try:
        return Window.load(state)
    except ValueError:
        raise Unavailable("The counters file is damaged.") from None
