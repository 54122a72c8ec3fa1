"""The log, the records and the marks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "log",
        sa.Column("number", _Number, primary_key=True, autoincrement=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("pepper", sa.String(16), nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.String(8)),
        sa.Column("subject", sa.String(100)),
        sa.Column("tenant", sa.String(100)),
        sa.Index("log_tenant", "tenant", "number"),
        sa.Index("log_subject", "subject", "number"),
        sa.Index("log_pepper", "pepper", "number"),
    )
    op.create_table(
        "records",
        sa.Column("serial", _Number, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("revision", _Number, nullable=False),
        sa.Column("tenant", sa.String(100), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("owner", sa.String(100)),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("pepper", sa.String(16), nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("kind", "id", name="records_id"),
        sa.Index("records_name", "tenant", "name"),
        sa.Index("records_owner", "tenant", "owner", "serial"),
    )
    op.create_table(
        "marks",
        sa.Column("token", sa.LargeBinary, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("subject", sa.String(100), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Index("marks_at", "at"),
    )
