"""Balances and reservations, where they stand in the store's own database; SQLite has a file beside it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    op.create_table(
        "credit_balances",
        sa.Column("serial", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("credit_group", sa.String, nullable=False),
        sa.Column("tier", sa.String, nullable=False),
        sa.Column("available", sa.BigInteger, nullable=False),
        sa.Column("resets_at", sa.Double),
        sa.Column("input_used", sa.BigInteger, nullable=False),
        sa.Column("output_used", sa.BigInteger, nullable=False),
        sa.Column("user_key", sa.BigInteger),
        sa.Column("period", sa.BigInteger, nullable=False),
        sa.Column("has_refused", sa.Boolean, nullable=False),
        sa.UniqueConstraint("tenant", "owner", "credit_group", name="credit_balances_account"),
        sa.Index("credit_balances_tenant", "tenant", "serial"),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "credit_reservations",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("credit_group", sa.String, nullable=False),
        sa.Column("cost", sa.BigInteger, nullable=False),
        sa.Column("input_units", sa.BigInteger, nullable=False),
        sa.Column("period", sa.BigInteger, nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("lapses_at", sa.Double, nullable=False),
        sa.Column("at_lapse", sa.String, nullable=False),
        sa.Column("outcome", sa.String),
        sa.Column("reporter", sa.String),
        sa.Index("credit_reservations_lapse", "lapses_at"),
        postgresql_with={"fillfactor": 50},
    )
