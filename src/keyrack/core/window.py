"""An exact sliding window: no interval of the window's length ever holds more units than the limit.

Nothing here reads a clock: `now` is passed in as ticks. Intervals are half-open, so a unit counted at
t has left at t + window.

One algorithm: a unit is stamped with its time rounded up to the grain, and counts until the stamp is
a window old. Up to 1,000 units the grain is one tick, so the stamps are the log of what was admitted.
Above that it is a hundredth of the window: at most 101 stamps, and the oldest slice counts whole, so
the window errs only towards refusing.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from math import ceil

from keyrack.core.model import Limit, Rate

TICKS = 1_000_000
"""Ticks in a second. Time is whole microseconds, because float sums would blur the window's edge."""
EXACT_UNITS = 1_000
SLICES = 100
LATE_TICKS = 60 * TICKS
"""How far a caller's `now` may lie behind the last one: it read its clock and then had to wait.

A `now` further behind means that the clock was set back. Stamps are then brought down to at most this
far ahead of it, which is still no earlier than the moment they stand for, so that a clock that was a
year ahead does not refuse requests for a year.
"""

_SINGLE, _MULTIPLE = b"1", b"n"
_INDEXES = array("q", range(EXACT_UNITS))


def ticks(now: float) -> int:
    """Unix seconds as ticks."""
    return round(now * TICKS)


class Window:
    """The units counted under one name. Every method takes the limit, since limits may be changed.

    `cost` is a number of units, never negative. Not safe for threads: whoever holds it locks.
    """

    __slots__ = ("_before", "_stamps", "_total")

    # `_before[i]` is the number of units ever counted before entry i and `_total` that of all, so the
    # units of any stretch are one subtraction. Both arrays rise.

    def __init__(self) -> None:
        self._stamps = array("q")
        self._before = array("q")
        self._total = 0

    def used(self, limit: Limit, now: int) -> int:
        """How many units count at now."""
        return self._since(self._oldest(limit, now))

    def wait(self, limit: Limit, cost: int, now: int) -> int:
        """Whole seconds until cost units fit: 0 if they fit now, the window's length if they never do."""
        if cost > limit.limit:
            return limit.window_seconds
        oldest = self._oldest(limit, now)
        excess = self._since(oldest) + cost - limit.limit
        if excess <= 0 or not cost:
            return 0
        # What stands before an entry is gone when it is the oldest one left.
        last = bisect_left(self._before, self._before[oldest] + excess, oldest + 1) - 1
        return ceil((self._stamps[last] + window_ticks(limit) - now) / TICKS)

    def rate(self, limit: Limit, now: int) -> Rate:
        """What is left at now, and when the oldest counted unit leaves (now, when there is none)."""
        oldest = self._oldest(limit, now)
        reset_at = self._stamps[oldest] + window_ticks(limit) if oldest < len(self._stamps) else now
        remaining = max(limit.limit - self._since(oldest), 0)
        return Rate(limit.name, limit.limit, limit.window_seconds, remaining, reset_at / TICKS)

    def charge(self, limit: Limit, cost: int, now: int) -> None:
        """Count cost units at now, whether or not they fit: ask `wait` first.

        Of units beyond the limit the newest are kept: what they make of any later question is the same.
        """
        if not cost:
            return
        self._forget(self._oldest(limit, now))
        stamp = _stamp(limit, now)
        if self._stamps and self._stamps[-1] >= stamp:
            # Never back in time: the window went on while this caller waited, and so did it.
            stamp = self._stamps[-1]
        else:
            self._stamps.append(stamp)
            self._before.append(self._total)
        self._total += cost
        self._keep_newest(limit.limit)

    def give_back(self, limit: Limit, cost: int, now: int) -> None:
        """Undo a charge of cost units that was made with this same now.

        Others may have charged since. Units that stand no later than the ones given back go in their
        place, never newer ones, so that nobody's units leave before their time.
        """
        stamp = _stamp(limit, now)
        if not self._stamps or self._stamps[-1] >= stamp + window_ticks(limit):
            return  # The units may have left by themselves, and others are not ours to give.
        index = max(bisect_right(self._stamps, stamp) - 1, 0)
        while cost and self._stamps:
            cost -= self._remove(index, cost)
            index = max(index - 1, 0)

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing, not even units that have left since."""
        return not self._stamps

    def leaves_at(self, limit: Limit) -> int:
        """The tick at which the last unit has left; 0 for an empty window."""
        return self._stamps[-1] + window_ticks(limit) if self._stamps else 0

    def dump(self) -> bytes:
        """The state as bytes for `load`: 8 an entry where each is a single unit, else 16."""
        units = self._since(0)
        if units == len(self._stamps) <= EXACT_UNITS:
            return _SINGLE + self._stamps.tobytes()
        return b"".join((_MULTIPLE, self._stamps, self._before, array("q", (self._total,))))

    @classmethod
    def load(cls, state: bytes) -> Window:
        """The window that `dump` wrote, on a machine of this byte order. Raises ValueError."""
        window = cls()
        numbers = array("q", state[1:])
        if state[:1] == _SINGLE and len(numbers) <= EXACT_UNITS:
            window._total = len(numbers)
            window._stamps, window._before = numbers, _INDEXES[: len(numbers)]
        elif state[:1] == _MULTIPLE and len(numbers) % 2:
            window._total = numbers.pop()
            entries = len(numbers) // 2
            window._stamps, window._before = numbers[:entries], numbers[entries:]
        else:
            raise ValueError("This is not the state of a window.")
        return window

    def _oldest(self, limit: Limit, now: int) -> int:
        """The index of the oldest entry that counts at now; the number of entries when none does."""
        if not self._stamps:
            return 0
        if self._stamps[-1] - now > LATE_TICKS:
            self._bring_down(now + LATE_TICKS + grain_ticks(limit) - 1)
        return bisect_right(self._stamps, now - window_ticks(limit))

    def _bring_down(self, latest: int) -> None:
        """No stamp later than that."""
        first = bisect_right(self._stamps, latest)
        self._stamps[first:] = array("q", [latest]) * (len(self._stamps) - first)

    def _since(self, index: int) -> int:
        return self._total - self._before[index] if index < len(self._before) else 0

    def _forget(self, entries: int) -> None:
        del self._stamps[:entries], self._before[:entries]

    def _keep_newest(self, units: int) -> None:
        floor = self._total - units
        if self._before[0] < floor:
            self._forget(bisect_right(self._before, floor) - 1)
            self._before[0] = floor

    def _remove(self, index: int, most: int) -> int:
        """Take up to most units off an entry; how many it were."""
        end = self._before[index + 1] if index + 1 < len(self._before) else self._total
        units = end - self._before[index]
        removed = min(units, most)
        for later in range(index + 1, len(self._before)):
            self._before[later] -= removed
        self._total -= removed
        if removed == units:
            del self._stamps[index], self._before[index]
        return removed


def window_ticks(limit: Limit) -> int:
    """The window's length in ticks."""
    return limit.window_seconds * TICKS


def grain_ticks(limit: Limit) -> int:
    """What a unit's time is rounded up to, in ticks."""
    return 1 if limit.limit <= EXACT_UNITS else window_ticks(limit) // SLICES


def _stamp(limit: Limit, now: int) -> int:
    grain = grain_ticks(limit)
    return -(-now // grain) * grain
