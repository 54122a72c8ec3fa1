"""Events as columns of Arrow, and which types meet in which (LL-34)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from examples.log_lake.envelope import TIMESTAMP
from examples.log_lake.events import Event, json_text
from examples.log_lake.problems import PayloadTooLarge

INSTANT = pa.timestamp("us", "UTC")
MAX_CELLS = 5_000_000
"""Events × fields of one request: a few events with fields of their own make all others wide, too."""
_TYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}


def table_of(events: Sequence[Event]) -> pa.Table:
    """Events as a table with a column for each name. Raises PayloadTooLarge."""
    names = list(dict.fromkeys(name for event in events for name in event))
    if len(names) * len(events) > MAX_CELLS:
        raise PayloadTooLarge("The events have too many different fields; send fewer at once.")
    return pa.table({name: _column(name, [event.get(name) for event in events]) for name in names})


def met(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """The columns of all schemas by name, each of the type in which theirs meet."""
    types: dict[str, pa.DataType] = {}
    for schema in schemas:
        for field in schema:
            types[field.name] = _met(types.get(field.name, pa.null()), field.type)
    return pa.schema(
        [(name, pa.string() if pa.types.is_null(kind) else kind) for name, kind in types.items()]
    )


def are_alike(schemas: Sequence[pa.Schema]) -> bool:
    """Whether tables of these schemas become one without any value changing its type."""
    try:
        pa.unify_schemas(schemas)
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return False
    return True


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with exactly these columns: cast, and null where it has none."""
    columns = [_conformed(table, field) for field in schema]
    return pa.table(columns, schema=schema)


def _conformed(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    if field.name in table.column_names:
        return table.column(field.name).cast(field.type)
    return pa.nulls(len(table), field.type)


def _met(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    if first == second or pa.types.is_null(second):
        return first
    if pa.types.is_null(first):
        return second
    return pa.float64() if {first, second} == {pa.int64(), pa.float64()} else pa.string()


def _column(name: str, values: Sequence[Any]) -> pa.Array:
    if name == TIMESTAMP:
        return pa.array(values, INSTANT)
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    if kinds == {int, float}:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if len(kinds) == 1:
        return pa.array(values, _TYPES[kinds.pop()])
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json_text(value)
