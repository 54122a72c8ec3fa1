"""All limits of one request in one step, over windows that a store has found and holds still.

Pure: a store brings a Table and holds its own lock, or transaction, around each function. `at` is a
time in ticks (keyrack.core.window).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from keyrack.core.errors import Unavailable
from keyrack.core.model import Limit, Rate
from keyrack.core.window import LATE_TICKS, Window

Reach = Literal["process", "machine", "everywhere"]
"""Who counts together."""

MAX_ENTRIES = 1_000_000
"""Buckets are made by proved keys alone (keyrack.spending caps those of addresses), so there is room for
the limits of a million of them; the bound is against a mistake, not against the public."""
OVERFLOW_SHARE = 100
"""One entry in so many is kept free for overflow buckets."""


class Spend(NamedTuple):
    """Units to charge to one limit. A bucket is counted under one limit at a time."""

    bucket: str
    limit: Limit
    cost: int
    """Never negative; 0 always fits."""


class Taken(NamedTuple):
    """What became of a take: `rates` has one Rate for each Spend, in order, as things are now."""

    ok: bool
    rates: tuple[Rate, ...]
    retry_after: int | None = None
    """Whole seconds until all would fit; a window's length where a cost exceeds its limit."""
    refused: tuple[Rate, ...] = ()
    """Those of `rates` that did not fit."""


class Placed(NamedTuple):
    """A Spend and the window that counts it; its bucket may have become an overflow bucket."""

    spend: Spend
    window: Window


class Table(Protocol):
    """Windows by bucket, held still for one step. Entries are never more than max_entries."""

    max_entries: int

    def get(self, bucket: str) -> Window | None:
        """The window that is kept for a bucket."""

    def entries(self) -> int:
        """How many are kept, stale ones included."""

    def keep(self, placed: Sequence[Placed]) -> None:
        """Keep windows that were changed."""


def take(table: Table, spends: Sequence[Spend], at: int) -> Taken:
    """Charge all, or none when one does not fit."""
    placed = place(table, spends)
    waits = _waits(placed, at)
    if any(waits):
        return answered(_rates(placed, at), waits)
    return Taken(True, _charge(table, placed, at))


def peek(table: Table, spends: Sequence[Spend], at: int) -> Taken:
    """What `take` would answer, with the rates as they are before it."""
    placed = place(table, spends)
    waits = _waits(placed, at)
    return answered(_rates(placed, at), waits)


def add(table: Table, spends: Sequence[Spend], at: int) -> tuple[Rate, ...]:
    """Charge all, whether or not they fit."""
    return _charge(table, place(table, spends), at)


def give_back(table: Table, spends: Sequence[Spend], at: int) -> None:
    """Undo a take that was made at this same time."""
    placed = place(table, spends)
    for spend, window in placed:
        window.give_back(spend.limit, spend.cost, at)
    table.keep(placed)


def place(table: Table, spends: Sequence[Spend]) -> list[Placed]:
    """The window of every spend: the table's, or a new one.

    While the table is full of live entries, unknown buckets share one overflow bucket for each shape
    of limit (windows of different lengths cannot share one). A live bucket is never dropped for them.
    Raises Unavailable when there is no room for an overflow bucket either.
    """
    require_costs(spends)
    found: dict[str, Window] = {}
    return [_placed(table, found, spend, len(spends)) for spend in spends]


def require_costs(spends: Sequence[Spend]) -> None:
    """Raises ValueError for a cost below 0: it would give what nobody took."""
    if any(spend.cost < 0 for spend in spends):
        raise ValueError("A cost is never negative.")


def answered(rates: tuple[Rate, ...], waits: Sequence[int]) -> Taken:
    """What became of a take, by the whole seconds to wait for each of its spends; 0 where it fits."""
    refused = tuple(rate for rate, wait in zip(rates, waits, strict=True) if wait)
    return Taken(False, rates, max(waits), refused) if refused else Taken(True, rates)


def stale_at(placed: Placed) -> int:
    """When an entry counts for nobody any more, not even for a caller whose clock reading is late."""
    return placed.window.leaves_at(placed.spend.limit) + LATE_TICKS


def _charge(table: Table, placed: Sequence[Placed], at: int) -> tuple[Rate, ...]:
    for spend, window in placed:
        window.charge(spend.limit, spend.cost, at)
    table.keep(placed)
    return _rates(placed, at)


def _rates(placed: Sequence[Placed], at: int) -> tuple[Rate, ...]:
    return tuple([window.rate(spend.limit, at) for spend, window in placed])


def _placed(table: Table, found: dict[str, Window], spend: Spend, wanted: int) -> Placed:
    window = found.get(spend.bucket) or table.get(spend.bucket)
    if window is None and not _has_room(table, wanted, table.max_entries // OVERFLOW_SHARE or 1):
        spend = spend._replace(bucket=_overflow(spend.limit))
        window = found.get(spend.bucket) or table.get(spend.bucket)
        if window is None and not _has_room(table, wanted, 0):
            raise Unavailable("Too many different limits are in use at once to count another.")
    found[spend.bucket] = window = window or Window()
    return Placed(spend, window)


def _has_room(table: Table, wanted: int, reserved: int) -> bool:
    return table.entries() + wanted <= table.max_entries - reserved


def _overflow(limit: Limit) -> str:
    return f"overflow/{limit.limit}/{limit.window_seconds}"


def _waits(placed: Sequence[Placed], at: int) -> list[int]:
    """Seconds to wait for each spend; those of one bucket are asked for together."""
    asked: dict[str, int] = {}
    waits = []
    for spend, window in placed:
        asked[spend.bucket] = cost = asked.get(spend.bucket, 0) + spend.cost
        waits.append(window.wait(spend.limit, cost, at) if spend.cost else 0)
    return waits
