"""The journal in SQL: uses rolled up by version, refusals, and the nodes that decide on the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    case,
    delete,
    func,
    insert,
    select,
)

from keyrack.core.model import Reason
from keyrack.stores.journal import DENIALS_KEPT, DENIALS_KEPT_SECONDS, Node, Refusal, Use
from keyrack.stores.sql import journal_addresses as addresses
from keyrack.stores.sql.journal_addresses import metadata
from keyrack.stores.sql.keys import Transaction, translated

_Number = BigInteger().with_variant(Integer, "sqlite")

uses = Table(
    "uses",
    metadata,
    Column("key_id", String(12), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("uses", _Number, nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
)
refusals = Table(
    "refusals",
    metadata,
    Column("serial", _Number, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("reason", String(16), nullable=False),
    Column("times", _Number, nullable=False),
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
    Column("applied", _Number, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("renewed_at", Float, nullable=False),
)
_USE = tuple(uses.c.keys())
_REFUSAL = tuple(refusals.c[name] for name in Refusal._fields)


class SqlJournal:
    """Implements keyrack.stores.journal.Journal on transactions that a database module opens.

    Notes are written in `writing`, what nodes say of themselves in `announcing`. `insert` is the
    database's own form of it, which knows what to do where a row is there already.
    """

    registers = True

    def __init__(
        self,
        *,
        reading: Transaction,
        writing: Transaction,
        announcing: Transaction,
        insert: Callable[[Table], Any],
    ):
        self._reading = translated(reading)
        self._writing = translated(writing)
        self._announcing = translated(announcing)
        self._add_use = _added(insert(uses))
        self._keep_addresses = addresses.kept(insert(addresses.addresses))
        self._renew = renewed(insert(nodes))

    def write(self, used: Sequence[Use], refused: Sequence[Refusal]) -> None:
        if not used and not refused:
            return
        with self._writing() as connection:
            if used:
                # In one order, so that no two writers wait for each other.
                ordered = sorted(used, key=itemgetter(0, 1))
                connection.execute(self._add_use, [dict(zip(_USE, use, strict=False)) for use in ordered])
                addresses.keep(connection, used, self._keep_addresses)
            if refused:
                connection.execute(insert(refusals), [one._asdict() for one in refused])
                _prune(connection)

    def uses(self, key_ids: Sequence[str]) -> Mapping[tuple[str, int], Use]:
        with self._reading() as connection:
            rows = connection.execute(select(uses).where(uses.c.key_id.in_(key_ids))).all()
            seen = addresses.seen(connection, list({row.key_id for row in rows}))
        found = (Use(*row)._replace(seen=seen.get((row.key_id, row.number), {})) for row in rows)
        return {(use.key_id, use.number): use for use in found}

    def refusals(self, *, after: int, most: int, tenant: str | None) -> Sequence[tuple[int, Refusal]]:
        found = select(refusals.c.serial, *_REFUSAL).where(refusals.c.serial > after)
        if tenant is not None:
            found = found.where(refusals.c.tenant == tenant)
        with self._reading() as connection:
            rows = connection.execute(found.order_by(refusals.c.serial).limit(most)).all()
        return [(row[0], _refusal(row[1:])) for row in rows]

    def renew(self, node: Node) -> None:
        with self._announcing() as connection:
            connection.execute(self._renew, node._asdict())

    def retire(self, node_id: str) -> None:
        with self._announcing() as connection:
            connection.execute(delete(nodes).where(nodes.c.id == node_id))

    def nodes(self) -> Sequence[Node]:
        with self._reading() as connection:
            return [Node(*row) for row in connection.execute(select(nodes))]


def _added(new: Any) -> Any:
    first, last = new.excluded.first_at, new.excluded.last_at
    return new.on_conflict_do_update(
        index_elements=[uses.c.key_id, uses.c.number],
        set_={
            "uses": uses.c.uses + new.excluded.uses,
            "first_at": case((uses.c.first_at < first, uses.c.first_at), else_=first),
            "last_at": case((uses.c.last_at > last, uses.c.last_at), else_=last),
        },
    )


def renewed(new: Any) -> Any:
    """The insertion of a node, made to replace what that node said before."""
    columns = ("applied", "hash", "renewed_at")
    return new.on_conflict_do_update(
        index_elements=[nodes.c.id], set_={name: new.excluded[name] for name in columns}
    )


def _prune(connection: Connection) -> None:
    newest = select(func.max(refusals.c.serial)).scalar_subquery()
    long_ago = time.time() - DENIALS_KEPT_SECONDS
    old = (refusals.c.serial <= newest - DENIALS_KEPT) | (refusals.c.at < long_ago)
    connection.execute(delete(refusals).where(old))


def _refusal(row: Sequence[Any]) -> Refusal:
    return Refusal(row[0], Reason(row[1]), *row[2:])
