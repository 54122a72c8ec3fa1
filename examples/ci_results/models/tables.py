"""The tables (CI-4). None holds a credential: a token's key is named in `api_token`, and lives in Keyrack."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from examples.ci_results.enumerations import (
    InputType,
    Origin,
    OutputType,
    Platform,
    Role,
    RunStatus,
    SampleStatus,
    Stage,
    TestType,
    Verdict,
)
from examples.ci_results.models.columns import Choice, Instant

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

user = Table(
    "user",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("email", String(255), nullable=False, unique=True),
    Column("password_hash", String(255), nullable=False),
    Column("role", Choice(Role), nullable=False),
    Column("github_login", String(100)),
    Column("active", Boolean, nullable=False),
)

api_token = Table(
    "api_token",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("user.id", ondelete="CASCADE"), nullable=False),
    Column("key_id", String(12), unique=True),  # none until the key was minted
    Column("token_name", String(50), nullable=False),
    Column("live_name", String(50)),  # the same while the token is live, so that it is unique among those
    Column("reserved_at", Instant, nullable=False),
    UniqueConstraint("user_id", "live_name"),
)

repository = Table(
    "repository",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("url", String(100), nullable=False, unique=True),
)

sample = Table(
    "sample",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sha", String(64), nullable=False, unique=True),
    Column("extension", String(10), nullable=False),
    Column("original_name", String(255), nullable=False),
)

tag = Table(
    "tag",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(50), nullable=False, unique=True),
)

sample_tag = Table(
    "sample_tag",
    metadata,
    Column("sample_id", ForeignKey("sample.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True, index=True),
)

category = Table(
    "category",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(50), nullable=False, unique=True),
)

regression_test = Table(
    "regression_test",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sample_id", ForeignKey("sample.id"), nullable=False, index=True),
    Column("command", String(500), nullable=False),
    Column("input_type", Choice(InputType), nullable=False),
    Column("output_type", Choice(OutputType), nullable=False),
    Column("expected_rc", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("description", String(1000)),
)

regression_test_category = Table(
    "regression_test_category",
    metadata,
    Column("regression_test_id", ForeignKey("regression_test.id"), primary_key=True),
    Column("category_id", ForeignKey("category.id"), primary_key=True, index=True),
)

regression_test_output = Table(
    "regression_test_output",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("regression_test_id", ForeignKey("regression_test.id"), nullable=False, index=True),
    Column("expected_hash", String(64), nullable=False),
    Column("extension", String(11), nullable=False),  # with its dot
    Column("filename", String(255), nullable=False),
    Column("ignored", Boolean, nullable=False),
)

regression_test_output_variant = Table(
    "regression_test_output_variant",
    metadata,
    Column("output_id", ForeignKey("regression_test_output.id"), primary_key=True),
    Column("hash", String(64), primary_key=True),
)

run = Table(
    "run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("platform", Choice(Platform), nullable=False),
    Column("test_type", Choice(TestType), nullable=False),
    Column("repository_id", ForeignKey("repository.id"), nullable=False),
    Column("branch", String(100), nullable=False),
    Column("commit_sha", String(40), nullable=False),
    Column("pr_number", Integer),
    Column("created_by", ForeignKey("user.id", ondelete="SET NULL")),
    Column("created_at", Instant, nullable=False),
    Column("status", Choice(RunStatus), nullable=False),
    Column("started_at", Instant),
    Column("completed_at", Instant),
    Column("run_key_id", String(12)),
    Column("lease_ends_at", Instant),
    Index("ix_run_created", "created_at", "id"),
    Index("ix_run_queue", "status", "platform", "created_at", "id"),
    Index("ix_run_repository", "repository_id", "created_at"),
)

run_test = Table(
    "run_test",
    metadata,
    Column("run_id", ForeignKey("run.id"), primary_key=True),
    Column("regression_test_id", ForeignKey("regression_test.id"), primary_key=True),
    Column("runtime_ms", Integer),
    Column("exit_code", Integer),
    Column("expected_rc", Integer, nullable=False),
    Column("status", Choice(SampleStatus), nullable=False),
    Column("reported_at", Instant),
    Index("ix_run_test_history", "regression_test_id", "run_id"),
    Index("ix_run_test_status", "run_id", "status"),
)

run_output = Table(
    "run_output",
    metadata,
    Column("run_id", Integer, primary_key=True),
    Column("regression_test_id", Integer, primary_key=True),
    Column("output_id", ForeignKey("regression_test_output.id"), primary_key=True),
    Column("required", Boolean, nullable=False),
    Column("expected_hash", String(64), nullable=False),
    Column("got_hash", String(64)),  # none where the worker said that they are equal
    Column("verdict", Choice(Verdict)),  # none until it was reported
    ForeignKeyConstraint(
        ["run_id", "regression_test_id"], ["run_test.run_id", "run_test.regression_test_id"]
    ),
)

run_progress = Table(
    "run_progress",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("run.id"), nullable=False),
    Column("status", Choice(Stage), nullable=False),
    Column("origin", Choice(Origin), nullable=False),
    Column("timestamp", Instant, nullable=False),
    Column("message", String(500), nullable=False),
    Column("error_type", String(20)),
    Index("ix_run_progress_run", "run_id", "id"),
)

artifact = Table(
    "artifact",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("run.id"), nullable=False),
    Column("type", String(20), nullable=False),
    Column("sample_id", ForeignKey("sample.id")),
    Column("regression_test_id", ForeignKey("regression_test.id")),
    Column("filename", String(255), nullable=False),
    Column("content_type", String(100), nullable=False),
    Column("size_bytes", Integer),
    Column("path", String(255), nullable=False),
    UniqueConstraint("run_id", "type", "regression_test_id", "filename"),
    Index("ix_artifact_run", "run_id", "type", "id"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("action", String(50), nullable=False),
    Column("target", Text, nullable=False),
    Column("data", JSON, nullable=False),
)
"""Who did what to what. Rows outlive the user and the thing that they are about."""
