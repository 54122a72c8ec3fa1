"""The results service among a hundred runs and among ten thousand, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.effort import Effort
from bench.figures import Figure, Section, Spread
from bench.places import POSTGRESQL, SQLITE
from bench.results_bed import SAMPLES, Filled, filled
from tests.servers import postgresql

TITLE = "The results service among ten thousand runs"
HOW = (
    f"examples/ci_results with {SAMPLES} tests a run, one output each: requests of one token over ASGI in "
    "this process, the whole application with its guard in front, limits off; by turns on a database of few "
    "runs, which stands beside. Milliseconds by the wall, of one request after the other. Both databases are "
    "real ones on this disk, PostgreSQL without fsync; their rows are made by themselves, and ANALYZE and "
    "VACUUM have seen them. One line in a thousand differs between the two files of the diff; the tail is "
    "the last hundred lines of a log of 50,000."
)


def measure(effort: Effort) -> Section:
    """Both databases, one after the other."""
    with TemporaryDirectory(prefix="keyrack-bench-") as name, postgresql.started() as server:
        folder = Path(name)
        numbers = iter(range(100))
        urls: dict[str, Callable[[], str]] = {
            SQLITE: lambda: f"sqlite:///{folder / str(next(numbers))}.db",
            POSTGRESQL: server.new_url,
        }
        figures = [
            figure for kind, new_url in urls.items() for figure in _figures(kind, new_url, folder, effort)
        ]
    return Section(TITLE, HOW, figures)


def _figures(kind: str, new_url: Callable[[], str], folder: Path, effort: Effort) -> Iterator[Figure]:
    few, many = effort.runs
    with ExitStack() as stack:
        beside, ours = (
            stack.enter_context(filled(new_url(), folder / f"{kind} {runs}", runs=runs))
            for runs in (few, many)
        )
        small = beside.paths()
        for what, path in ours.paths().items():
            turns = [(_asked(ours, path), _asked(beside, small[what])) for _ in range(effort.asks)]
            yield _figure(f"{kind}: {what}, {many:,} runs beside {few:,}", turns)


def _asked(service: Filled, path: str) -> float:
    """Milliseconds of one request."""
    started_at = perf_counter()
    service.call("GET", path)
    return 1e3 * (perf_counter() - started_at)


def _figure(name: str, turns: list[tuple[float, float]]) -> Figure:
    ours, beside = (sorted(column)[len(column) // 2] for column in zip(*turns, strict=True))
    return Figure(name, "ms", ours, beside, Spread.of([one / other for one, other in turns]))
