"""How results look: one JSON document, or lines and tables; colours and bars only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from keyrack.progress import Report

WIDE = 240
"""Columns where no terminal says how many there are, so that what is piped is not cut."""
NOTHING = "–"
_COLOURS = {
    "active": "green",
    "live": "green",
    "allowed": "green",
    "ok": "green",
    "disabled": "yellow",
    "suspended": "yellow",
    "revoked": "red",
    "expired": "red",
    "denied": "red",
    "failed": "red",
}


def show_json(document: Any) -> None:
    """Print one JSON document on a line of its own."""
    _console(sys.stdout).out(json_text(document, sys.stdout), highlight=False)


def json_text(document: Any, file: IO[str]) -> str:
    """A document as JSON that this stream can write; what it may not have characters for is escaped."""
    encoding = (getattr(file, "encoding", None) or "utf-8").lower()
    return json.dumps(document, ensure_ascii=not encoding.startswith("utf"))


def say(text: str) -> None:
    """Print one line as it is."""
    _console(sys.stdout).out(text, highlight=False)


def hint(text: str) -> None:
    """Print one line for people, on standard error."""
    _console(sys.stderr).print(Text(text), style="dim")


def show_rows(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, following: str | None = None
) -> None:
    """Print a table, and how to see what comes after it."""
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    _console(sys.stdout).print(table)
    if following is not None:
        hint(f"There are more: --cursor {following}")


def show_members(members: Mapping[str, object]) -> None:
    """Print the members of one object, a line each; those without a value are left out."""
    table = Table.grid(padding=(0, 2))
    for name, value in members.items():
        if value not in (None, [], (), {}):
            table.add_row(Text(name, style="dim"), cell(value))
    _console(sys.stdout).print(table)


def cell(value: object) -> Text:
    """A value as people read it; words that are states have their colour."""
    if value is None or value in ([], ()):
        return Text(NOTHING, style="dim")
    if isinstance(value, list | tuple):
        return Text(", ".join(_plain(one) for one in value))
    text = _plain(value)
    return Text(text, style=_COLOURS.get(text.partition(" ")[0], ""))


@contextmanager
def progress() -> Iterator[Report]:
    """A bar on standard error for as long as the work lasts; on anything but a terminal, nothing."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = _console(sys.stderr)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def report(doing: str, done: int, total: int | None) -> None:
            task = tasks.setdefault(doing, TaskID(-1))
            if task == -1:
                task = tasks[doing] = bars.add_task(doing, total=total)
            bars.update(task, completed=done, total=total)

        yield report


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Say on a terminal what is waited for."""
    console = _console(sys.stderr)
    if not console.is_terminal:
        yield
        return
    with console.status(Text(text)):
        yield


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _console(file: IO[str]) -> Console:
    # Made for each use: a console that is kept would write to a stream that was exchanged since.
    terminal = file.isatty()
    return Console(file=file, force_terminal=terminal, width=None if terminal else WIDE, highlight=False)
