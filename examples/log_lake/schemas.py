"""Which columns a stream has, whatever part of it is read (LL-34).

Each different schema is an object of its own, named by its digest and written before the first events
that have it. So the columns of a stream are known without looking into all of its objects.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import pyarrow as pa

from examples.log_lake import paths
from examples.log_lake.columns import met
from examples.log_lake.storage import Storage

REMEMBERED = 10_000
"""Schemas that need no second look, so many in a process; they never change."""


class Schemas:
    """The schemas of all streams in a storage. All calls block and raise Unavailable."""

    def __init__(self, storage: Storage):
        self._storage = storage
        self._note = lru_cache(REMEMBERED)(self._write)
        self._read = lru_cache(REMEMBERED)(self._load)

    def note(self, tenant: str, stream: str, schema: pa.Schema) -> None:
        """Make a schema known, before any events with it are stored."""
        self._note(tenant, stream, _by_name(schema).serialize().to_pybytes())

    def columns(self, tenant: str, stream: str) -> pa.Schema:
        """All columns of a stream by name, each of the type in which its objects meet."""
        known = [self._read(one.path) for one in self._storage.list(paths.schemas(tenant, stream))]
        return _by_name(met(known))

    def _write(self, tenant: str, stream: str, serialized: bytes) -> None:
        digest = hashlib.sha256(serialized).hexdigest()
        self._storage.put_if_absent(paths.schema(tenant, stream, digest), serialized)

    def _load(self, path: str) -> pa.Schema:
        return pa.ipc.read_schema(pa.BufferReader(self._storage.load(path)))


def _by_name(schema: pa.Schema) -> pa.Schema:
    return pa.schema(sorted(schema, key=lambda field: str(field.name)))
