"""The tables of this service. Keys are not among them: they live in Keyrack's own store."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Enum, Index, Integer, MetaData, String, Table

from examples.coordinator.columns import Instant
from examples.coordinator.job import Status

VERSION = 1
"""What `PRAGMA user_version` says of a database with these tables."""

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("tenant", String(36), nullable=False),
    Column("type", String(64), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("source", JSON(none_as_null=True)),
    Column("priority", Integer, nullable=False),
    Column("status", Enum(Status, values_callable=list, native_enum=False), nullable=False),
    Column("progress_percent", Integer, nullable=False),
    Column("current_step", String(200)),
    Column("result", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
    Column("attempts", Integer, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("updated_by", String(100), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("queued_at", Instant),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("updated_at", Instant, nullable=False),
    Column("revision", Integer, nullable=False),
)

creations = Table(
    "creations",
    metadata,
    Column("caller", String(100), primary_key=True),
    Column("idempotency_key", String(128), primary_key=True),
    Column("body_digest", String(64), nullable=False),
    Column("job_id", String(26), nullable=False),
    Column("created_at", Instant, nullable=False, index=True),
)
"""Which job an `Idempotency-Key` made, for 24 hours."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("webhook_id", String(128), primary_key=True),
    Column("body_digest", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", JSON, nullable=False),
    Column("received_at", Instant, nullable=False, index=True),
)
"""What each webhook was answered, for 24 hours."""

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("caller", String(100), nullable=False),
    Column("key_id", String(12), nullable=False),
    Column("operation", String(40), nullable=False),
    Column("job_id", String(26)),
    Column("revision", Integer),
    Column("outcome", String(40), nullable=False),
    Column("reason", String(500)),
    Column("request_id", String(128), nullable=False),
    Column("client_ip", String(45)),
    Index("audit_job", "job_id"),
)
