"""Names of streams, bodies and flattening: what becomes an event, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.log_lake.envelope import ADDED
from examples.log_lake.events import flatten, joined, read_events
from examples.log_lake.names import RESERVED, is_stream_name, stream_name
from examples.log_lake.problems import InvalidRequest
from keyrack import KeyrackError

ALPHABET = "abcXYZ019-_"
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e300, 1e300) | st.text()
NAMES = st.text("abc", min_size=1, max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
EVENTS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)


@pytest.mark.spec("LL-20")
@given(st.text(ALPHABET, min_size=1, max_size=64).filter(lambda text: text[0] not in "-_"))
def test_a_name_of_letters_digits_dashes_and_underscores_is_kept_exactly(text: str) -> None:
    if text.lower() not in RESERVED:
        assert stream_name(text) == text


@pytest.mark.spec("LL-20")
@given(st.text(max_size=70))
def test_no_name_has_anything_else(text: str) -> None:
    if is_stream_name(text):
        assert 1 <= len(text) <= 64
        assert text.isascii()
        assert text[0].isalnum()
        assert all(one.isalnum() or one in "-_" for one in text)


@pytest.mark.spec("LL-20")
@pytest.mark.parametrize(
    "text",
    ["", "-a", "_a", "a b", "a/b", "a.b", "ä", "a\n", "x" * 65, "../up", "lake_internal", "LAKE_INTERNAL_x"]
    + sorted(RESERVED)
    + [name.upper() for name in sorted(RESERVED)],
)
def test_a_name_that_is_reserved_or_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        stream_name(text)


@pytest.mark.spec("LL-20")
def test_a_request_without_a_name_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        stream_name(None)


@pytest.mark.spec("LL-19")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"[]",
        b"{}",
        b"[{}]",
        b'[{"a":1},{}]',
        b"null",
        b"1",
        b'"text"',
        b'[{"a":1},2]',
        b"[[{}]]",
        b'{"a":1,"a":2}',
        b'[{"a":{"b":1,"b":2}}]',
        b'{"a":1',
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b"\xff",
        b'{"a":1}{"a":2}',
    ],
)
def test_a_body_that_is_not_one_object_or_an_array_of_them_is_refused(body: bytes) -> None:
    with pytest.raises(KeyrackError) as refused:
        read_events(body)
    assert refused.value.status == 400


@pytest.mark.spec("LL-18")
def test_a_body_is_one_object_or_an_array_of_objects() -> None:
    assert read_events(b'{"a":1}') == [{"a": 1}]
    assert read_events(b' [{"a":1},{"b":2}] ') == [{"a": 1}, {"b": 2}]


@pytest.mark.spec("LL-23")
def test_objects_flatten_and_arrays_become_json_text() -> None:
    event = {"a": {"b": {"c": 1}, "d": [1, {"e": "ü"}]}, "f": None, "g": True, "h": {}}
    assert flatten(event, depth=10) == {
        "a_b_c": 1,
        "a_d": '[1,{"e":"ü"}]',
        "f": None,
        "g": True,
        "h": "{}",
    }


@pytest.mark.spec("LL-23")
def test_a_record_that_nests_too_deep_is_kept_with_its_nested_values_as_json_text() -> None:
    event = {"plain": 1, "flat": {"x": 1}, "deep": {"a": {"b": {"c": 1}}}}
    assert flatten(event, depth=3) == {"plain": 1, "flat": '{"x":1}', "deep": '{"a":{"b":{"c":1}}}'}
    assert flatten(event, depth=4) == {"plain": 1, "flat_x": 1, "deep_a_b_c": 1}


@pytest.mark.spec("LL-19")
@pytest.mark.parametrize("event", [{"a_b": 1, "a": {"b": 2}}, {"a": {"b_c": 1, "b": {"c": 2}}}])
def test_two_fields_that_come_to_one_name_are_refused(event: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        flatten(event, depth=10)


@pytest.mark.spec("LL-19", "LL-21")
@pytest.mark.parametrize("name", sorted(ADDED))
def test_no_event_brings_a_field_that_is_added(name: str) -> None:
    first, _, rest = name.partition("_")
    for event in ({name: 1}, {first: {rest: 1}}):
        with pytest.raises(InvalidRequest):
            flatten(event, depth=10)


@pytest.mark.spec("LL-21")
def test_a_field_of_an_event_never_meets_one_of_a_header() -> None:
    assert joined({"a": 1}, {"team": "x"}) == {"team": "x", "a": 1}
    with pytest.raises(InvalidRequest):
        joined({"team": 1}, {"team": "x"})


@pytest.mark.parametrize("number", ["1e999", "-1e999", "[1e999]"])
def test_a_number_that_no_column_can_hold_is_refused(number: str) -> None:
    with pytest.raises(InvalidRequest):
        flatten(read_events(f'{{"a":{number}}}'.encode())[0], depth=10)


def test_a_whole_number_beyond_64_bits_is_kept_as_text() -> None:
    assert flatten({"a": 2**63, "b": 2**63 - 1}, depth=10) == {"a": str(2**63), "b": 2**63 - 1}


@pytest.mark.spec("LL-23")
@given(EVENTS, st.integers(1, 5))
def test_flattening_loses_no_value_and_leaves_nothing_nested(event: dict[str, Any], depth: int) -> None:
    try:
        flat = flatten(event, depth=depth)
    except InvalidRequest:
        assert has_clash(event)
        return
    assert all(not isinstance(value, dict | list) for value in flat.values())
    assert sorted(json.dumps(leaf) for leaf in leaves(event)) == sorted(
        json.dumps(leaf) for value in flat.values() for leaf in leaves(unpacked(value, event))
    )


def leaves(value: Any) -> list[Any]:
    """The scalars in a value, at whatever depth."""
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in leaves(one)]
    if isinstance(value, list):
        return [leaf for one in value for leaf in leaves(one)]
    return [value]


def unpacked(value: Any, event: dict[str, Any]) -> Any:
    """The value that a JSON text was made of; a text that the event had itself stays."""
    if not isinstance(value, str) or value in leaves(event):
        return value
    return json.loads(value)


def has_clash(event: dict[str, Any]) -> bool:
    names = list(paths(event))
    return len(names) != len(set(names))


def paths(value: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, one in value.items():
        found += paths(one, f"{prefix}{name}_") if isinstance(one, dict) and one else [f"{prefix}{name}"]
    return found
