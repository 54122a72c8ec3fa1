"""Measures and writes it down: `python -m bench`, or `FULL=1 python -m bench` for longer.

With a section's name, such as `python -m bench starts`, only that, into a file of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench import credits as spending
from bench import floor, gateway, machine, nodes, report, results_service, scale, starts, web
from bench.effort import LONG, SHORT, Effort
from bench.figures import Section
from bench.population import Advance, store_of

WIDTH = 140
RESULTS = Path(__file__).parent / "results"
Paths = Mapping[int, Path]


def main() -> None:
    """Measure, show, write."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    effort = LONG if os.environ.get("FULL") else SHORT
    only = sys.argv[1] if len(sys.argv) > 1 else None
    sections = list(measured(console, effort, only))
    written = report.write(RESULTS, machine.describe(), sections, name=only or "latest")
    console.print(f"Written to {written}.")


def measured(console: Console, effort: Effort, only: str | None = None) -> Iterator[Section]:
    """Every section, or only the one of that name, shown as soon as it is measured."""
    if only is not None and only not in SECTIONS:
        raise SystemExit(f"There is no section {only!r}; there are {', '.join(SECTIONS)}.")
    paths = _stores(console, effort)
    for name in SECTIONS if only is None else (only,):
        with console.status(f"{name} …"):
            section = SECTIONS[name](paths, effort)
        report.show(console, section)
        yield section


def _middle(paths: Paths) -> str:
    """The URL of the store of middling size."""
    return f"sqlite:///{paths[sorted(paths)[1]]}"


SECTIONS: Mapping[str, Callable[[Paths, Effort], Section]] = {
    "floor": lambda paths, effort: floor.measure(_middle(paths), effort),
    "scale": scale.measure,
    "nodes": lambda paths, effort: nodes.measure(effort),
    "starts": lambda paths, effort: starts.measure(paths[effort.carried], effort),
    "web": lambda paths, effort: web.measure(_middle(paths), effort),
    "gateway": lambda paths, effort: gateway.measure(effort),
    "credits": lambda paths, effort: spending.measure(effort),
    "results_service": lambda paths, effort: results_service.measure(effort),
}
"""What measures each, on stores by how many keys they hold, and with how much effort."""


def _stores(console: Console, effort: Effort) -> Paths:
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
