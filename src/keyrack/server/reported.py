"""Which reports of use this process has taken, so that one whose answer was lost is not taken again."""

from __future__ import annotations

import threading
from collections.abc import Callable

MAX_REPORTERS = 10_000
"""How many are remembered; beyond that those that were silent longest are forgotten."""


class Reported:
    """Each reporter numbers its reports, and sends one until it is answered: its last number says enough.

    In memory: a report that was taken by another process, or before a restart, is taken once more.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._last: dict[str, int] = {}

    def once(self, reporter: str, number: int, take: Callable[[], None]) -> bool:
        """Take a report, and say so; False for one that was taken before. Raises what `take` raises."""
        with self._turn:
            if number <= self._last.get(reporter, 0):
                return False
            take()
            self._last.pop(reporter, None)
            if len(self._last) >= MAX_REPORTERS:
                del self._last[next(iter(self._last))]
            self._last[reporter] = number
            return True
