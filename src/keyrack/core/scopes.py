"""The authority algebra: what a scope covers, and what two sets of scopes have in common.

A scope is `resource:action`. A resource is a path of segments (`streams/web`); `*` is always
explicit: inside a path it stands for one segment, alone for every resource. The empty set means
nothing. Nothing here knows who holds a scope or why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

EVERYTHING = "*:*"
MAX_SCOPES = 100
MAX_LENGTH = 200
KEPT_SCOPES = 4
_SEGMENT = r"(?:[A-Za-z0-9][A-Za-z0-9_.-]{0,63}|\*)"
PATTERN = rf"{_SEGMENT}(?:/{_SEGMENT}){{0,7}}:(?:[a-z][a-z0-9_-]{{0,31}}|\*)"
_SCOPE = re.compile(PATTERN)


def is_scope(text: str) -> bool:
    """Whether text is in the grammar: at most 8 segments and 200 characters, case kept."""
    return len(text) <= MAX_LENGTH and _SCOPE.fullmatch(text) is not None


def covers(granted: Iterable[str], wanted: str) -> bool:
    """Whether one of the granted scopes is at least as wide as the wanted one."""
    return wanted in granted or any(_covers(one, wanted) for one in granted)


def within(child: Iterable[str], parent: Iterable[str]) -> bool:
    """Whether every scope of child is covered by parent, so that parent's holder may grant child."""
    return not missing(parent, child)


def missing(granted: Iterable[str], wanted: Iterable[str]) -> tuple[str, ...]:
    """The wanted scopes that the granted ones do not cover, in the order given."""
    held, asked = tuple(granted), tuple(wanted)
    # Few scopes are asked for again and again; long lists are somebody's invention, and not kept.
    return _missing_again(held, asked) if len(asked) <= KEPT_SCOPES else _missing(held, asked)


def meet(left: Iterable[str], right: Iterable[str]) -> tuple[str, ...]:
    """The scopes that both sets cover: `covers(meet(a, b), w)` is `covers(a, w) and covers(b, w)`."""
    others = tuple(right)
    both = (_meet(one, other) for one in left for other in others)
    return tuple(dict.fromkeys(scope for scope in both if scope is not None))


def _missing(held: tuple[str, ...], asked: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(scope for scope in asked if not covers(held, scope))


_missing_again = lru_cache(maxsize=1024)(_missing)


def _covers(granted: str, wanted: str) -> bool:
    return _meet(granted, wanted) == wanted


def _meet(left: str, right: str) -> str | None:
    left_resource, _, left_action = left.rpartition(":")
    right_resource, _, right_action = right.rpartition(":")
    action = _meet_name(left_action, right_action)
    resource = _meet_resource(left_resource, right_resource)
    return f"{resource}:{action}" if action and resource else None


def _meet_resource(left: str, right: str) -> str | None:
    if left == "*":
        return right
    if right == "*":
        return left
    ours, theirs = left.split("/"), right.split("/")
    if len(ours) != len(theirs):
        return None
    segments = [_meet_name(a, b) for a, b in zip(ours, theirs, strict=True)]
    known = [segment for segment in segments if segment]
    return "/".join(known) if len(known) == len(segments) else None


def _meet_name(left: str, right: str) -> str | None:
    if left == "*" or left == right:
        return right
    return left if right == "*" else None
