"""What the processes of a gateway share, where it stands in the store's own database."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    op.create_table(
        "upstream_uses",
        sa.Column("upstream", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("uses", sa.BigInteger, nullable=False),
        sa.Column("refusals", sa.BigInteger, nullable=False),
        sa.Column("leading", sa.BigInteger, nullable=False),
        sa.Column("first_at", sa.Double, nullable=False),
        sa.Column("last_at", sa.Double, nullable=False),
        sa.Column("accepted_at", sa.Double),
        sa.Column("refused_at", sa.Double),
    )
    op.create_table(
        "upstream_hours",
        sa.Column("upstream", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("hour_at", sa.Double, primary_key=True),
        sa.Column("uses", sa.BigInteger, nullable=False),
        sa.Column("accepted", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.BigInteger, nullable=False),
        sa.Column("fallbacks", sa.BigInteger, nullable=False),
        sa.Column("not_replayed", sa.BigInteger, nullable=False),
        sa.Index("upstream_hours_at", "hour_at"),
    )
    op.create_table(
        "upstream_refusers",
        sa.Column("upstream", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("who", sa.String, primary_key=True),
    )
    op.create_table(
        "breakers",
        sa.Column("server", sa.String, primary_key=True),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("opened_at", sa.Double),
        sa.Column("trying_at", sa.Double),
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Index("notices_at", "at"),
    )
    op.create_table(
        "deliveries",
        sa.Column("message", sa.String, primary_key=True),
        sa.Column("webhook", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("trouble", sa.String),
        sa.Index("deliveries_due", "state", "due_at"),
    )
    op.create_table(
        "reminders",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_table(
        "told_to",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
