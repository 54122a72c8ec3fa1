"""Counters in two tables of a PostgreSQL database, shared by all machines that name the same one.

A row is a window. A call is one transaction that holds an advisory lock for each of its buckets, so
calls about different keys do not wait for each other.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from keyrack.core.errors import Unavailable
from keyrack.core.model import Rate
from keyrack.core.window import Window, ticks
from keyrack.stores import charging
from keyrack.stores.charging import MAX_ENTRIES, Placed, Reach, Spend, Taken, stale_at
from keyrack.stores.sql.postgres_connection import Limits, require_readable
from keyrack.stores.sql.postgres_database import PostgresDatabase

LIMITS = Limits(answer=0.25, lock=0.2, idle=2.0, durable=False)
"""A crash of the server forgets the takes of the last second; no commit waits for a disk."""
CALLS_A_PRUNING = 10
PRUNED_AT_ONCE = 1_000
"""Stale entries that one pruning drops at most, so that a hundred calls drop a full table of them."""
REST_SECONDS = 0.5
"""How long calls fail at once after one that found no server, so that they do not all wait for their own."""
TABLES_LOCK = int.from_bytes(b"keyrack\x03")

metadata = MetaData()
windows = Table(
    "counter_windows",
    metadata,
    Column("bucket", String, primary_key=True),
    Column("stale_at", BigInteger, nullable=False),
    # When to look whether it is stale: put off only then, so that charging moves no index.
    Column("due_at", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Index("counter_windows_due", "due_at"),
    postgresql_with={"fillfactor": 50},
)

_LOCK = select(func.pg_advisory_xact_lock(func.unnest(bindparam("locks", type_=ARRAY(BigInteger)))))
_READ = select(windows.c.bucket, windows.c.state).where(
    windows.c.bucket == func.any(bindparam("buckets", type_=ARRAY(String)))
)
_COUNT = select(func.count()).select_from(windows)
_NEW = postgresql.insert(windows)
_KEEP = _NEW.on_conflict_do_update(
    index_elements=[windows.c.bucket],
    set_={"state": _NEW.excluded.state, "stale_at": _NEW.excluded.stale_at},
)
# Those that a call is charging at this moment are left to a later pruning, so nobody waits for one.
_DUE = (
    select(windows.c.bucket)
    .where(windows.c.due_at <= bindparam("at"))
    .order_by(windows.c.due_at)
    .limit(PRUNED_AT_ONCE)
    .with_for_update(skip_locked=True)
    .scalar_subquery()
)
_PUT_OFF = (
    update(windows)
    .where(windows.c.bucket.in_(_DUE), windows.c.stale_at > bindparam("at"))
    .values(due_at=windows.c.stale_at)
)
_DROP = delete(windows).where(windows.c.bucket.in_(_DUE), windows.c.stale_at <= bindparam("at"))

_T = TypeVar("_T")


class PostgresCounters:
    """Counters in the database of this url. Nothing is connected before the first call, which makes the
    tables where they are absent.

    Rows that nobody counts by are dropped, so their number is that of the limits in use; with `max_entries`
    it is bounded, but for rows that are made at the same moment. A call whose answer was lost may have
    been counted; what it took leaves with its window.
    """

    blocks = True
    reach: Reach = "everywhere"

    def __init__(self, url: str, limits: Limits = LIMITS, *, max_entries: int | None = None):
        require_readable(url, "KEYRACK_COUNTERS")
        self._database = PostgresDatabase(url, limits, ping=False)
        self._max_entries = max_entries
        self._has_tables = False
        self._calls = 0
        self._rests_until = 0.0

    def take(self, spends: Sequence[Spend], now: float) -> Taken:
        at = ticks(now)
        return self._step(spends, at, lambda rows: charging.take(rows, spends, at))

    def peek(self, spends: Sequence[Spend], now: float) -> Taken:
        at = ticks(now)
        return self._step(spends, at, lambda rows: charging.peek(rows, spends, at))

    def add(self, spends: Sequence[Spend], now: float) -> tuple[Rate, ...]:
        at = ticks(now)
        return self._step(spends, at, lambda rows: charging.add(rows, spends, at))

    def give_back(self, spends: Sequence[Spend], now: float) -> None:
        at = ticks(now)
        self._step(spends, at, lambda rows: charging.give_back(rows, spends, at))

    def entries(self) -> int:
        """How many buckets are kept, stale ones included."""
        return self._answered(lambda connection: int(connection.execute(_COUNT).scalar_one()))

    def close(self) -> None:
        self._database.close()

    def _step(self, spends: Sequence[Spend], at: int, work: Callable[[Rows], _T]) -> _T:
        self._calls += 1
        if self._calls % CALLS_A_PRUNING == 0:
            self._answered(lambda connection: _prune(connection, at))
        # In one order for all, so that no two calls wait for each other.
        buckets = sorted({spend.bucket for spend in spends})
        return self._answered(lambda connection: work(Rows(connection, buckets, self._max_entries)))

    def _answered(self, work: Callable[[Connection], _T]) -> _T:
        """What work returns, in one transaction; the one place where the driver's errors are translated."""
        if time.monotonic() < self._rests_until:
            raise Unavailable("The counters did not answer a moment ago.")
        try:
            return self._tried(work)
        except SQLAlchemyError as error:
            self._has_tables = False
            if _found_no_server(error):
                self._rests_until = time.monotonic() + REST_SECONDS
            raise Unavailable("The counters cannot be read or written.") from None

    def _tried(self, work: Callable[[Connection], _T]) -> _T:
        """Once more where the server had ended the connection before: that is known only when it is used.

        Never after work has returned: then it was the commit that failed, and the server may have made it.
        """
        has_returned = False

        def noted(connection: Connection) -> _T:
            nonlocal has_returned
            result = work(connection)
            has_returned = True
            return result

        try:
            return self._transact(noted)
        except DBAPIError as error:
            is_silent = isinstance(error.orig, psycopg.errors.ConnectionTimeout)
            if has_returned or is_silent or not error.connection_invalidated:
                raise
        return self._transact(work)

    def _transact(self, work: Callable[[Connection], _T]) -> _T:
        if not self._has_tables:
            with self._database.writing_alone(TABLES_LOCK) as connection:
                metadata.create_all(connection)
            self._has_tables = True
        with self._database.writing() as connection:
            return work(connection)


class Rows:
    """The windows of these buckets, theirs alone until the transaction ends. A charging.Table."""

    def __init__(self, connection: Connection, buckets: Sequence[str], max_entries: int | None):
        self.max_entries = max_entries or MAX_ENTRIES
        self._is_bounded = max_entries is not None
        self._connection = connection
        self._held: set[str] = set()
        self._states: dict[str, bytes] = {}
        if buckets:
            self._hold(buckets)

    def get(self, bucket: str) -> Window | None:
        if bucket not in self._held:  # an overflow bucket, which nobody asks for by name
            self._hold([bucket])
        state = self._states.get(bucket)
        return None if state is None else _load(state)

    def entries(self) -> int:
        if not self._is_bounded:  # room is the disk's, which counting them would not add to
            return 0
        return int(self._connection.execute(_COUNT).scalar_one())

    def keep(self, placed: Sequence[Placed]) -> None:
        rows = {one.spend.bucket: _row(one) for one in placed if self._is_kept(one)}
        if rows:
            self._connection.execute(_KEEP, list(rows.values()))

    def _hold(self, buckets: Sequence[str]) -> None:
        # Locked before they are read, since a statement sees what was committed when it began.
        self._connection.execute(_LOCK, {"locks": [_lock(bucket) for bucket in buckets]})
        rows = self._connection.execute(_READ, {"buckets": list(buckets)})
        self._states.update({row.bucket: row.state for row in rows})
        self._held.update(buckets)

    def _is_kept(self, one: Placed) -> bool:
        return one.spend.bucket in self._states or not one.window.is_empty


def _prune(connection: Connection, at: int) -> None:
    """Drop stale rows; put off those that were charged since they were made."""
    connection.execute(_PUT_OFF, {"at": at})
    connection.execute(_DROP, {"at": at})


def _row(one: Placed) -> dict[str, object]:
    stale = stale_at(one)
    return {"bucket": one.spend.bucket, "stale_at": stale, "due_at": stale, "state": one.window.dump()}


def _lock(bucket: str) -> int:
    """The number of a bucket's advisory lock; two that share one merely wait for each other."""
    digest = hashlib.blake2b(bucket.encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def _load(state: bytes) -> Window:
    try:
        return Window.load(state)
    except ValueError:
        raise Unavailable("The counters are damaged.") from None


def _found_no_server(error: SQLAlchemyError) -> bool:
    """Whether no server answered, which would have given its error a code."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) is None
