"""Stores events. Requests to one stream share an object when they come close together (LL-24).

Each waits for the write of its object and fails with it. What shares has columns of the same types, so
that sharing changes no value.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
from ulid import ULID

from examples.log_lake import parquet, paths
from examples.log_lake.columns import are_alike
from examples.log_lake.schemas import Schemas
from examples.log_lake.storage import Storage

LINGER_SECONDS = 0.01
"""How long an object waits for a second request: far less than the second that it may."""
MAX_BYTES = 1024 * 1024


class Place(NamedTuple):
    """What an object is of."""

    tenant: str
    stream: str
    hour_at: datetime


@dataclass(slots=True)
class Batch:
    """The tables that will be one object."""

    place: Place
    tables: list[pa.Table] = field(default_factory=list)
    size_bytes: int = 0
    written: asyncio.Task[None] | None = None

    def takes(self, table: pa.Table) -> bool:
        """Whether a table may share the object."""
        if self.size_bytes + table.nbytes > MAX_BYTES:
            return False
        return are_alike([*(one.schema for one in self.tables), table.schema])

    def add(self, table: pa.Table) -> None:
        """Take a table in."""
        self.tables.append(table)
        self.size_bytes += table.nbytes


class Ingest:
    """The writer of events. It belongs to one event loop."""

    def __init__(self, storage: Storage):
        self._storage = storage
        self._schemas = Schemas(storage)
        self._open: dict[Place, Batch] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no object waits to be written."""
        return not self._open

    async def store(self, tenant: str, stream: str, table: pa.Table, *, at: datetime) -> None:
        """Store events that came in at that time; they are durable when this returns. Raises Unavailable."""
        place = Place(tenant, stream, paths.hour_start(at))
        batch = self._open.get(place)
        if batch is None or not batch.takes(table):
            batch = self._open[place] = Batch(place)
        batch.add(table)
        if batch.written is None:
            batch.written = asyncio.create_task(self._write_soon(batch))
        # Whoever gives up waiting must not take the write from the others.
        await asyncio.shield(batch.written)

    async def _write_soon(self, batch: Batch) -> None:
        await asyncio.sleep(LINGER_SECONDS)
        if self._open.get(batch.place) is batch:
            del self._open[batch.place]
        await asyncio.to_thread(self._write, batch)

    def _write(self, batch: Batch) -> None:
        tenant, stream, hour_at = batch.place
        table = pa.concat_tables(batch.tables, promote_options="default")
        path = paths.events(tenant, stream, hour_at, ULID())
        self._schemas.note(tenant, stream, table.schema)
        self._storage.put(path, parquet.encode(table))
