"""A stream as a table for DataFusion: its objects, read one after the other, never all at once.

DataFusion takes any `pyarrow.dataset.Dataset` and asks it for fragments, and each of them for a scanner
with the columns and the filter that the query needs; so this is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from examples.log_lake.columns import conformed
from examples.log_lake.objects import Footer
from examples.log_lake.storage import Storage
from keyrack import Unavailable

PARTS = 4
"""Objects of a stream that are read at the same time."""
_PARQUET = ds.ParquetFileFormat()


class Scan:
    """The batches that a query asked for."""

    def __init__(self, schema: pa.Schema, columns: Sequence[str] | None, batches: Iterator[pa.RecordBatch]):
        names = schema.names if columns is None else columns
        self.projected_schema = pa.schema([schema.field(name) for name in names])
        self._batches = batches

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """Each batch once."""
        return self._batches


class Part:
    """Some objects of a stream, with the filter that bounds their events in time."""

    def __init__(self, storage: Storage, objects: Sequence[Footer], period: pc.Expression):
        self._storage = storage
        self._objects = objects
        self._period = period
        self.trouble: Unavailable | None = None
        """Why reading ended early; DataFusion makes a text of every exception."""

    def scanner(
        self,
        schema: pa.Schema,
        columns: Sequence[str] | None = None,
        filter: pc.Expression | None = None,  # noqa: A002  # Arrow calls it that  # DataFusion calls it so
        batch_size: int = 8192,
    ) -> Scan:
        """A scan of all its objects."""
        wanted = self._period if filter is None else self._period & filter
        return Scan(schema, columns, self._batches(schema, columns, wanted, batch_size))

    def _batches(
        self, schema: pa.Schema, columns: Sequence[str] | None, wanted: pc.Expression, size: int
    ) -> Iterator[pa.RecordBatch]:
        for one in self._objects:
            data = pa.BufferReader(self._load(one.path))
            options = {"columns": columns, "filter": wanted, "batch_size": size, "use_threads": False}
            yield from _scanner(data, one.schema, schema, options).to_batches()

    def _load(self, path: str) -> bytes:
        try:
            return self._storage.load(path)
        except Unavailable as error:
            self.trouble = error
            raise


class StreamTable(ds.Dataset):  # type: ignore[misc]  # the base has no types
    """The events of a stream in a time range, from `start` to before `end`."""

    def __init__(self, schema: pa.Schema, parts: Sequence[Part]):
        # The base refuses to be made by its own constructor; nothing of it is used.
        self._schema = schema
        self._parts = parts

    @property
    def schema(self) -> pa.Schema:
        """All columns of the stream."""
        return self._schema

    @property
    def trouble(self) -> Unavailable | None:
        """Why reading ended early, if it did for trouble with the storage."""
        return next((part.trouble for part in self._parts if part.trouble), None)

    def scanner(self, columns: Sequence[str] | None = None, filter: pc.Expression | None = None) -> Scan:  # noqa: A002  # Arrow calls it that
        """What DataFusion learns the schema of a scan from; it reads the parts."""
        return Scan(self._schema, columns, iter(()))

    def get_fragments(self, filter: pc.Expression | None = None) -> list[Part]:  # noqa: A002  # Arrow calls it that
        """The parts, each to be scanned with the filter."""
        return list(self._parts)


def split(objects: Sequence[Footer]) -> list[Sequence[Footer]]:
    """Objects in parts of about the same number; one that is empty where there are none."""
    return [objects[first::PARTS] for first in range(min(PARTS, len(objects)))] or [()]


def _scanner(
    data: pa.BufferReader, stored: pa.Schema, schema: pa.Schema, options: dict[str, object]
) -> ds.Scanner:
    """A scanner of one object. It is read whole where a column's type differs from its stream's."""
    if all(field.type == schema.field(field.name).type for field in stored):
        return _PARQUET.make_fragment(data).scanner(schema=schema, **options)
    table = conformed(pq.read_table(data), schema)
    return ds.Scanner.from_batches(iter(table.to_batches()), schema=schema, **options)
