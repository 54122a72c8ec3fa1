"""The journal, where it stands in the store's own database; SQLite keeps it in a file beside it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    op.create_table(
        "uses",
        sa.Column("key_id", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("uses", sa.BigInteger, nullable=False),
        sa.Column("first_at", sa.Double, nullable=False),
        sa.Column("last_at", sa.Double, nullable=False),
    )
    op.create_table(
        "addresses",
        sa.Column("key_id", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("seen", sa.String, nullable=False),
        sa.Column("last_at", sa.Double, nullable=False, index=True),
    )
    op.create_table(
        "refusals",
        sa.Column("serial", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("times", sa.BigInteger, nullable=False),
        sa.Column("address", sa.String),
        sa.Column("key_id", sa.String),
        sa.Column("tenant", sa.String),
        sa.Column("caller", sa.String),
        sa.Column("operation", sa.String),
        sa.Column("request_id", sa.String),
        sa.Index("refusals_tenant", "tenant", "serial"),
        sa.Index("refusals_at", "at"),
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("applied", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("renewed_at", sa.Double, nullable=False),
    )
