"""A node: a process with a replica of a store, which is asked from here.

A module of its own, since every such process imports it, and few things with it.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from time import monotonic, perf_counter, process_time, sleep
from typing import NamedTuple, Self

from bench.population import PEPPERS
from keyrack import Access, Allowed, Authority, Issuer, Verifier, Wish

ACCESS = Access(("logs:read",))
BENCH = Authority.operator("bench")
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.001
"""How often a node looks; without a pause it would take the processor from those that it waits for."""

_node: Verifier


class Started(NamedTuple):
    """What a start took: seconds on the wall, and of the process's own processor time."""

    seconds: float
    busy_seconds: float


class Node:
    """A process with a replica of the store."""

    def __init__(self, url: str, *, cut: bool, max_keys: int | None = None):
        self._process = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self.started: Started = self._process.submit(_open, url, cut, max_keys).result()

    def passes(self, text: str) -> None:
        """Wait until it passes a key."""
        self._process.submit(_await, text, True).result()

    def refuses(self, text: str) -> Future[float]:
        """The moment at which it refuses a key, by the clock that all processes share."""
        return self._process.submit(_await, text, False)

    def mint(self, seconds: float) -> Future[int]:
        """How many keys it mints in that time."""
        return self._process.submit(_mint, seconds)

    def first_uses(self, texts: Sequence[str]) -> list[float]:
        """Seconds that the first decision on each of these took."""
        return self._process.submit(_first_uses, texts).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.submit(_close).result()
        self._process.shutdown()


def _open(url: str, cut: bool, max_keys: int | None) -> Started:
    global _node
    started_at, busy_before = perf_counter(), process_time()
    _node = Verifier.open(url, peppers=PEPPERS, replica_max_keys=max_keys)
    started = Started(perf_counter() - started_at, process_time() - busy_before)
    if cut:
        _node.stores.keys.pushed = lambda: False  # type: ignore[attr-defined]  # no news is announced
    return started


def _await(text: str, passing: bool) -> float:
    until = monotonic() + PATIENCE_SECONDS
    while isinstance(_node.verify(text, ACCESS), Allowed) is not passing:
        if monotonic() > until:
            raise TimeoutError(f"{PATIENCE_SECONDS} s are over.")
        sleep(LOOK_SECONDS)
    return monotonic()


def _mint(seconds: float) -> int:
    # Without the wait for other nodes, which is no part of what appending costs.
    issuer, minted, until = Issuer(_node.stores), 0, monotonic() + seconds
    while monotonic() < until:
        issuer.mint(Wish(name="n", scopes=("logs:read",)), by=BENCH)
        minted += 1
    return minted


def _first_uses(texts: Sequence[str]) -> list[float]:
    return [_first_use(text) for text in texts]


def _first_use(text: str) -> float:
    started_at = perf_counter()
    _node.verify(text, ACCESS)
    return perf_counter() - started_at


def _close() -> None:
    _node.close()
