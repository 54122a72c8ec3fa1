"""Where the versions of keys were used from, in SQL: few addresses a version, so one document a row.

They are always read and written together, and only by whoever holds the journal's lock for writing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Column, Connection, Float, Integer, MetaData, String, Table, delete, select

from keyrack.stores.journal import ADDRESSES_KEPT_SECONDS, Seen, Use, latest, merged_seen

CHUNK = 500
"""How many keys one query names; databases bound that."""

metadata = MetaData()
addresses = Table(
    "addresses",
    metadata,
    Column("key_id", String(12), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("seen", String, nullable=False),
    Column("last_at", Float, nullable=False, index=True),
)


def kept(new: Any) -> Any:
    """The insertion of a row, made to replace the one of that version."""
    return new.on_conflict_do_update(
        index_elements=[addresses.c.key_id, addresses.c.number],
        set_={"seen": new.excluded.seen, "last_at": new.excluded.last_at},
    )


def seen(connection: Connection, key_ids: Iterable[str]) -> Mapping[tuple[str, int], Seen]:
    """What is known of these keys, by id and version."""
    found: dict[tuple[str, int], Seen] = {}
    left = iter(key_ids)
    while chunk := list(islice(left, CHUNK)):
        rows = connection.execute(select(addresses).where(addresses.c.key_id.in_(chunk)))
        found |= {(row.key_id, row.number): json.loads(row.seen) for row in rows}
    return found


def keep(connection: Connection, used: Sequence[Use], insertion: Any) -> None:
    """Add where versions were used from; what was seen 30 days before the last of these uses is let go."""
    new = {(use.key_id, use.number): use.seen for use in used if use.seen}
    if not new:
        return
    since = max(use.last_at for use in used) - ADDRESSES_KEPT_SECONDS
    known = seen(connection, sorted({key_id for key_id, _ in new}))
    after = {slot: latest(merged_seen(known.get(slot, {}), more), since) for slot, more in new.items()}
    rows = [_row(*slot, after[slot]) for slot in sorted(after) if after[slot]]
    if rows:
        connection.execute(insertion, rows)
    connection.execute(delete(addresses).where(addresses.c.last_at <= since))


def _row(key_id: str, number: int, seen: Seen) -> dict[str, Any]:
    return {"key_id": key_id, "number": number, "seen": json.dumps(seen), "last_at": max(seen.values())}
