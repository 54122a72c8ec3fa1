"""The database: SQLite in WAL by default, PostgreSQL by URL, brought to this schema when it is opened.

Every driver error leaves here as Unavailable, but for one: Taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.pool import QueuePool

from examples.ci_results.problems import Unavailable
from keyrack import ConfigurationError

__all__ = ["Connection", "Database", "Taken"]

SETTING = "CI_DATABASE_URL"
MIGRATIONS = Path(__file__).with_name("migrations")
BUSY_SECONDS = 5
CONNECTIONS = 40
"""As many as there are threads for requests, so that none waits for a connection."""
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


class Taken(Exception):
    """What must be unique is there already; whoever writes it knows what that means."""


class Database:
    """One database and its connections."""

    def __init__(self, url: str):
        self.engine = _engine(url)
        self._writing = self.engine.execution_options(begin="IMMEDIATE")
        with ExitStack() as opened:
            opened.callback(self.close)
            self._upgrade()
            opened.pop_all()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction to read in; it holds up no writer."""
        with _translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction to write in. On SQLite it is alone from its first statement; on PostgreSQL it
        locks the rows that it reads with `for_update`."""
        with _translated(), self._writing.begin() as connection:
            yield connection

    def answers(self) -> bool:
        """Whether the database can be read now."""
        try:
            with self.read() as connection:
                connection.execute(text("SELECT 1 FROM run LIMIT 1"))
        except Unavailable:
            return False
        return True

    def close(self) -> None:
        """End all connections."""
        self.engine.dispose()

    def _upgrade(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        try:
            with self._writing.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except CommandError:
            raise ConfigurationError(
                SETTING, "names a database of a later version of this service."
            ) from None
        except DBAPIError:
            raise ConfigurationError(SETTING, "names no database that can be opened.") from None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise Taken() from error
    except DBAPIError as error:
        raise Unavailable("The database cannot be used right now.") from error


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(SETTING, "must read `sqlite:///path` or `postgresql://…`.") from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise ConfigurationError(SETTING, "must read `sqlite:///path` or `postgresql://…`.")
    if driver != "sqlite":
        return create_engine(parsed.set(drivername=driver), pool_size=CONNECTIONS, pool_pre_ping=True)
    engine = _sqlite_engine(parsed)
    event.listen(engine, "connect", _connected)
    event.listen(engine, "begin", _begun)
    return engine


def _sqlite_engine(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):  # it lives in one connection, which threads take in turn
        return create_engine(
            url,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            connect_args={"check_same_thread": False},
        )
    return create_engine(url, pool_size=CONNECTIONS, connect_args={"timeout": BUSY_SECONDS})


def _connected(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begun(connection: Connection) -> None:
    how = connection.get_execution_options().get("begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {how}")
