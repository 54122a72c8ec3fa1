"""The objects that hold a stream's events of a time range: found by their paths, chosen by their footers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import pyarrow as pa
import pyarrow.parquet as pq

from examples.log_lake import paths
from examples.log_lake.envelope import TIMESTAMP
from examples.log_lake.parquet import Merged, merged_in
from examples.log_lake.storage import Storage

FOOTERS_AT_ONCE = 16
REMEMBERED = 20_000
END_BYTES = 64 * 1024
"""What is read first of an object to find its footer (Parquet's format, "File format")."""


@dataclass(frozen=True, slots=True)
class Footer:
    """What an object says of itself."""

    path: str
    size_bytes: int
    schema: pa.Schema
    merged: Merged | None
    first_at: datetime
    last_at: datetime


class Objects:
    """The objects with events in a storage, which never change. All calls block and raise Unavailable."""

    def __init__(self, storage: Storage):
        self._storage = storage
        self._footer = lru_cache(REMEMBERED)(self._read_footer)

    def within(self, tenant: str, stream: str, *, start_at: datetime, end_at: datetime) -> list[Footer]:
        """The objects with events of a time range. None of their events is in two of them."""
        found: dict[str, int] = {}
        for prefix in paths.prefixes(tenant, stream, start_at=start_at, end_at=end_at):
            found |= {one.path: one.size_bytes for one in self._storage.list(prefix)}
        chosen = {path: found[path] for path in found if _may_overlap(path, start_at, end_at)}
        footers = live(self.footers(chosen))
        return [one for one in footers if one.last_at >= start_at and one.first_at < end_at]

    def footers(self, sizes: dict[str, int]) -> list[Footer]:
        """The footers of objects, given their sizes in bytes by path."""
        with ThreadPoolExecutor(FOOTERS_AT_ONCE) as threads:
            return list(threads.map(self._footer, sizes, sizes.values()))

    def _read_footer(self, path: str, size_bytes: int) -> Footer:
        metadata = pq.read_metadata(pa.BufferReader(self._end_of(path, size_bytes)))
        schema = metadata.schema.to_arrow_schema()
        first_at, last_at = _period(metadata)
        return Footer(path, size_bytes, schema, merged_in(schema), first_at, last_at)

    def _end_of(self, path: str, size_bytes: int) -> bytes:
        """An end of an object that has its whole footer, whose length stands before the last four bytes."""
        end = self._storage.tail(path, size_bytes=size_bytes, length=END_BYTES)
        needed = int.from_bytes(end[-8:-4], "little") + 8
        if needed <= len(end):
            return end
        return self._storage.tail(path, size_bytes=size_bytes, length=needed)


def live(footers: Sequence[Footer]) -> list[Footer]:
    """The objects that count: those that a merged one takes the place of do not."""
    replaced = {path for one in footers if one.merged for path in one.merged.sources}
    return [one for one in footers if one.path not in replaced]


def _may_overlap(path: str, start_at: datetime, end_at: datetime) -> bool:
    hour_at = paths.hour_of(path)
    return hour_at is None or (hour_at + paths.HOUR > start_at and hour_at < end_at)


def _period(metadata: pq.FileMetaData) -> tuple[datetime, datetime]:
    column = metadata.schema.names.index(TIMESTAMP)
    groups = [metadata.row_group(group).column(column).statistics for group in range(metadata.num_row_groups)]
    return min(one.min for one in groups), max(one.max for one in groups)
