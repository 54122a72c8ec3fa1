"""The tables that the processes of a gateway share, and how a row is put in the place of another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

Insert = Callable[[Table], Any]
"""The database's own form of an insertion, which knows what to do where a row is there already."""

metadata = MetaData()
_Number = BigInteger().with_variant(Integer, "sqlite")

uses = Table(
    "upstream_uses",
    metadata,
    Column("upstream", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("uses", _Number, nullable=False),
    Column("refusals", _Number, nullable=False),
    Column("leading", _Number, nullable=False),
    Column("first_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("accepted_at", Double),
    Column("refused_at", Double),
)
hours = Table(
    "upstream_hours",
    metadata,
    Column("upstream", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("hour_at", Double, primary_key=True),
    Column("uses", _Number, nullable=False),
    Column("accepted", _Number, nullable=False),
    Column("refused", _Number, nullable=False),
    Column("fallbacks", _Number, nullable=False),
    Column("not_replayed", _Number, nullable=False),
    Index("upstream_hours_at", "hour_at"),
)
refusers = Table(
    "upstream_refusers",
    metadata,
    Column("upstream", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("who", String, primary_key=True),
)
breakers = Table(
    "breakers",
    metadata,
    Column("server", String, primary_key=True),
    Column("failures", _Number, nullable=False),
    Column("opened_at", Double),
    Column("trying_at", Double),
)
notices = Table(
    "notices",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", Double, nullable=False),
    Index("notices_at", "at"),
)
deliveries = Table(
    "deliveries",
    metadata,
    Column("message", String, primary_key=True),
    Column("webhook", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("trouble", String),
    Index("deliveries_due", "state", "due_at"),
)
reminders = Table(
    "reminders",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", Double, nullable=False),
)
told_to = Table(
    "told_to",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", _Number, nullable=False),
)


def placing(insert: Insert, table: Table) -> Any:
    """An insertion that takes the place of the row that has the same primary key."""
    new = insert(table)
    others = {column.name: new.excluded[column.name] for column in table.columns if not column.primary_key}
    return new.on_conflict_do_update(index_elements=list(table.primary_key), set_=others)
