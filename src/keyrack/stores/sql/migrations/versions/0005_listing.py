"""Pages of a store, a tenant or an owner are found where they begin, however many records there are."""

from alembic import op

revision = "0005"
down_revision = "0004"

_INDEXES = {
    "records_kind": ["kind", "serial"],
    "records_tenant": ["kind", "tenant", "serial"],
    "records_owner": ["kind", "tenant", "owner", "serial"],
    "records_name": ["kind", "tenant", "name"],
}
"""Each begins with the kind: with one that does not, a database may choose to read all of a kind."""


def upgrade() -> None:
    for name in ("records_owner", "records_name"):
        op.drop_index(name, "records")
    for name, columns in _INDEXES.items():
        op.create_index(name, "records", columns)
