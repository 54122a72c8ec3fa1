"""Several processes on one store: how soon a revocation holds on all, and what writing and missing cost."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from statistics import median, quantiles
from threading import Event as Flag
from threading import Thread
from time import monotonic, perf_counter, sleep
from typing import Self

from bench.effort import Effort
from bench.figures import Figure, Section, Target
from bench.places import POSTGRESQL, SQLITE, Places, places
from bench.population import PEPPERS
from keyrack import Access, Allowed, Authority, Issuer, Verifier, Wish
from keyrack.core.model import Limit
from keyrack.stores.counters import Spend, open_counters

TITLE = "Several processes on one store"
HOW = (
    "Real servers on this machine: PostgreSQL 18 and Redis 6.2 from wheels, without fsync and in memory; "
    "moto for S3, which is Python itself and no measure of a bucket; SQLite and a directory on its disk. "
    "Revocation: processes with a replica each look every millisecond until it refuses; from the moment "
    "before the revocation is asked for to the refusal of the last of them, one revocation after the other. "
    "Push cut: the nodes are told nothing and poll, twice a second. Appending: so many processes that mint "
    "as fast as they can, one key a call, and wait for no other node. Deciding beside changes: one process "
    "decides, a thread of it changes keys, 100 a second, against the same without changes. A miss: the first "
    "decision on a key that a partial replica does not hold, read from the store. A limit: one take of one "
    "limit by one process."
)
CHANGES_A_SECOND = 100
ACCESS = Access(("logs:read",))
BENCH = Authority.operator("bench")
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.001
"""How often a node looks; without a pause it would take the processor from those that it waits for."""

_node: Verifier


def measure(effort: Effort) -> Section:
    """All stores, one after the other."""
    figures: list[Figure] = []
    with places() as found:
        for kind, new_url in found.stores.items():
            figures += _of_store(kind, new_url(), effort)
        figures += _limits(found, effort)
    return Section(TITLE, HOW, figures)


def _of_store(kind: str, url: str, effort: Effort) -> Iterator[Figure]:
    with Verifier.open(url, peppers=PEPPERS, create=True) as here:
        pushes = kind == POSTGRESQL
        yield from _revocations(kind, url, here, effort, cut=False)
        if pushes:
            yield from _revocations(f"{kind}, push cut", url, here, effort, cut=True)
        yield from _appends(kind, url, effort)
        yield _beside_changes(kind, here, effort)
        yield _misses(kind, url, here, effort)


class Node:
    """A process with a replica of the store."""

    def __init__(self, url: str, *, cut: bool, max_keys: int | None = None):
        spawn = multiprocessing.get_context("spawn")
        self._process = ProcessPoolExecutor(1, mp_context=spawn)
        self._process.submit(_open, url, cut, max_keys).result()

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


def _revocations(kind: str, url: str, here: Verifier, effort: Effort, *, cut: bool) -> Iterator[Figure]:
    issuer = here.issuer()
    taken = []
    with ExitStack() as stack:
        nodes = [stack.enter_context(Node(url, cut=cut)) for _ in range(effort.nodes)]
        for _ in range(effort.revocations):
            minted = issuer.mint(Wish(name="n", scopes=("logs:read",)), by=BENCH)
            for node in nodes:
                node.passes(str(minted.secret))
            asked_at = monotonic()
            watched = [node.refuses(str(minted.secret)) for node in nodes]
            issuer.revoke(minted.key.id, by=BENCH)
            taken.append(max(one.result() for one in watched) - asked_at)
    target = Target("≤", 100 if kind == POSTGRESQL else 1000)
    yield Figure(f"{kind}: a revocation holds on {effort.nodes} nodes, median", "ms", median(taken) * 1000)
    yield Figure(f"{kind}: … the slowest of {len(taken)}", "ms", max(taken) * 1000, target=target)


def _appends(kind: str, url: str, effort: Effort) -> Iterator[Figure]:
    with ExitStack() as stack:
        nodes = [stack.enter_context(Node(url, cut=False)) for _ in range(max(effort.writers))]
        for count in effort.writers:
            minted = [node.mint(effort.web_seconds) for node in nodes[:count]]
            rate = sum(one.result() for one in minted) / effort.web_seconds
            yield Figure(f"{kind}: keys minted by {count} processes", "1/s", rate)


def _beside_changes(kind: str, here: Verifier, effort: Effort) -> Figure:
    issuer = here.issuer()
    minted = issuer.mint(Wish(name="n", scopes=("logs:read",)), by=BENCH)
    text, key_id = str(minted.secret), issuer.mint(Wish(name="changed"), by=BENCH).key.id
    ended = Flag()

    def change() -> None:
        while not ended.wait(1 / CHANGES_A_SECOND):
            issuer.update(key_id, {"metadata": {"at": monotonic()}}, by=BENCH)

    alone = _rate(here, text, effort.web_seconds)
    changing = Thread(target=change)
    changing.start()
    beside = _rate(here, text, effort.web_seconds)
    ended.set()
    changing.join()
    return Figure(f"{kind}: decisions beside {CHANGES_A_SECOND} changes a second", "1/s", beside, alone)


def _misses(kind: str, url: str, here: Verifier, effort: Effort) -> Figure:
    issuer = here.issuer()
    texts = [
        str(issuer.mint(Wish(name="n", scopes=("logs:read",)), by=BENCH).secret) for _ in range(effort.misses)
    ]
    with Node(url, cut=False, max_keys=1) as node:
        taken = node.first_uses(texts)
    return Figure(f"{kind}: a key that is not held, median", "µs", median(taken) * 1e6)


def _limits(found: Places, effort: Effort) -> Iterator[Figure]:
    urls = {
        "in memory": "memory:",
        "in SQLite": found.stores[SQLITE](),
        "in PostgreSQL": found.stores[POSTGRESQL](),
        "in Redis": found.redis,
    }
    spends = [Spend("key/bench/requests", Limit("requests", 1_000_000, 60), 1)]
    first: float | None = None
    for where, url in urls.items():
        counters = open_counters(url)
        taken = [_timed(partial(counters.take, spends, 1e9 + at)) for at in range(effort.takes)]
        counters.close()
        typical = median(taken) * 1e6
        yield Figure(f"a limit counted {where}, median", "µs", typical, first)
        yield Figure(f"a limit counted {where}, 99th percentile", "µs", quantiles(taken, n=100)[98] * 1e6)
        first = first or typical


def _timed(call: Callable[[], object]) -> float:
    started_at = perf_counter()
    call()
    return perf_counter() - started_at


def _rate(verifier: Verifier, text: str, seconds: float) -> float:
    calls, until = 0, monotonic() + seconds
    while monotonic() < until:
        for _ in range(100):
            verifier.verify(text, ACCESS)
        calls += 100
    return calls / seconds


def _open(url: str, cut: bool, max_keys: int | None) -> None:
    global _node
    _node = Verifier.open(url, peppers=PEPPERS, replica_max_keys=max_keys)
    if cut:
        _node.stores.keys.pushed = lambda: False  # type: ignore[attr-defined]  # no news is announced


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
    return [_timed(partial(_node.verify, text, ACCESS)) for text in texts]


def _close() -> None:
    _node.close()
