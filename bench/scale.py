"""The same decision among 10, 10,000 and 1,000,000 keys: its time, the start, and bytes a key.

Each store is loaded by a fresh process. The processes stay, and decide by turns.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random
from time import perf_counter, thread_time
from typing import NamedTuple, Self

from bench import memory
from bench.effort import Effort
from bench.figures import Figure, Section, Target
from bench.floor import ACCESS
from bench.population import PEPPERS, text_of
from bench.profile import of_call
from bench.rounds import Turns, each
from keyrack import Allowed, Verifier, open_stores
from keyrack.stores.follower import Follower

MILLION = 1_000_000
MEBIBYTE = 1 << 20
HELD = 100
"""Of so many keys one is held where not all are."""
TITLE = "Among few keys and among a million"
HOW = (
    "One fresh process for each store (SQLite, its file in the page cache), all of them deciding by turns, "
    "one at a time. In use: how many different keys are presented, in any order, all parsed before; the "
    "first use of a key, which parses it, is a line of its own, over keys drawn at random. Start: from the "
    "open store to a replica that decides, every record read, authenticated and summed up. A key in memory: "
    "what the kernel counts as resident (VmRSS) after the start, less what it counted before, divided by "
    "the keys; records are 418 bytes on average (three scopes, a name, an owner, one secret). Of keys that "
    "were used the parsed form is kept beside the bytes, of 20,000 at most: a line of its own as well. Held: "
    "where a process is told to hold fewer keys than there are (KEYRACK_REPLICA_MAX_KEYS)."
)


class Loaded(NamedTuple):
    """What starting took."""

    seconds: float
    busy_seconds: float
    bytes_a_key: float
    peak: int


class Keyring:
    """A fresh process that has loaded one store, and decides when it is told to."""

    def __init__(self, count: int, path: Path, *, max_keys: int | None = None):
        self.count = count
        spawn = multiprocessing.get_context("spawn")
        self._process = ProcessPoolExecutor(1, mp_context=spawn)
        self.loaded = self._process.submit(_load, path, count, max_keys).result()

    def turn(self, numbers: Sequence[int]) -> float:
        """Nanoseconds that one decision on these keys takes."""
        return self._process.submit(_decide, numbers).result()

    def bytes_a_key(self) -> float:
        """What is resident now, less what was before the start."""
        return self._process.submit(_grown).result() / self.count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.submit(_close).result()
        self._process.shutdown()


def measure(paths: Mapping[int, Path], effort: Effort) -> Section:
    """All sizes beside the smallest; `paths` has three or more of them, in order."""
    few, many, *_ = paths
    with ExitStack() as stack:
        rings = [stack.enter_context(Keyring(count, path)) for count, path in paths.items()]
        *_, largest = rings
        figures = [figure for ring in rings for figure in _start(ring)]
        figures.append(_in_memory(largest, "none used", largest.loaded.bytes_a_key))
        figures += _beside_the_first(rings, few, effort)
        figures += _beside_the_first(rings[1:], many, effort)
        figures.append(_in_memory(largest, f"{many:,} used", largest.bytes_a_key()))
        figures.append(_first_use(largest, many, effort))
    figures += _few_held(largest.count, paths[largest.count], effort)
    missed = any(figure.is_met is False for figure in figures)
    return Section(TITLE, HOW, figures, _profile(paths[many]) if missed else ())


def _start(ring: Keyring) -> Iterator[Figure]:
    target = Target("≤", 10.0) if ring.count >= MILLION else None
    yield Figure(f"{ring.count:,} keys: start", "s", ring.loaded.seconds, target=target)
    yield Figure(f"{ring.count:,} keys: processor time of the start", "s", ring.loaded.busy_seconds)
    yield Figure(f"{ring.count:,} keys: most in memory until then", "MiB", ring.loaded.peak / MEBIBYTE)


def _in_memory(ring: Keyring, when: str, bytes_a_key: float) -> Figure:
    target = Target("≤", 600) if ring.count >= MILLION else None
    return Figure(f"{ring.count:,} keys: a key in memory, {when}", "bytes", bytes_a_key, target=target)


def _beside_the_first(rings: Sequence[Keyring], in_use: int, effort: Effort) -> Iterator[Figure]:
    """Decisions on the same keys in every store, beside those in the first."""
    draw = Random(in_use)
    taken: dict[int, list[float]] = {ring.count: [] for ring in rings}
    for ring in rings:
        ring.turn(range(1, in_use))
    for _ in range(max(2, effort.rounds // 4)):
        numbers = draw.choices(range(1, in_use), k=effort.calls)
        for ring in rings:
            taken[ring.count].append(ring.turn(numbers))
    first, *others = rings
    beside = taken[first.count]
    for ring in others:
        name = f"{ring.count:,} keys, {in_use:,} in use, beside {first.count:,} keys"
        yield Turns(taken[ring.count], beside).figure(name, Target("≤", 1.3))


def _first_use(ring: Keyring, used: int, effort: Effort) -> Figure:
    numbers = Random(1).sample(range(used, ring.count), k=min(10 * effort.calls, ring.count - used))
    return Figure(f"{ring.count:,} keys: the first use of a key", "µs", ring.turn(numbers) / 1000)


def _few_held(count: int, path: Path, effort: Effort) -> Iterator[Figure]:
    """The largest store once more, with one key in HELD in memory."""
    held = count // HELD
    with Keyring(count, path, max_keys=held) as ring:
        name = f"{count:,} keys, {held:,} held"
        yield Figure(f"{name}: start", "s", ring.loaded.seconds)
        yield Figure(f"{name}: processor time of the start", "s", ring.loaded.busy_seconds)
        yield Figure(f"{name}: a key in memory", "bytes", ring.loaded.bytes_a_key)
        numbers = Random(2).sample(range(1, count), k=min(effort.calls, count - 1))
        yield Figure(f"{name}: a key that is read from the store", "µs", ring.turn(numbers) / 1000)


def _profile(path: Path) -> list[str]:
    stores = open_stores(f"sqlite:///{path}", peppers=PEPPERS)
    try:
        return of_call(Follower(stores.keys, stores.peppers).load)
    finally:
        stores.close()


class _Here(NamedTuple):
    """What the process of a Keyring holds."""

    verifier: Verifier
    resident_before: int


_here: list[_Here] = []


def _load(path: Path, count: int, max_keys: int | None) -> Loaded:
    stores = open_stores(f"sqlite:///{path}", peppers=PEPPERS)
    verifier = Verifier(stores, replica_max_keys=max_keys)
    _here.append(_Here(verifier, memory.resident()))
    started_at, busy_before = perf_counter(), thread_time()
    verifier.start()
    seconds, busy_seconds = perf_counter() - started_at, thread_time() - busy_before
    return Loaded(seconds, busy_seconds, _grown() / count, memory.peak())


def _decide(numbers: Sequence[int]) -> float:
    verify = _here[0].verifier.verify
    texts = [text_of(number) for number in numbers]
    taken = each(verify, texts, [ACCESS] * len(texts))
    if not isinstance(verify(texts[0], ACCESS), Allowed):
        raise RuntimeError("The key that is measured does not pass.")
    return taken


def _grown() -> int:
    return memory.resident() - _here[0].resident_before


def _close() -> None:
    _here.pop().verifier.close()
