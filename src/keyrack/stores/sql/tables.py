"""The tables of the key store. Columns beside `body` are what records are found by, and decide nothing."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData()
_Number = BigInteger().with_variant(Integer, "sqlite")

log = Table(
    "log",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
    Column("pepper", String(16), nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Column("kind", String(8)),
    Column("subject", String(100)),
    Column("tenant", String(100)),
    Index("log_tenant", "tenant", "number"),
    Index("log_subject", "subject", "number"),
    Index("log_pepper", "pepper", "number"),
)

records = Table(
    "records",
    metadata,
    Column("serial", _Number, primary_key=True, autoincrement=False),
    Column("kind", String(8), nullable=False),
    Column("id", String(100), nullable=False),
    Column("revision", _Number, nullable=False),
    Column("tenant", String(100), nullable=False),
    Column("name", String(100), nullable=False),
    Column("owner", String(100)),
    Column("body", LargeBinary, nullable=False),
    Column("pepper", String(16), nullable=False),
    Column("mac", LargeBinary, nullable=False),
    UniqueConstraint("kind", "id", name="records_id"),
    Index("records_kind", "kind", "serial"),
    Index("records_tenant", "kind", "tenant", "serial"),
    Index("records_owner", "kind", "tenant", "owner", "serial"),
    Index("records_name", "kind", "tenant", "name"),
)

marks = Table(
    "marks",
    metadata,
    Column("token", LargeBinary, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("subject", String(100), nullable=False),
    Column("at", Float, nullable=False),
    Index("marks_at", "at"),
)
