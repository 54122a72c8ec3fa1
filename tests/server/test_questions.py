"""A question that is read by what is remembered of its form is read as if by itself."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyrack.core.errors import KeyrackError
from keyrack.core.strict_json import read
from keyrack.server import questions
from keyrack.server.questions import Asked, read_one, read_question

TEXTS = st.sampled_from(
    ["kr_live_abc", "any", "_", "", "k\\u0065y", 'a"b', "a\\b", "ключ", "a:b", '"key":"b"', "key"]
)
VALUES = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(-1, 1001),
    st.lists(st.sampled_from(["logs:read", "live", 'x"key":', 1]), max_size=2),
    st.dictionaries(TEXTS, TEXTS, max_size=2),
)
NAMES = st.sampled_from(
    ["scopes", "tenant", "ip", "cost", "explain", "environments", "service", "other", 'a"key']
)
MEMBERS = st.lists(st.tuples(NAMES | st.just("key"), VALUES), max_size=4)


def _outcome(reader: Callable[[bytes], Asked], body: bytes) -> object:
    try:
        return reader(body)._asdict()
    except KeyrackError as error:
        return error.code, error.detail, error.details


def _as_it_stands(body: bytes) -> Asked:
    return read_question(read(body))


@given(MEMBERS, TEXTS, st.integers(0, 4), st.sampled_from([":", ": ", " : ", ":\n"]))
@example([("tenant", "any")], "any", 0, ":")
def test_a_remembered_form_changes_nothing(
    members: list[tuple[str, object]], text: str, place: int, colon: str
) -> None:
    members.insert(place, ("key", text))
    # By hand, so that a name can stand twice.
    pairs = [f"{json.dumps(name)}{colon}{json.dumps(value)}" for name, value in members]
    body = f"{{{','.join(pairs)}}}".encode()
    for _ in range(2):
        assert _outcome(read_one, body) == _outcome(_as_it_stands, body)


@given(st.text(st.sampled_from('{}[]":,\\ keyanytl1'), max_size=30).map(str.encode) | st.binary(max_size=30))
def test_no_bytes_are_read_otherwise(tail: bytes) -> None:
    for body in (tail, b'{"key":' + tail, b'{"key":"' + tail, b'{"key":"any"' + tail):
        assert _outcome(read_one, body) == _outcome(_as_it_stands, body)


def test_keys_of_one_form_are_told_apart() -> None:
    found = [read_one(b'{"key": "%s", "cost": 3}' % text) for text in (b"a", b"b", b"any")]
    assert [(one.text, one.access.cost) for one in found] == [("a", 3), ("b", 3), ("any", 3)]


@pytest.mark.parametrize(
    ("body", "forms"),
    [
        (b'{"key":"SECRET","cost":1}', 1),
        (b'{"tenant":"acme", "key": "SECRET"}', 1),
        (b'{"key" :"SECRET"}', 0),
        (b'{"x":"SECRET"}', 0),
        (b'{"key":"a", "key":"SECRET"}', 0),
        (b'["SECRET"]', 0),
    ],
)
def test_a_form_is_remembered_without_its_key(
    body: bytes, forms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered: list[bytes] = []
    around = questions._around.__wrapped__

    def watched(before: bytes, after: bytes) -> object:
        found = around(before, after)
        remembered.append(before + after)
        return found

    monkeypatch.setattr(questions, "_around", watched)
    _outcome(read_one, body)
    assert len(remembered) == forms
    assert not any(b"SECRET" in one for one in remembered)


def test_long_bodies_are_not_remembered() -> None:
    before = questions._around.cache_info().currsize
    body = json.dumps({"key": "a", "scopes": ["logs:read"] * 200}).encode()
    assert len(body) > questions.MAX_KNOWN
    assert _outcome(read_one, body) == _outcome(_as_it_stands, body)
    assert questions._around.cache_info().currsize == before
