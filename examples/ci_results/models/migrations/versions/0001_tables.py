"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=50), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_table(
        "category",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_category"),
        sa.UniqueConstraint("name", name="uq_category_name"),
    )
    op.create_table(
        "repository",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_repository"),
        sa.UniqueConstraint("url", name="uq_repository_url"),
    )
    op.create_table(
        "sample",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha", sa.String(length=64), nullable=False),
        sa.Column("extension", sa.String(length=10), nullable=False),
        sa.Column("original_name", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sample"),
        sa.UniqueConstraint("sha", name="uq_sample_sha"),
    )
    op.create_table(
        "tag",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tag"),
        sa.UniqueConstraint("name", name="uq_tag_name"),
    )
    op.create_table(
        "user",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("email", sa.String(length=255), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("github_login", sa.String(length=100), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_user"),
        sa.UniqueConstraint("email", name="uq_user_email"),
        sa.UniqueConstraint("name", name="uq_user_name"),
    )
    op.create_table(
        "api_token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.String(length=12), nullable=True),
        sa.Column("token_name", sa.String(length=50), nullable=False),
        sa.Column("live_name", sa.String(length=50), nullable=True),
        sa.Column("reserved_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_api_token_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_api_token"),
        sa.UniqueConstraint("key_id", name="uq_api_token_key_id"),
        sa.UniqueConstraint("user_id", "live_name", name="uq_api_token_user_id_live_name"),
    )
    op.create_table(
        "regression_test",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sample_id", sa.Integer(), nullable=False),
        sa.Column("command", sa.String(length=500), nullable=False),
        sa.Column("input_type", sa.String(20), nullable=False),
        sa.Column("output_type", sa.String(20), nullable=False),
        sa.Column("expected_rc", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("description", sa.String(length=1000), nullable=True),
        sa.ForeignKeyConstraint(["sample_id"], ["sample.id"], name="fk_regression_test_sample_id"),
        sa.PrimaryKeyConstraint("id", name="pk_regression_test"),
    )
    op.create_index("ix_regression_test_sample_id", "regression_test", ["sample_id"], unique=False)
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("platform", sa.String(20), nullable=False),
        sa.Column("test_type", sa.String(20), nullable=False),
        sa.Column("repository_id", sa.Integer(), nullable=False),
        sa.Column("branch", sa.String(length=100), nullable=False),
        sa.Column("commit_sha", sa.String(length=40), nullable=False),
        sa.Column("pr_number", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=True),
        sa.Column("completed_at", sa.DateTime(), nullable=True),
        sa.Column("run_key_id", sa.String(length=12), nullable=True),
        sa.Column("lease_ends_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["user.id"], name="fk_run_created_by", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["repository_id"], ["repository.id"], name="fk_run_repository_id"),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
    )
    op.create_index("ix_run_created", "run", ["created_at", "id"], unique=False)
    op.create_index("ix_run_queue", "run", ["status", "platform", "created_at", "id"], unique=False)
    op.create_index("ix_run_repository", "run", ["repository_id", "created_at"], unique=False)
    op.create_table(
        "sample_tag",
        sa.Column("sample_id", sa.Integer(), nullable=False),
        sa.Column("tag_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["sample.id"], name="fk_sample_tag_sample_id"),
        sa.ForeignKeyConstraint(["tag_id"], ["tag.id"], name="fk_sample_tag_tag_id"),
        sa.PrimaryKeyConstraint("sample_id", "tag_id", name="pk_sample_tag"),
    )
    op.create_index("ix_sample_tag_tag_id", "sample_tag", ["tag_id"], unique=False)
    op.create_table(
        "artifact",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("sample_id", sa.Integer(), nullable=True),
        sa.Column("regression_test_id", sa.Integer(), nullable=True),
        sa.Column("filename", sa.String(length=255), nullable=False),
        sa.Column("content_type", sa.String(length=100), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=True),
        sa.Column("path", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["regression_test_id"], ["regression_test.id"], name="fk_artifact_regression_test_id"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_artifact_run_id"),
        sa.ForeignKeyConstraint(["sample_id"], ["sample.id"], name="fk_artifact_sample_id"),
        sa.PrimaryKeyConstraint("id", name="pk_artifact"),
        sa.UniqueConstraint(
            "run_id",
            "type",
            "regression_test_id",
            "filename",
            name="uq_artifact_run_id_type_regression_test_id_filename",
        ),
    )
    op.create_index("ix_artifact_run", "artifact", ["run_id", "type", "id"], unique=False)
    op.create_table(
        "regression_test_category",
        sa.Column("regression_test_id", sa.Integer(), nullable=False),
        sa.Column("category_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["category_id"], ["category.id"], name="fk_regression_test_category_category_id"
        ),
        sa.ForeignKeyConstraint(
            ["regression_test_id"],
            ["regression_test.id"],
            name="fk_regression_test_category_regression_test_id",
        ),
        sa.PrimaryKeyConstraint("regression_test_id", "category_id", name="pk_regression_test_category"),
    )
    op.create_index(
        "ix_regression_test_category_category_id", "regression_test_category", ["category_id"], unique=False
    )
    op.create_table(
        "regression_test_output",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("regression_test_id", sa.Integer(), nullable=False),
        sa.Column("expected_hash", sa.String(length=64), nullable=False),
        sa.Column("extension", sa.String(length=11), nullable=False),
        sa.Column("filename", sa.String(length=255), nullable=False),
        sa.Column("ignored", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["regression_test_id"],
            ["regression_test.id"],
            name="fk_regression_test_output_regression_test_id",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_regression_test_output"),
    )
    op.create_index(
        "ix_regression_test_output_regression_test_id",
        "regression_test_output",
        ["regression_test_id"],
        unique=False,
    )
    op.create_table(
        "run_progress",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("origin", sa.String(20), nullable=False),
        sa.Column("timestamp", sa.DateTime(), nullable=False),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.Column("error_type", sa.String(length=20), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_run_progress_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_run_progress"),
    )
    op.create_index("ix_run_progress_run", "run_progress", ["run_id", "id"], unique=False)
    op.create_table(
        "run_test",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("regression_test_id", sa.Integer(), nullable=False),
        sa.Column("runtime_ms", sa.Integer(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("expected_rc", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("reported_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["regression_test_id"], ["regression_test.id"], name="fk_run_test_regression_test_id"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_run_test_run_id"),
        sa.PrimaryKeyConstraint("run_id", "regression_test_id", name="pk_run_test"),
    )
    op.create_index("ix_run_test_history", "run_test", ["regression_test_id", "run_id"], unique=False)
    op.create_index("ix_run_test_status", "run_test", ["run_id", "status"], unique=False)
    op.create_table(
        "regression_test_output_variant",
        sa.Column("output_id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["output_id"], ["regression_test_output.id"], name="fk_regression_test_output_variant_output_id"
        ),
        sa.PrimaryKeyConstraint("output_id", "hash", name="pk_regression_test_output_variant"),
    )
    op.create_table(
        "run_output",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("regression_test_id", sa.Integer(), nullable=False),
        sa.Column("output_id", sa.Integer(), nullable=False),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.Column("expected_hash", sa.String(length=64), nullable=False),
        sa.Column("got_hash", sa.String(length=64), nullable=True),
        sa.Column("verdict", sa.String(20), nullable=True),
        sa.ForeignKeyConstraint(["output_id"], ["regression_test_output.id"], name="fk_run_output_output_id"),
        sa.ForeignKeyConstraint(
            ["run_id", "regression_test_id"],
            ["run_test.run_id", "run_test.regression_test_id"],
            name="fk_run_output_run_id_regression_test_id",
        ),
        sa.PrimaryKeyConstraint("run_id", "regression_test_id", "output_id", name="pk_run_output"),
    )
