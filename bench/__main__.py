"""Measures everything and writes it down: `python -m bench`, or `FULL=1 python -m bench` for longer."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench import credits as spending
from bench import floor, gateway, machine, nodes, report, results_service, scale, web
from bench.effort import LONG, SHORT, Effort
from bench.figures import Section
from bench.population import Advance, store_of

WIDTH = 140
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, show, write."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    effort = LONG if os.environ.get("FULL") else SHORT
    sections = list(measured(console, effort))
    report.write(RESULTS, machine.describe(), sections)
    console.print(f"Written to {RESULTS}.")


def measured(console: Console, effort: Effort) -> Iterator[Section]:
    """Every section, shown as soon as it is measured."""
    paths = _stores(console, effort)
    store = f"sqlite:///{paths[sorted(paths)[1]]}"
    measurements: dict[str, Callable[[], Section]] = {
        floor.TITLE: lambda: floor.measure(store, effort),
        scale.TITLE: lambda: scale.measure(paths, effort),
        nodes.TITLE: lambda: nodes.measure(paths[effort.carried], effort),
        web.TITLE: lambda: web.measure(store, effort),
        gateway.TITLE: lambda: gateway.measure(effort),
        spending.TITLE: lambda: spending.measure(effort),
        results_service.TITLE: lambda: results_service.measure(effort),
    }
    for title, measure in measurements.items():
        with console.status(f"{title} …"):
            section = measure()
        report.show(console, section)
        yield section


def _stores(console: Console, effort: Effort) -> Mapping[int, Path]:
    return {count: _store(console, count) for count in effort.sizes}


def _store(console: Console, count: int) -> Path:
    with _progress(console, f"A store of {count:,} keys", count) as advance:
        return store_of(count, advance=advance)


@contextmanager
def _progress(console: Console, what: str, total: int) -> Iterator[Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda more: progress.advance(task, more)


if __name__ == "__main__":
    main()
