"""How the service reads JSON, whoever sends it."""

from __future__ import annotations

import pytest

from examples.coordinator import strict_json
from examples.coordinator.problems import InvalidRequest, ValidationFailed


@pytest.mark.spec("CO-12")
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b"[" * 100_000,
        b"[" * 40 + b"]" * 40,
    ],
    ids=lambda raw: repr(raw[:16]),
)
def test_what_is_not_json_of_one_meaning_is_an_invalid_request(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        strict_json.read(raw)


@pytest.mark.spec("CO-26")
@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"payload": {"at": "2030-01-31T12:00:00"}}', "payload.at"),
        (b'{"payload": {"at": ["x", "2030-01-31 12:00"]}}', "payload.at.1"),
        (b'"2030-01-31T12:00:00.5"', "body"),
    ],
)
def test_a_date_time_without_offset_is_refused_wherever_it_stands(raw: bytes, field: str) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        strict_json.read(raw)
    assert list(refusal.value.details["fields"]) == [field]


@pytest.mark.spec("CO-26")
@pytest.mark.parametrize(
    "text", ["2030-01-31T12:00:00Z", "2030-01-31T12:00:00+02:00", "2030-01-31", "at 12:00"]
)
def test_a_date_time_with_offset_and_other_text_pass(text: str) -> None:
    assert strict_json.read(f'["{text}"]'.encode()) == [text]


@pytest.mark.parametrize("raw", [rb'{"a": "\ud800"}', rb'{"a": "\u0000"}', rb'{"a": {"\udfff": 1}}'])
def test_text_that_no_database_stores_is_refused(raw: bytes) -> None:
    with pytest.raises(ValidationFailed):
        strict_json.read(raw)


def test_the_canonical_text_tells_apart_what_python_calls_equal() -> None:
    assert strict_json.canonical({"a": 1, "b": 2}) == strict_json.canonical({"b": 2, "a": 1})
    assert len({strict_json.canonical(value) for value in (1, 1.0, True)}) == 3
