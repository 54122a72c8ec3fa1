"""Connections to PostgreSQL that wait for nothing for ever, and that lead to no standby."""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from keyrack.core.errors import ConfigurationError, Unavailable

CONNECT_SECONDS = 2
"""For a connection, and for the first answer of one that was idle; the least that libpq knows."""
_PREPARE = """
SELECT set_config('lock_timeout', %(lock)s, false),
       set_config('statement_timeout', %(statement)s, false),
       set_config('idle_in_transaction_session_timeout', %(idle)s, false),
       set_config('synchronous_commit', CASE
           WHEN NOT %(durable)s THEN 'off'
           WHEN current_setting('synchronous_commit') = 'off' THEN 'on'
           ELSE current_setting('synchronous_commit')
       END, false),
       pg_is_in_recovery()
"""


class Limits(NamedTuple):
    """How long a session waits, in seconds, and for what."""

    answer: float
    """For the server to answer a statement within a transaction; beyond it the connection is given up."""
    lock: float
    """For a lock; less than `answer`, so that the server says what it was."""
    idle: float = 60.0
    """How long a transaction may stand still before the server ends it, and with it its locks."""
    durable: bool = True
    """Whether a commit waits for the disk, and for whatever else the server is set to wait for."""


class BoundedConnection(psycopg.Connection[Any]):
    """Waits for each answer for a limited time, whatever became of the server or the way to it."""

    answer_seconds = 6.0

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:
        # A session that was idle may have lost its server, and a new one costs no more than to connect.
        is_idle = self.pgconn.transaction_status == TransactionStatus.IDLE
        seconds = min(CONNECT_SECONDS, self.answer_seconds) if is_idle else self.answer_seconds
        try:
            return super().wait(_bounded(gen, seconds), *args, **options)
        except psycopg.errors.ConnectionTimeout:
            # An answer that comes later would be taken for that of the next statement.
            self.close()
            raise


def require_readable(url: str, setting: str) -> None:
    """Refuse a URL that libpq does not understand, without showing it. Raises ConfigurationError."""
    try:
        conninfo_to_dict(url)
    except psycopg.Error:
        raise ConfigurationError(
            setting, "cannot be read as a URL of PostgreSQL: postgresql://user:password@host:5432/database."
        ) from None


def connect(url: str, limits: Limits) -> BoundedConnection:
    """A new session. Raises psycopg.Error, and Unavailable for a standby."""
    connection = BoundedConnection.connect(
        url,
        autocommit=True,
        connect_timeout=CONNECT_SECONDS,
        # The network may swallow what is sent; then no answer ever says so.
        keepalives_idle=2,
        keepalives_interval=1,
        keepalives_count=3,
        tcp_user_timeout=int(limits.answer * 1000),
        application_name="keyrack",
    )
    connection.answer_seconds = limits.answer
    try:
        _prepare(connection, limits)
    except BaseException:
        connection.close()
        raise
    connection.autocommit = False
    return connection


def connect_soon(url: str, limits: Limits) -> BoundedConnection:
    """The same, but given up after `limits.answer`, where libpq itself waits for CONNECT_SECONDS."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="keyrack-connecting")
    connecting = thread.submit(connect, url, limits)
    thread.shutdown(wait=False)
    try:
        return connecting.result(limits.answer)
    except TimeoutError:
        connecting.add_done_callback(_close)
        raise psycopg.errors.ConnectionTimeout("no connection in time") from None


def _close(connecting: Future[BoundedConnection]) -> None:
    if connecting.exception() is None:
        connecting.result().close()


def _prepare(connection: BoundedConnection, limits: Limits) -> None:
    # By a statement and not by libpq's `options`, which poolers refuse.
    settings = {
        "lock": _milliseconds(limits.lock),
        "statement": _milliseconds(limits.answer),
        "idle": _milliseconds(limits.idle),
        "durable": limits.durable,
    }
    row = connection.execute(_PREPARE, settings).fetchone()
    if row is not None and row[-1]:
        # It may be behind by any number of revocations, and nothing in it says so.
        raise Unavailable("The PostgreSQL server is a standby; Keyrack needs the primary.")


def _milliseconds(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _bounded(gen: Generator[Any, Any, Any], seconds: float) -> Generator[Any, Any, Any]:
    """The same conversation with the server, given up when it is not over in time."""
    deadline = time.monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() >= deadline:
                raise psycopg.errors.ConnectionTimeout("no answer in time")
            wanted = gen.send(ready)
    except StopIteration as over:
        return over.value
