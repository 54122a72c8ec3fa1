"""How a node learns that the log of a PostgreSQL store went on: it is told, and asks all the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, func, select, text

from keyrack.stores.clock import StoreClock
from keyrack.stores.sql.keys import translated
from keyrack.stores.sql.postgres_database import NOW, PostgresDatabase
from keyrack.stores.sql.tables import log

CHANNEL = "keyrack"
ANNOUNCE = select(func.pg_notify(CHANNEL, ""))
"""Told to all who listen when the transaction that says it commits, and only then."""
_LISTEN = text(f"LISTEN {CHANNEL}")
_HEAD = select(NOW, log.c.number, log.c.body).order_by(log.c.number.desc()).limit(1)


class Watch:
    """One connection, opened when it is first needed, that listens and on which the head is looked at.

    One connection for both: that it is looked at twice a second shows that it would still be told.
    """

    def __init__(self, database: PostgresDatabase, clock: StoreClock):
        self._database = database
        self._clock = clock
        self._listening = translated(self._listen)
        self._turn = threading.Lock()
        self._connection: Connection | None = None
        self._seen: list[object] = []

    def moved(self) -> bool:
        """Whether the head is another one than when this was last asked. Raises Unavailable, also when
        the server's clock, which is asked by the way, is too far from ours."""
        with self._turn:
            asked_at = self._clock.system()
            with self._listening() as connection:
                row = connection.execute(_HEAD).one_or_none()
            if row is None:
                return True
            now, *head = row
            self._clock.compare(now, asked_at=asked_at)
            moved, self._seen = head != self._seen, head
        return moved

    def pushed(self) -> bool:
        """Whether the server has said that there is news, or ended the connection. Waits for neither."""
        with self._turn:
            return self._connection is not None and self._was_told(self._connection)

    def close(self) -> None:
        with self._turn:
            self._let_go()

    @contextmanager
    def _listen(self) -> Iterator[Connection]:
        with ExitStack() as failed:
            failed.callback(self._let_go)
            if self._connection is None:
                self._connection = self._database.listener()
                # Before the head is looked at, so that no commit falls between the two.
                self._connection.execute(_LISTEN)
            yield self._connection
            failed.pop_all()

    def _was_told(self, connection: Connection) -> bool:
        driver: Any = connection.connection.driver_connection
        try:
            # All of them: the next poll makes up for however many there are.
            return bool(list(driver.notifies(timeout=0)))
        except psycopg.Error:
            self._let_go()
            return True

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # It listens, which nobody else who was given it from the pool should.
            connection.invalidate()
            connection.close()
