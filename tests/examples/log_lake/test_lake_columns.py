"""Columns: which type a field gets in an object, and in which types of several objects meet."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from examples.log_lake.columns import MAX_CELLS, are_alike, conformed, met, table_of
from examples.log_lake.problems import PayloadTooLarge


def kind(*values: Any) -> str:
    return str(table_of([{"x": value} for value in values]).schema.field("x").type)


@pytest.mark.spec("LL-34")
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1, None, 2), "int64"),
        ((1, 2.5), "double"),
        ((True, False), "bool"),
        (("a", None), "string"),
        ((None,), "null"),
        ((1, "a"), "string"),
        ((1, True), "string"),
        ((2.5, True, None), "string"),
    ],
)
def test_a_column_has_the_type_in_which_its_values_meet(values: tuple[Any, ...], expected: str) -> None:
    assert kind(*values) == expected


@pytest.mark.spec("LL-34")
def test_values_that_meet_as_text_are_their_json() -> None:
    table = table_of([{"x": value} for value in (1, "a", True, 2.5, None)])
    assert table.column("x").to_pylist() == ["1", "a", "true", "2.5", None]


@pytest.mark.spec("LL-34")
def test_schemas_meet_by_name() -> None:
    schemas = [
        pa.schema([("a", pa.int64()), ("b", pa.int64()), ("c", pa.null())]),
        pa.schema([("a", pa.float64()), ("b", pa.bool_()), ("d", pa.null())]),
    ]
    expected = {"a": pa.float64(), "b": pa.string(), "c": pa.string(), "d": pa.string()}
    assert {field.name: field.type for field in met(schemas)} == expected
    assert met(schemas[::-1]).field("a").type == pa.float64()


@pytest.mark.spec("LL-34")
def test_a_table_conforms_to_the_columns_of_its_stream() -> None:
    schema = pa.schema([("a", pa.float64()), ("b", pa.string()), ("c", pa.bool_())])
    table = conformed(table_of([{"a": 1, "b": True}]), schema)
    assert table.to_pylist() == [{"a": 1.0, "b": "true", "c": None}]


def test_only_tables_whose_values_keep_their_types_are_alike() -> None:
    whole, broken = pa.schema([("a", pa.int64())]), pa.schema([("a", pa.float64())])
    assert are_alike([whole, whole, pa.schema([("b", pa.string())]), pa.schema([("a", pa.null())])])
    assert not are_alike([whole, broken])


def test_a_few_events_with_fields_of_their_own_cannot_make_a_table_of_any_size() -> None:
    events: list[dict[str, Any]] = [{f"f{index}": 1} for index in range(int(MAX_CELLS**0.5) + 2)]
    with pytest.raises(PayloadTooLarge):
        table_of(events)
