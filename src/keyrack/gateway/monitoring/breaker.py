"""Whether an upstream server may be sent anything now: one circuit breaker a server, over all processes.

It opens after 5 failures in a row and then lets one request try every 30 seconds (UG-47). A server that
answers costs no call of the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

from keyrack.stores.breakers import Breaker
from keyrack.stores.follower import steady
from keyrack.stores.opened import Stores

FRESH_SECONDS = 1.5
"""Older than that, what is known is read again before anything is sent. Chores read it more often."""

_T = TypeVar("_T")


class CircuitBreakers:
    """The breakers as this process knows them. Calls wait for the store only where one has a state."""

    def __init__(self, stores: Stores, *, steady: Callable[[], float] = steady):
        self._breakers = stores.gateway.breakers
        self._blocks = stores.gateway.blocks
        self._clock = stores.clock
        self._steady = steady
        self._known: Mapping[str, Breaker] = {}
        self._read_at = float("-inf")

    async def may_send(self, server: str) -> bool:
        """Whether a request may go there now. Whoever is told so says afterwards what came of it.

        Raises Unavailable when that is known too little and the store cannot be read.
        """
        if self._steady() - self._read_at > FRESH_SECONDS:
            await self._call(self.refresh)
        breaker = self._known.get(server)
        if breaker is None or not breaker.is_open:
            return True
        if not breaker.may_try(self._clock()):
            return False
        return await self._call(lambda: self._breakers.attempt(server, self._clock()))

    async def failed(self, server: str) -> None:
        """The server did not answer, or with 5xx. Raises Unavailable."""
        after = await self._call(lambda: self._breakers.failed(server, self._clock()))
        self._known = {**self._known, server: after}

    async def succeeded(self, server: str) -> None:
        """The server has answered. Raises Unavailable."""
        if server in self._known:
            await self._call(lambda: self._breakers.succeeded(server))
            self._known = {name: one for name, one in self._known.items() if name != server}

    def refresh(self) -> None:
        """Read what other processes have found out. Waits for the store; raises Unavailable."""
        asked_at = self._steady()
        self._known = self._breakers.all()
        self._read_at = asked_at

    @property
    def open(self) -> int:
        """How many are open, for metrics."""
        return sum(breaker.is_open for breaker in self._known.values())

    async def _call(self, work: Callable[[], _T]) -> _T:
        return await asyncio.to_thread(work) if self._blocks else work()
