"""The seam for circuit breakers: which upstream servers are left alone for a while, for all processes.

A server whose breaker is closed and that last answered has no state. The transitions are pure; a store
holds a breaker still while it makes one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple, Protocol

OPEN_AFTER = 5
"""So many failures in a row open a breaker."""
OPEN_SECONDS = 30.0
"""How long it stays open before one request may try, and how long that one may take."""


class Breaker(NamedTuple):
    """What is known of one upstream server; times in Unix seconds by the store's clock."""

    server: str
    failures: int = 0
    """In a row, up to now."""
    opened_at: float | None = None
    """Since when nothing is sent; None while it is closed."""
    trying_at: float | None = None
    """When a request was last let through to try."""

    @property
    def is_open(self) -> bool:
        """Whether nothing is sent, but for a request that tries."""
        return self.opened_at is not None

    def may_try(self, now: float) -> bool:
        """Whether it was open for long enough and nobody else is trying."""
        waited = self.opened_at is not None and now >= self.opened_at + OPEN_SECONDS
        return waited and (self.trying_at is None or now >= self.trying_at + OPEN_SECONDS)


class Breakers(Protocol):
    """Guarded changes alone. Every method may wait for a disk or network; raises Unavailable for trouble."""

    def all(self) -> Mapping[str, Breaker]:
        """Every breaker that has a state, by server."""

    def failed(self, server: str, now: float) -> Breaker:
        """Count a failure; returns the breaker as it is then."""

    def attempt(self, server: str, now: float) -> bool:
        """Whether this caller, of all processes, is the one that may try now."""

    def succeeded(self, server: str) -> None:
        """The server has answered: its breaker is closed."""


class MemoryBreakers:
    """Breakers of one process, gone with it. Implements Breakers."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._breakers: dict[str, Breaker] = {}

    def all(self) -> Mapping[str, Breaker]:
        with self._turn:
            return dict(self._breakers)

    def failed(self, server: str, now: float) -> Breaker:
        with self._turn:
            after = after_failure(self._breakers.get(server) or Breaker(server), now)
            self._breakers[server] = after
            return after

    def attempt(self, server: str, now: float) -> bool:
        with self._turn:
            breaker = self._breakers.get(server)
            if breaker is None or not breaker.is_open:
                return True
            if not breaker.may_try(now):
                return False
            self._breakers[server] = breaker._replace(trying_at=now)
            return True

    def succeeded(self, server: str) -> None:
        with self._turn:
            self._breakers.pop(server, None)


def after_failure(breaker: Breaker, now: float) -> Breaker:
    """The breaker after one more failure. One that failed to try waits for the whole time again; others
    were sent before it opened, and put nothing off."""
    failures = breaker.failures + 1
    opens = breaker.trying_at is not None or (not breaker.is_open and failures >= OPEN_AFTER)
    if opens:
        return Breaker(breaker.server, failures, opened_at=now)
    return breaker._replace(failures=failures)
