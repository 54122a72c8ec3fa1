"""The objects of Firehose requests: one for each id, whichever node writes it first (LL-28)."""

from __future__ import annotations

import pyarrow as pa

from examples.log_lake import parquet, paths
from examples.log_lake.firehose import Delivery
from examples.log_lake.schemas import Schemas
from examples.log_lake.storage import Storage


class AlreadyStored(Exception):
    """Another attempt at the same request was first."""


class Deliveries:
    """Stores requests of Firehose. All calls block and raise Unavailable."""

    def __init__(self, storage: Storage):
        self._storage = storage
        self._schemas = Schemas(storage)

    def is_stored(self, tenant: str, delivery: Delivery) -> bool:
        """Whether a request was stored before."""
        return self._storage.exists(_path(tenant, delivery))

    def store(self, tenant: str, delivery: Delivery, table: pa.Table) -> None:
        """Store the events of a request. Raises AlreadyStored when they are."""
        self._schemas.note(tenant, delivery.stream, table.schema)
        if not self._storage.put_if_absent(_path(tenant, delivery), parquet.encode(table)):
            raise AlreadyStored


def _path(tenant: str, delivery: Delivery) -> str:
    return paths.delivery(tenant, delivery.stream, delivery.request_id)
