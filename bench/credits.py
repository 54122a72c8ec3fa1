"""Credits: what a reservation costs in each place, and that nobody overspends when many try at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.effort import Effort
from bench.figures import Figure, Section, Spread, Target
from bench.places import POSTGRESQL, SQLITE
from bench.reserving import NOW, attempt, fill, open_at, order
from keyrack.stores.balances import Balances, Outcome
from keyrack.stores.sql.postgres import open_postgres
from tests.servers import postgresql, redis

TITLE = "Credits"
HOW = (
    "Real servers on this machine, PostgreSQL without fsync and Redis in memory; SQLite on its disk. One "
    "process reserves a credit and settles it, one request after the other: both calls, by the wall. "
    "Then four processes try at once to reserve from one balance that holds half of what they want; what "
    "they got stands beside what there was. Every attempt is a reservation of its own, and one balance is "
    "the worst case: all wait for its row."
)
MEMORY, REDIS = "the process", "Redis"
SHARES: Mapping[str, float] = {SQLITE: 0.3, REDIS: 0.66, POSTGRESQL: 0.04}
"""How much of all attempts each place is given, by how quick it is."""


def measure(effort: Effort) -> Section:
    """All places, one after the other."""
    with TemporaryDirectory(prefix="keyrack-bench-") as name, postgresql.started() as database:
        folder = Path(name)
        with redis.running(folder) as server:
            url = database.new_url()
            keys, _ = open_postgres(url, create=True)
            keys.close()
            wheres = {
                MEMORY: "memory:",
                SQLITE: str(folder / "credits.db"),
                POSTGRESQL: url,
                REDIS: server.patient_url,
            }
            figures = [*_singles(wheres, effort), *_races(wheres, effort)]
    return Section(TITLE, HOW, figures)


def _singles(wheres: Mapping[str, str], effort: Effort) -> Iterator[Figure]:
    first: float | None = None
    for kind, where in wheres.items():
        with closing(open_at(where)) as balances:
            fill(balances, effort.takes)
            taken = [_timed(balances, f"single-{number}") for number in range(effort.takes)]
        rate = len(taken) / sum(taken)
        yield Figure(f"reserved and settled in {kind}", "1/s", rate, first)
        yield Figure("… 99th percentile", "µs", quantiles(taken, n=100)[98] * 1e6)
        first = first or rate


def _races(wheres: Mapping[str, str], effort: Effort) -> Iterator[Figure]:
    count = effort.nodes + 1
    for kind, share in SHARES.items():
        each = int(effort.reservations * share / count)
        attempts, there = each * count, each * count // 2
        with closing(open_at(wheres[kind])) as balances:
            fill(balances, there)
        granted, seconds = _raced(wheres[kind], count=count, attempts=each)
        spread = Spread.of([granted / there])
        yield Figure(
            f"{kind}: credits got in {attempts:,} attempts of {count} processes",
            "credits",
            granted,
            there,
            spread,
            Target("≤", 1.0),
        )
        yield Figure(f"{kind}: attempts", "1/s", attempts / seconds)


def _raced(where: str, *, count: int, attempts: int) -> tuple[int, float]:
    """How many attempts were granted, and how many seconds that took."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=spawn) as processes:
        # One attempt each first: to start a process takes longer than a thousand of them.
        granted = _tried(processes, where, "first", count=count, attempts=1)
        started_at = perf_counter()
        granted += _tried(processes, where, "race", count=count, attempts=attempts - 1)
        return granted, perf_counter() - started_at


def _tried(processes: ProcessPoolExecutor, where: str, name: str, *, count: int, attempts: int) -> int:
    tried = [processes.submit(attempt, where, f"{name}-{one}", attempts) for one in range(count)]
    return sum(one.result() for one in tried)


def _timed(balances: Balances, name: str) -> float:
    started_at = perf_counter()
    balances.reserve(order(name), NOW)
    balances.end(name, Outcome.SETTLED)
    return perf_counter() - started_at
