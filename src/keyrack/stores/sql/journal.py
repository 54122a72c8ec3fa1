"""The journal in SQL: uses rolled up by version, refusals, and the nodes that decide on the store.

For SQLite it is a file of its own beside the store, so that usage never delays a revocation.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.dialects import sqlite

from keyrack.core.model import Reason
from keyrack.stores.journal import DENIALS_KEPT, DENIALS_KEPT_SECONDS, Node, Refusal, Use
from keyrack.stores.sql.database_file import DatabaseFile, make_file
from keyrack.stores.sql.keys import translated

BUSY_SECONDS = 2.0

metadata = MetaData()

uses = Table(
    "uses",
    metadata,
    Column("key_id", String(12), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("uses", Integer, nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
)
refusals = Table(
    "refusals",
    metadata,
    Column("serial", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("reason", String(16), nullable=False),
    Column("times", Integer, nullable=False),
    Column("address", String(64)),
    Column("key_id", String(12)),
    Column("tenant", String(100)),
    Column("caller", String(100)),
    Column("operation", String(300)),
    Column("request_id", String(128)),
    Index("refusals_tenant", "tenant", "serial"),
)
nodes = Table(
    "nodes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("applied", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("renewed_at", Float, nullable=False),
)
_REFUSAL = tuple(refusals.c[name] for name in Refusal._fields)


class SqliteJournal:
    """Implements keyrack.stores.journal.Journal in one SQLite file."""

    def __init__(self, path: Path):
        if not path.exists():
            make_file(path)
        self._file = DatabaseFile(path)
        # NORMAL: a crash of the machine loses the last second of usage, which is what is promised.
        self._engine = self._file.engine(busy_seconds=BUSY_SECONDS, synchronous="NORMAL")
        self._reading = translated(self._read)
        self._writing = translated(self._write)
        # Alone: of two processes that start at once, one would find a table that was not there.
        with self._writing() as connection:
            metadata.create_all(connection)

    def write(self, used: Sequence[Use], refused: Sequence[Refusal]) -> None:
        if not used and not refused:
            return
        with self._writing() as connection:
            if used:
                connection.execute(_ADD_USE, [use._asdict() for use in used])
            if refused:
                connection.execute(insert(refusals), [one._asdict() for one in refused])
                _prune(connection)

    def uses(self, key_ids: Sequence[str]) -> Mapping[tuple[str, int], Use]:
        with self._reading() as connection:
            rows = connection.execute(select(uses).where(uses.c.key_id.in_(key_ids)))
            found = [Use(*row) for row in rows]
        return {(use.key_id, use.number): use for use in found}

    def refusals(self, *, after: int, most: int, tenant: str | None) -> Sequence[tuple[int, Refusal]]:
        found = select(refusals.c.serial, *_REFUSAL).where(refusals.c.serial > after)
        if tenant is not None:
            found = found.where(refusals.c.tenant == tenant)
        with self._reading() as connection:
            rows = connection.execute(found.order_by(refusals.c.serial).limit(most)).all()
        return [(row[0], _refusal(row[1:])) for row in rows]

    def renew(self, node: Node) -> None:
        with self._writing() as connection:
            connection.execute(_RENEW, node._asdict())

    def retire(self, node_id: str) -> None:
        with self._writing() as connection:
            connection.execute(delete(nodes).where(nodes.c.id == node_id))

    def nodes(self) -> Sequence[Node]:
        with self._reading() as connection:
            return [Node(*row) for row in connection.execute(select(nodes))]

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        self._file.require_same()
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        self._file.require_same()
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()


def _added() -> Any:
    new = sqlite.insert(uses)
    return new.on_conflict_do_update(
        index_elements=[uses.c.key_id, uses.c.number],
        set_={
            "uses": uses.c.uses + new.excluded.uses,
            "first_at": func.min(uses.c.first_at, new.excluded.first_at),
            "last_at": func.max(uses.c.last_at, new.excluded.last_at),
        },
    )


def _renewed() -> Any:
    new = sqlite.insert(nodes)
    columns = ("applied", "hash", "renewed_at")
    return new.on_conflict_do_update(
        index_elements=[nodes.c.id], set_={name: new.excluded[name] for name in columns}
    )


_ADD_USE = _added()
_RENEW = _renewed()


def _prune(connection: Connection) -> None:
    newest = select(func.max(refusals.c.serial)).scalar_subquery()
    long_ago = time.time() - DENIALS_KEPT_SECONDS
    old = (refusals.c.serial <= newest - DENIALS_KEPT) | (refusals.c.at < long_ago)
    connection.execute(delete(refusals).where(old))


def _refusal(row: Sequence[Any]) -> Refusal:
    return Refusal(row[0], Reason(row[1]), *row[2:])
