"""The journal in tables of the store's own database. Whether a node lives goes by the server's clock."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import bindparam, delete, or_, select
from sqlalchemy.dialects import postgresql

from keyrack.stores.follower import steady
from keyrack.stores.journal import Node
from keyrack.stores.sql.journal import SqlJournal, nodes, renewed
from keyrack.stores.sql.postgres_database import NOW, PostgresDatabase

JOURNAL_LOCK = int.from_bytes(b"keyrack\x02")
"""Taken by whoever writes notes, so that serials are committed in order and no two prune the same rows."""
FORGOTTEN_SECONDS = 30 * 24 * 3600
"""After so long a node that never said that it retired is taken to be gone for good."""
_RENEW = renewed(postgresql.insert(nodes).values(renewed_at=NOW))
_RETIRE = delete(nodes).where(
    or_(nodes.c.id == bindparam("node"), nodes.c.renewed_at < NOW - FORGOTTEN_SECONDS)
)
_NODES = select(nodes.c.id, nodes.c.applied, nodes.c.hash, NOW - nodes.c.renewed_at)


class PostgresJournal(SqlJournal):
    """Uses, refusals and nodes in one database, shared by processes of many machines."""

    def __init__(self, database: PostgresDatabase):
        super().__init__(
            reading=database.reading,
            writing=partial(database.writing_alone, JOURNAL_LOCK),
            # Not behind those that write notes: a change may be waiting for this node's word.
            announcing=database.writing,
            insert=postgresql.insert,
        )

    def renew(self, node: Node) -> None:
        """Say that this node lives. Each machine has a steady clock of its own, so the server's is noted."""
        said = {"id": node.id, "applied": node.applied, "hash": node.hash}
        with self._announcing() as connection:
            connection.execute(_RENEW, said)

    def retire(self, node_id: str) -> None:
        """Say that this node decides nothing more; those that were killed long ago cannot."""
        with self._announcing() as connection:
            connection.execute(_RETIRE, {"node": node_id})

    def nodes(self) -> Sequence[Node]:
        """The nodes, with `renewed_at` on this machine's steady clock; never earlier than it was."""
        with self._reading() as connection:
            rows = connection.execute(_NODES).all()
        now = steady()
        return [Node(*row[:-1], now - max(0.0, row[-1])) for row in rows]

    def close(self) -> None:
        """The database is closed with the keys."""
