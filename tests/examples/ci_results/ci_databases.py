"""A database for each service of a test: SQLite in memory, or one of a few in PostgreSQL, then emptied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import psycopg
from servers.postgresql import PostgresServer

from examples.ci_results.models.tables import metadata

KINDS = ("sqlite", "postgresql")
EMPTY = "TRUNCATE {} RESTART IDENTITY".format(", ".join(f'"{name}"' for name in metadata.tables))

TakeDatabase = Callable[[], AbstractContextManager[str]]
"""Gives the URL of a database that nobody else has until the block ends."""


@contextmanager
def in_memory() -> Iterator[str]:
    """One that lives as long as its service."""
    yield "sqlite://"


class Databases:
    """Databases of one server. To make and to migrate one takes longer than most tests."""

    def __init__(self, server: PostgresServer):
        self._server = server
        self._free: list[str] = []

    @contextmanager
    def take(self) -> Iterator[str]:
        """An empty one."""
        url = self._free.pop() if self._free else self._server.new_url()
        yield url
        # One that was never used, or whose tables a test took away, is not given out again.
        with psycopg.connect(url, autocommit=True) as connection, suppress(psycopg.errors.UndefinedTable):
            connection.execute(EMPTY.encode())
            self._free.append(url)
