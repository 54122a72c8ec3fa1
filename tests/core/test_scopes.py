"""The authority algebra: laws that hold for any scopes, checked against an independent reading of them."""

from __future__ import annotations

import re

import pytest
from drawing import concrete_scopes, scope_sets, scopes
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core.scopes import EVERYTHING, MAX_LENGTH, covers, is_scope, meet, missing, within


def pattern(scope: str) -> re.Pattern[str]:
    """The same scope, read as a pattern over concrete scopes."""
    resource, action = scope.split(":")
    segments = [
        ".+" if resource == "*" else "[^/:]+" if s == "*" else re.escape(s) for s in resource.split("/")
    ]
    return re.compile("/".join(segments) + ":" + ("[^:]+" if action == "*" else re.escape(action)))


@given(scope_sets, concrete_scopes)
def test_a_scope_covers_exactly_what_its_text_says(granted: tuple[str, ...], wanted: str) -> None:
    assert covers(granted, wanted) == any(pattern(one).fullmatch(wanted) for one in granted)


@given(scopes)
def test_every_scope_covers_itself_and_everything_covers_it(scope: str) -> None:
    assert covers([scope], scope)
    assert covers([EVERYTHING], scope)
    assert not covers([], scope)


@given(scopes, scopes, scopes)
def test_covering_is_transitive(wide: str, middle: str, narrow: str) -> None:
    if covers([wide], middle) and covers([middle], narrow):
        assert covers([wide], narrow)


@given(scopes, scopes)
def test_two_scopes_that_cover_each_other_are_one(left: str, right: str) -> None:
    if covers([left], right) and covers([right], left):
        assert left == right


@given(scope_sets, scope_sets, scopes)
def test_a_meeting_covers_what_both_sets_cover_and_nothing_else(
    left: tuple[str, ...], right: tuple[str, ...], wanted: str
) -> None:
    both = covers(left, wanted) and covers(right, wanted)
    assert covers(meet(left, right), wanted) == both
    assert covers(meet(right, left), wanted) == both


@given(scope_sets, scope_sets)
def test_a_meeting_is_within_both_sets(left: tuple[str, ...], right: tuple[str, ...]) -> None:
    both = meet(left, right)
    assert within(both, left)
    assert within(both, right)
    assert all(is_scope(scope) for scope in both)
    assert len(set(both)) == len(both)


@given(scope_sets)
def test_meeting_with_everything_or_itself_changes_nothing_and_with_nothing_leaves_nothing(
    some: tuple[str, ...],
) -> None:
    assert meet(some, [EVERYTHING]) == some
    assert within(some, meet(some, some))
    assert meet(some, ()) == meet((), some) == ()


@given(scope_sets, scope_sets, concrete_scopes)
def test_what_is_within_its_parent_passes_nothing_that_the_parent_does_not(
    child: tuple[str, ...], parent: tuple[str, ...], wanted: str
) -> None:
    if within(child, parent) and covers(child, wanted):
        assert covers(parent, wanted)


@given(scope_sets, scope_sets, scopes)
def test_adding_scopes_never_takes_any_away(
    some: tuple[str, ...], more: tuple[str, ...], wanted: str
) -> None:
    assert covers(some + more, wanted) == (covers(some, wanted) or covers(more, wanted))


@given(scope_sets, st.lists(scopes))
def test_missing_are_those_not_covered_in_the_order_given(
    granted: tuple[str, ...], wanted: list[str]
) -> None:
    assert missing(granted, wanted) == tuple(one for one in wanted if not covers(granted, one))
    assert within(wanted, granted) == (not missing(granted, wanted))


@pytest.mark.parametrize(
    ("granted", "wanted", "covered"),
    [
        ("*:*", "logs:read", True),
        ("*:*", "a/b/c:read", True),
        ("*:read", "a/b/c:read", True),
        ("*:read", "a:write", False),
        ("logs:*", "logs:read", True),
        ("logs:*", "logs/eu:read", False),
        ("logs/*:read", "logs/eu:read", True),
        ("logs/*:read", "logs/eu/a:read", False),
        ("logs/*:read", "logs:read", False),
        ("*/eu:read", "logs/eu:read", True),
        ("*/*:read", "*:read", False),
        ("logs/eu:read", "logs/*:read", False),
        ("logs:read", "logs:*", False),
        ("logs:read", "Logs:read", False),
    ],
)
def test_a_star_is_one_segment_in_a_path_and_everything_alone(
    granted: str, wanted: str, covered: bool
) -> None:
    assert covers([granted], wanted) is covered


@pytest.mark.parametrize(
    "text",
    [
        "a:b",
        "*:*",
        "*/x:y",
        "A.b_c-1:d_e-2",
        "0:a",
        "/".join("abcdefgh") + ":x",
        "a" * 64 + ":" + "b" * 32,
        "/".join(["a" * 24] * 7) + ":" + "b" * 25,
    ],
)
def test_the_grammar_takes(text: str) -> None:
    assert is_scope(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "a",
        "a:",
        ":b",
        "a:B",
        "a:1",
        "a b:c",
        "a/:b",
        "/a:b",
        "a//b:c",
        "-a:b",
        "a:b:c",
        "a:b\n",
        "\na:b",
        "**:a",
        "a*:b",
        "a:b*",
        "é:a",
        "a:é",
        "a\x00:b",
        "/".join("abcdefghi") + ":x",
        "a" * 65 + ":b",
        "a:" + "b" * 33,
        "/".join(["a" * 24] * 7) + ":" + "b" * 26,
    ],
)
def test_the_grammar_refuses(text: str) -> None:
    assert not is_scope(text)


@given(st.text(max_size=250))
def test_what_the_grammar_takes_is_short_and_splits_in_two(text: str) -> None:
    if is_scope(text):
        assert len(text) <= MAX_LENGTH
        assert text.count(":") == 1
        assert text.isascii()
