"""The diff of two files, as git makes it (CI-60). Nothing here knows where the files are from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal, NamedTuple

import pygit2
from pygit2.enums import DiffOption

MAX_HUNKS = 500
MAX_LINES = 50_000
"""Lines of all shown hunks together: a single hunk may be as long as both files."""
MAX_TEXT = 1_000
MAX_UNIFIED = 512 * 1024

Kind = Literal["context", "added", "removed"]
_KINDS: dict[str, Kind] = {" ": "context", "+": "added", "-": "removed"}
"""The other kinds of git say that a file ends without a line feed."""


class DiffLine(NamedTuple):
    """A line of a hunk, and its number on each side that has it."""

    kind: Kind
    expected_line: int | None
    actual_line: int | None
    text: str


class Hunk(NamedTuple):
    """Lines that changed, with those around them."""

    expected_start: int
    actual_start: int
    lines: list[DiffLine]


class Comparison(NamedTuple):
    """What differs. The counts are of all of it, even where not all is shown."""

    added_lines: int
    removed_lines: int
    changed_hunks: int
    hunks: list[Hunk]
    hunks_truncated: bool
    unified: str
    unified_truncated: bool


NOTHING = Comparison(0, 0, 0, [], False, "", False)


class Question(NamedTuple):
    """How two files are compared; `name` is shown for both of them."""

    name: str
    context_lines: int


def compare(expected: bytes, actual: bytes, question: Question) -> Comparison:
    """What differs, however long it takes to find out; nobody else runs in this process meanwhile."""
    patch = pygit2.Patch.create_from(
        expected,
        actual,
        old_as_path=question.name,
        new_as_path=question.name,
        context_lines=question.context_lines,
        flag=DiffOption.FORCE_TEXT,
    )
    stats = patch.line_stats
    hunks = list(_shown(patch.hunks))
    unified = _text(patch.data)
    return Comparison(
        added_lines=stats[1],
        removed_lines=stats[2],
        changed_hunks=len(patch.hunks),
        hunks=[hunk._replace(lines=[_cut(line) for line in hunk.lines]) for hunk in hunks],
        hunks_truncated=_is_truncated(hunks, sum(stats)),
        unified=unified[:MAX_UNIFIED],
        unified_truncated=len(unified) > MAX_UNIFIED,
    )


def _shown(hunks: Iterable[pygit2.DiffHunk]) -> Iterator[Hunk]:
    room = MAX_LINES
    for hunk in islice(hunks, MAX_HUNKS):
        lines = list(islice(_lines(hunk), room))
        room -= len(lines)
        if lines:
            yield Hunk(hunk.old_start, hunk.new_start, lines)


def _lines(hunk: pygit2.DiffHunk) -> Iterator[DiffLine]:
    for line in hunk.lines:
        kind = _KINDS.get(line.origin)
        if kind is not None:
            text = _text(line.raw_content.removesuffix(b"\n"))
            yield DiffLine(kind, _number(line.old_lineno), _number(line.new_lineno), text)


def _is_truncated(hunks: Iterable[Hunk], all_lines: int) -> bool:
    """Whether a line is left out, or the end of one."""
    shown = [line for hunk in hunks for line in hunk.lines]
    return len(shown) < all_lines or any(len(line.text) > MAX_TEXT for line in shown)


def _cut(line: DiffLine) -> DiffLine:
    return line._replace(text=line.text[:MAX_TEXT])


def _number(number: int) -> int | None:
    """Git's number of a line, which is negative on the side that does not have it."""
    return number if number > 0 else None


def _text(content: bytes) -> str:
    r"""Bytes that are not UTF-8 appear as `\xNN`."""
    return content.decode("utf-8", "backslashreplace")
