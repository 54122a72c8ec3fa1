"""The service's own SQLite file: readers never wait, one writer at a time, no half-written change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from examples.coordinator import strict_json, tables
from examples.coordinator.problems import Unavailable
from keyrack import ConfigurationError

SETTING = "COORDINATOR_DATABASE_URL"
BUSY_SECONDS = 5
CONNECTIONS = 40
"""As many as there are threads for requests, so that none waits for a connection."""

T = TypeVar("T")


class Overtaken(Exception):
    """Another writer was first: what this one had read is no longer so, and nothing was written."""


def settled(attempt: Callable[[], T]) -> T:
    """Read, decide and write until nobody overtook the attempt.

    Each repetition means that somebody else's change was committed, so all writers together advance.
    """
    while True:
        try:
            return attempt()
        except Overtaken:
            continue


class Database:
    """One file and its connections. Every driver error leaves here as Unavailable."""

    def __init__(self, url: str):
        self._engine = _engine(url)
        self._writing = self._engine.execution_options(begin="IMMEDIATE")
        with ExitStack() as opened:
            opened.callback(self.close)
            self._prepare()
            opened.pop_all()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot to read from; it holds up no writer."""
        with _translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its first statement."""
        with _translated(), self._writing.begin() as connection:
            yield connection

    def answers(self) -> bool:
        """Whether the database can be read now."""
        try:
            with self.read() as connection:
                connection.execute(text("SELECT 1 FROM jobs LIMIT 1"))
        except Unavailable:
            return False
        return True

    def close(self) -> None:
        """End all connections."""
        self._engine.dispose()

    def _prepare(self) -> None:
        try:
            with self._writing.begin() as connection:
                _make_tables(connection)
        except DBAPIError:
            raise ConfigurationError(SETTING, "names a file that cannot be opened as a database.") from None


def _make_tables(connection: Connection) -> None:
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if version > tables.VERSION:
        raise ConfigurationError(SETTING, "names a database of a later version of this service.")
    tables.metadata.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {tables.VERSION}")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise Unavailable("The job database cannot be used right now.") from error


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername != "sqlite" or not parsed.database:
        raise ConfigurationError(SETTING, "must read `sqlite:///path`.")
    engine = create_engine(
        parsed,
        json_serializer=strict_json.write,
        pool_size=CONNECTIONS,
        connect_args={"timeout": BUSY_SECONDS},
    )
    event.listen(engine, "connect", _connected)
    event.listen(engine, "begin", _begun)
    return engine


def _connected(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    connection.execute("PRAGMA journal_mode=WAL")


def _begun(connection: Connection) -> None:
    mode = connection.get_execution_options().get("begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")
