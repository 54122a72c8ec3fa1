"""Stores that can be taken away and brought back: a file, a database server, a directory of objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from servers.postgresql import started

KINDS = ("sqlite", "postgresql", "directory")


class Outage(NamedTuple):
    """The URL of a store that is not made yet, and what takes it away and brings it back."""

    url: str
    cut: Callable[[], None]
    mend: Callable[[], None]


@contextmanager
def outage(kind: str, folder: Path) -> Iterator[Outage]:
    """A store of that kind; it need not be there at the end."""
    if kind == "postgresql":
        with started() as server:
            yield Outage(server.new_url(), server.stop, server.start)
        return
    path, aside = folder / "keys.db", folder / "aside"
    scheme = "sqlite:///" if kind == "sqlite" else "file://"
    yield Outage(f"{scheme}{path}", lambda: moved(path, aside), lambda: moved(aside, path))


def moved(here: Path, there: Path) -> None:
    """As of now what was here is there."""
    here.rename(there)
