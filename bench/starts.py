"""Each kind of store filled with keys by a copy, and a node started on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter

from bench.effort import Effort
from bench.figures import Figure, Section
from bench.node import BENCH, Node
from bench.places import places
from bench.population import PEPPERS
from keyrack import open_stores
from keyrack.admin.moving import copy

TITLE = "Starts on every kind of store"
HOW = (
    "A SQLite store is copied into one of each kind, as `keyrack copy` does it: events and records "
    "carried over, then the whole chain, every record and their sum checked in the copy. A fresh process "
    "then imports the driver, opens the store and loads it until it decides: every record read, "
    "authenticated and summed up. Files and tables are in the page cache. The servers are those of the "
    "section before, on this machine; moto, which stands for S3, is Python itself and no measure of a bucket."
)


def measure(source: Path, effort: Effort) -> Section:
    """All kinds, one after the other; `source` is the file of a store with keys to start from."""
    figures: list[Figure] = []
    with places() as found:
        for kind, new_url in found.stores.items():
            figures += _of_store(kind, new_url(), source, effort)
    return Section(TITLE, HOW, figures)


def _of_store(kind: str, url: str, source: Path, effort: Effort) -> Iterator[Figure]:
    copied = _copied(source, url)
    yield Figure(f"{kind}: copying {effort.carried:,} keys", "s", copied)
    with Node(url, cut=False) as node:
        started = node.started
    yield Figure(f"{kind}: start with {effort.carried:,} keys", "s", started.seconds)
    yield Figure(f"{kind}: … processor time of it", "s", started.busy_seconds)


def _copied(source: Path, url: str) -> float:
    with (
        closing(open_stores(f"sqlite:///{source}", peppers=PEPPERS)) as held,
        closing(open_stores(url, peppers=PEPPERS, create=True)) as made,
    ):
        started_at = perf_counter()
        copy(held, made, by=BENCH)
        return perf_counter() - started_at
