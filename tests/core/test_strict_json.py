"""JSON read strictly: what Python reads alike where a text is plain, and refused where it is doubtful."""

from __future__ import annotations

import json
from typing import Any

import pytest
from drawing import json_values
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core.errors import InvalidRequest
from keyrack.core.strict_json import read


@given(json_values)
def test_plain_json_is_read(value: Any) -> None:
    assert read(json.dumps(value).encode()) == value
    assert read(json.dumps(value, ensure_ascii=False, indent=1).encode()) == value


def test_a_character_written_as_two_escapes_is_one_character() -> None:
    assert read(rb'["\ud83d\uDD11", "\u00e9"]') == ["\U0001f511", "é"]


@pytest.mark.spec("CO-12")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{} {}",
        b"{'a': 1}",
        b"\xff",
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'{"\\uDFFF": 1}',
        b'["\\udc00\\ud800"]',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'[{"a": 1, "\\u0061": 2}]',
        b"NaN",
        b"[Infinity]",
        b'{"a": -Infinity}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 50_000,
        b"1" * 10_000,
    ],
    ids=lambda data: repr(data[:24]),
)
def test_what_is_doubtful_is_refused_and_not_quoted(data: bytes) -> None:
    with pytest.raises(InvalidRequest) as error:
        read(data)
    assert error.value.details == {}
    assert error.value.detail.startswith("The body ")
    assert error.value.__cause__ is None


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:01ae\\ .-', max_size=30).map(str.encode))
def test_any_bytes_are_read_as_python_reads_them_or_refused(data: bytes) -> None:
    try:
        value = read(data)
    except InvalidRequest:
        return
    assert value == json.loads(data.decode())
