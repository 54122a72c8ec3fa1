"""Rows of an answer as JSON (LL-31): times in UTC with `Z`, no NaN, nulls only where they are asked for."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.compute as pc

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC
_INSTANT = pa.timestamp("us", "UTC")


class TooLarge(Exception):
    """There are more rows, or bytes, than an answer may have."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What an answer looks like."""

    fields: bool = False
    """An object with the names of the fields, too."""
    send_null: bool = False
    streaming: bool = False
    """A line for each row instead of one array."""


def write(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    sink: BinaryIO,
    *,
    shape: Shape,
    most: Mapping[str, int],
) -> None:
    """Write an answer. Raises TooLarge beyond `most` `rows` or `bytes`."""
    opening, between, closing = _frame(shape, schema)
    sink.write(opening)
    count = 0
    for batch in batches:
        for row in _rows(batch, shape):
            sink.write(between + row if count and between else row)
            count += 1
            if count > most["rows"]:
                raise TooLarge
        if sink.tell() > most["bytes"]:
            raise TooLarge
    sink.write(closing)


def _frame(shape: Shape, schema: pa.Schema) -> tuple[bytes, bytes, bytes]:
    """What stands before all rows, between two, and behind all."""
    names = orjson.dumps(schema.names)
    if shape.streaming:
        return (b'{"fields":' + names + b"}\n" if shape.fields else b""), b"", b""
    if shape.fields:
        return b'{"fields":' + names + b',"records":[', b",", b"]}"
    return b"[", b",", b"]"


def _rows(batch: pa.RecordBatch, shape: Shape) -> Iterator[bytes]:
    end = b"\n" if shape.streaming else b""
    columns = [_presentable(column) for column in batch.columns]
    for row in pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist():
        shown = row if shape.send_null else {name: row[name] for name in row if row[name] is not None}
        yield orjson.dumps(shown, _other, _OPTIONS) + end


def _presentable(column: pa.Array) -> pa.Array:
    """A column without what JSON, or a Python datetime, cannot say."""
    if pa.types.is_timestamp(column.type):
        return column.cast(_INSTANT, safe=False)
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_finite(column), column, None)
    return column


def _other(value: Any) -> Any:
    """The types of Arrow that JSON has none for."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)
