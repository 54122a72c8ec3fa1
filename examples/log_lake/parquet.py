"""Tables as Parquet objects. An object that was merged of others says so in its own footer."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP = 64 * 1024
_MERGED = b"log_lake.merged"


@dataclass(frozen=True, slots=True)
class Merged:
    """Which objects one takes the place of, and since when. While it exists they are not read."""

    sources: Sequence[str]
    at: datetime


def encode(table: pa.Table, merged: Merged | None = None) -> bytes:
    """The bytes of an object."""
    if merged is not None:
        note = json.dumps({"sources": list(merged.sources), "at": merged.at.isoformat()})
        table = table.replace_schema_metadata({_MERGED: note.encode()})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=ROWS_PER_GROUP)
    return sink.getvalue()


def decode(data: bytes) -> pa.Table:
    """The table in an object, without what its footer says about merging."""
    return pq.read_table(pa.BufferReader(data)).replace_schema_metadata(None)


def merged_in(schema: pa.Schema) -> Merged | None:
    """What the footer of an object says about merging."""
    note = (schema.metadata or {}).get(_MERGED)
    if note is None:
        return None
    fields = json.loads(note)
    return Merged(tuple(fields["sources"]), datetime.fromisoformat(fields["at"]))
