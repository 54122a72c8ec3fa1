"""The provider's own keys: which are accepted, how often each was used, and how often it may be."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

MINUTE_SECONDS = 60.0


class Desk:
    """Lives in the one process of the provider, where everything happens in one thread."""

    def __init__(self, keys: Iterable[str], *, requests_per_minute: int):
        self.requests_per_minute = requests_per_minute
        self._accepted = frozenset(keys)
        self._uses = Counter[str]()
        self._refused = Counter[str]()
        self._window: tuple[int, Counter[str]] = (0, Counter())

    def accept(self, keys: Iterable[str]) -> None:
        """Accept these keys from now on, and no others."""
        self._accepted = frozenset(keys)

    def knows(self, key: str) -> bool:
        """Whether a key is accepted; counts how often it was shown either way."""
        counter = self._uses if key in self._accepted else self._refused
        counter[key] += 1
        return key in self._accepted

    def take(self, key: str) -> int:
        """How many requests are left in this minute after this one; below 0 it is one too many."""
        minute = int(time.monotonic() // MINUTE_SECONDS)
        if self._window[0] != minute:
            self._window = (minute, Counter())
        self._window[1][key] += 1
        return self.requests_per_minute - self._window[1][key]

    def report(self) -> dict[str, dict[str, int]]:
        """How often each key was shown, by its last four characters."""
        return {
            "accepted": {key[-4:]: count for key, count in self._uses.items()},
            "refused": {key[-4:]: count for key, count in self._refused.items()},
        }
