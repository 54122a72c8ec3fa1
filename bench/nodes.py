"""Several processes on one store: how soon a revocation holds on all, and what writing and missing cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from statistics import median, quantiles
from threading import Event as Flag
from threading import Thread
from time import monotonic, perf_counter

from bench.effort import Effort
from bench.figures import Figure, Section, Target
from bench.node import ACCESS, BENCH, Node
from bench.places import POSTGRESQL, SQLITE, Places, places
from bench.population import PEPPERS
from keyrack import Verifier, Wish
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
