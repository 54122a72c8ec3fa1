"""One PostgreSQL database: its connections, and the two kinds of transaction in which stores use it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Double, bindparam, cast, create_engine, func, select

from keyrack.core.errors import Unavailable
from keyrack.stores.sql.postgres_connection import CONNECT_SECONDS, Limits, connect, connect_soon

WRITER_IDLE = "2s"
"""How long a writer may stand still while all others wait for it."""
_ALONE = select(
    func.set_config("idle_in_transaction_session_timeout", WRITER_IDLE, True),
    func.pg_advisory_xact_lock(bindparam("lock")),
)

NOW = cast(func.extract("epoch", func.clock_timestamp()), Double)
"""Unix seconds by the server's clock."""


class PostgresDatabase:
    """Connections that are made when needed, kept, and made anew when the server was away."""

    def __init__(self, url: str, limits: Limits, *, ping: bool = True):
        """With `ping` a connection is asked whether it lives before it is used, one turn on the network."""
        self._pid = os.getpid()
        opening = connect if limits.answer >= CONNECT_SECONDS else connect_soon
        self._engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: opening(url, limits),
            isolation_level="READ COMMITTED",
            pool_pre_ping=ping,
            pool_timeout=limits.answer,
        )
        self._readers = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._listeners = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction in which all statements see one instant."""
        self._require_own()
        with self._readers.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction beside others: its rows are its only locks."""
        self._require_own()
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing_alone(self, lock: int) -> Iterator[Connection]:
        """A transaction that begins when every other one under this lock has ended.

        In READ COMMITTED a statement sees what was committed before it, so those after the lock see all
        that its holders before have written.
        """
        with self.writing() as connection:
            connection.execute(_ALONE, {"lock": lock})
            yield connection

    def listener(self) -> Connection:
        """A connection of its own on which each statement is a transaction; the caller closes it."""
        self._require_own()
        return self._listeners.connect()

    def close(self) -> None:
        self._engine.dispose()

    def _require_own(self) -> None:
        if os.getpid() != self._pid:
            # Two processes on one connection would read each other's answers.
            raise Unavailable("This process was forked; open its store again.")
