"""Diffs: what differs, how much of it is shown, and what is too much to compare."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from ci_bed import Ci, problem
from hypothesis import given
from hypothesis import strategies as st
from output_bed import (
    PATIENT,
    Produced,
    claimed,
    compare_with,
    expecting,
    matched,
    produced,
    reported,
    sha,
    upload,
)

from examples.ci_results.enumerations import Role
from examples.ci_results.problems import Unavailable
from examples.ci_results.services import layout
from examples.ci_results.services.comparing import SMALL, Comparer, TooExpensive
from examples.ci_results.services.comparison import (
    MAX_HUNKS,
    MAX_LINES,
    MAX_TEXT,
    MAX_UNIFIED,
    Question,
    compare,
)

MEBIBYTE = 1024 * 1024
EMPTY = {"added_lines": 0, "removed_lines": 0, "changed_hunks": 0}
QUESTION = Question("out.txt", 3)


@pytest.fixture
def token(ci: Ci) -> str:
    return ci.full_token("ann", Role.USER)


def unlink(folder: Path, content: bytes) -> None:
    (folder / "files" / layout.result(sha(content), ".txt")).unlink()


@pytest.mark.spec("CI-57")
def test_a_diff_is_shown_line_by_line(ci: Ci, token: str) -> None:
    found = produced(ci, b"one\ntwo\nthree\nfour\n", b"one\n2\nthree\nfour\nfive\n")
    assert ci.get(found.path("diff?context_lines=1"), token).json() == {
        **found.place,
        "format": "structured",
        "status": "different",
        "summary": {"added_lines": 2, "removed_lines": 1, "changed_hunks": 1},
        "hunks": [
            {
                "expected_start": 1,
                "actual_start": 1,
                "lines": [
                    {"kind": "context", "expected_line": 1, "actual_line": 1, "text": "one"},
                    {"kind": "removed", "expected_line": 2, "actual_line": None, "text": "two"},
                    {"kind": "added", "expected_line": None, "actual_line": 2, "text": "2"},
                    {"kind": "context", "expected_line": 3, "actual_line": 3, "text": "three"},
                    {"kind": "context", "expected_line": 4, "actual_line": 4, "text": "four"},
                    {"kind": "added", "expected_line": None, "actual_line": 5, "text": "five"},
                ],
            }
        ],
        "truncated": False,
    }


@pytest.mark.spec("CI-57")
def test_a_diff_is_shown_in_one_text(ci: Ci, token: str) -> None:
    found = produced(ci, b"one\ntwo", b"one\n2")
    body = ci.get(found.path("diff?format=unified"), token).json()
    content = body.pop("content")
    assert body == {**found.place, "format": "unified", "status": "different", "truncated": False}
    assert content.startswith("diff --git a/out.txt b/out.txt\n")
    assert content.endswith(
        "@@ -1,2 +1,2 @@\n one\n-two\n\\ No newline at end of file\n+2\n\\ No newline at end of file\n"
    )


@pytest.mark.spec("CI-57")
@pytest.mark.parametrize(("asked", "given"), [("", 3), ("?context_lines=1", 1), ("?context_lines=50", 50)])
def test_lines_of_context_are_counted(ci: Ci, token: str, asked: str, given: int) -> None:
    around = b"".join(b"%d\n" % number for number in range(60))
    found = produced(ci, around + b"a\n" + around, around + b"b\n" + around)
    (hunk,) = ci.get(found.path(f"diff{asked}"), token).json()["hunks"]
    assert len(hunk["lines"]) == 2 + 2 * given


@pytest.mark.spec("CI-57", "CI-12")
@pytest.mark.parametrize(
    "query", ["context_lines=0", "context_lines=51", "context_lines=1.0", "format=html", "limit=1"]
)
def test_a_wrong_query_of_a_diff_is_400(ci: Ci, token: str, query: str) -> None:
    path = f"/runs/9/samples/9/regression-tests/9/outputs/9/diff?{query}"
    assert problem(ci.get(path, token)) == (400, "validation_error")


@pytest.mark.spec("CI-60")
def test_identical_follows_from_what_was_reported_also_without_files(
    ci: Ci, token: str, tmp_path: Path
) -> None:
    test = expecting(ci, b"expected\n")
    runs = [matched(ci, test), reported(ci, test, b"expected\n")]
    unlink(tmp_path, b"expected\n")
    for found in runs:
        body = ci.get(found.path("diff"), token).json()
        assert (body["status"], body["summary"], body["hunks"]) == ("identical", EMPTY, [])
        unified = ci.get(found.path("diff?format=unified"), token).json()
        assert (unified["status"], unified["content"]) == ("identical", "")


@pytest.mark.spec("CI-60")
def test_files_that_read_alike_are_told_apart_by_their_bytes(ci: Ci, token: str) -> None:
    found = produced(ci, b"a\xff\n", b"a\xfe\x00\n")
    body = ci.get(found.path("diff"), token).json()
    assert body["status"] == "different"
    assert [line["text"] for line in body["hunks"][0]["lines"]] == [r"a\xff", "a\\xfe\0"]
    assert "-a\\xff\n" in ci.get(found.path("diff?format=unified"), token).json()["content"]


@pytest.mark.spec("CI-60")
def test_a_side_that_is_not_there_is_named(ci: Ci, token: str, tmp_path: Path) -> None:
    test = expecting(ci, b"expected\n")
    missing_actual, missing_expected = reported(ci, test, None), reported(ci, test, b"actual\n")
    unlink(tmp_path, b"expected\n")
    for found, status in (
        (missing_actual, "missing_actual"),
        (missing_expected, "missing_expected"),
    ):
        body = ci.get(found.path("diff"), token).json()
        assert (body["status"], body["summary"], body["hunks"]) == (status, EMPTY, [])
        assert ci.get(found.path("diff?format=unified"), token).json()["status"] == status


@pytest.mark.spec("CI-60")
def test_a_diff_of_what_was_lost_is_404(ci: Ci, token: str, tmp_path: Path) -> None:
    found = produced(ci, b"expected\n", b"actual\n")
    unlink(tmp_path, b"actual\n")
    assert problem(ci.get(found.path("diff"), token)) == (404, "not_found")


@pytest.mark.spec("CI-60")
def test_the_diff_of_an_unreported_test_is_404(ci: Ci, token: str) -> None:
    found = claimed(ci, expecting(ci, b"expected\n"))
    upload(found, b"actual\n")
    assert problem(ci.get(found.path("diff"), token)) == (404, "not_found")


@pytest.mark.spec("CI-60")
def test_500_hunks_are_shown_and_all_are_counted(ci: Ci, token: str) -> None:
    same = b"s\n" * 4
    found = produced(ci, (b"a\n" + same) * (MAX_HUNKS + 1), (b"b\n" + same) * (MAX_HUNKS + 1))
    body = ci.get(found.path("diff?context_lines=1"), token).json()
    assert body["summary"] == {
        "added_lines": MAX_HUNKS + 1,
        "removed_lines": MAX_HUNKS + 1,
        "changed_hunks": MAX_HUNKS + 1,
    }
    assert (len(body["hunks"]), body["truncated"]) == (MAX_HUNKS, True)


@pytest.mark.spec("CI-60")
def test_text_is_cut_at_1000_characters(ci: Ci, token: str) -> None:
    found = produced(ci, b"a" * MAX_TEXT + b"\n", "é".encode() * (MAX_TEXT + 1))
    body = ci.get(found.path("diff"), token).json()
    assert [line["text"] for line in body["hunks"][0]["lines"]] == ["a" * MAX_TEXT, "é" * MAX_TEXT]
    assert body["truncated"]
    whole = produced(ci, b"a" * MAX_TEXT + b"\n", b"b" * MAX_TEXT)
    assert not ci.get(whole.path("diff"), token).json()["truncated"]


@pytest.mark.spec("CI-57", "CI-60")
def test_a_large_diff_is_cut_and_counted_whole(ci: Ci, token: str) -> None:
    compare_with(ci, Comparer(seconds=PATIENT))
    found = produced(ci, b"expected\n" * MAX_LINES, b"actual\n" * MAX_LINES)
    body = ci.get(found.path("diff"), token).json()
    assert body["summary"] == {
        "added_lines": MAX_LINES,
        "removed_lines": MAX_LINES,
        "changed_hunks": 1,
    }
    (hunk,) = body["hunks"]
    assert (len(hunk["lines"]), body["truncated"]) == (MAX_LINES, True)
    unified = ci.get(found.path("diff?format=unified"), token).json()
    assert (len(unified["content"]), unified["truncated"]) == (MAX_UNIFIED, True)


def refused_with_downloads(ci: Ci, found: Produced, token: str) -> None:
    answer = ci.get(found.path("diff"), token)
    assert problem(answer) == (422, "unprocessable")
    urls = answer.json()["details"]["download_urls"]
    assert set(urls) == {"expected", "actual"}
    for part, url in urls.items():
        assert ci.get(url, token).status_code == 200, part


@pytest.mark.spec("CI-60")
def test_a_file_over_ten_mebibytes_is_422(ci: Ci, token: str) -> None:
    compare_with(ci, Comparer(seconds=PATIENT))
    limit = b"a" * (10 * MEBIBYTE)
    test = expecting(ci, limit)
    refused_with_downloads(ci, reported(ci, test, limit + b"b"), token)
    within = reported(ci, test, b"b" + limit[1:])
    assert ci.get(within.path("diff"), token).json()["status"] == "different"


@pytest.mark.spec("CI-60")
@pytest.mark.parametrize(
    "limit", [{"seconds": 0.001}, {"seconds": PATIENT, "memory": 32 * MEBIBYTE}], ids=str
)
def test_a_comparison_that_takes_too_much_is_ended(ci: Ci, token: str, limit: dict[str, float]) -> None:
    compare_with(ci, Comparer(**limit))
    refused_with_downloads(ci, produced(ci, b"a\n" * SMALL, b"b\n" * SMALL), token)


@pytest.mark.spec("CI-60")
def test_a_comparison_that_gets_no_turn_is_our_trouble() -> None:
    with pytest.raises(Unavailable):
        Comparer(seconds=0.001, at_once=0).compare(b"a" * SMALL, b"b", QUESTION)


@pytest.mark.spec("CI-60")
def test_small_files_are_compared_in_place() -> None:
    impatient = Comparer(seconds=0.0, at_once=0)
    half = SMALL // 2
    assert impatient.compare(b"a" * half, b"b" * half, QUESTION).changed_hunks == 1
    with pytest.raises((Unavailable, TooExpensive)):
        impatient.compare(b"a" * half, b"b" * (half + 1), QUESTION)


def test_another_process_finds_the_same() -> None:
    expected = b"".join(b"line %d \xff\n" % number for number in range(4000))
    actual = expected.replace(b"7 ", b"x ")
    assert len(expected) > SMALL
    question = Question('odd "name\n.txt', 1)
    apart = Comparer(seconds=PATIENT).compare(expected, actual, question)
    assert apart == compare(expected, actual, question)


lines = st.lists(st.sampled_from([b"a", b"b", b"\xff", b"", b"c\r", b"+", b"@@ -1 +1 @@"]), max_size=12)


@pytest.mark.spec("CI-57")
@given(before=lines, after=lines, ends=st.tuples(st.booleans(), st.booleans()))
def test_both_files_can_be_told_from_a_diff(
    before: list[bytes], after: list[bytes], ends: tuple[bool, bool]
) -> None:
    expected, actual = (
        b"\n".join(part) + b"\n" * end for part, end in zip((before, after), ends, strict=True)
    )
    found = compare(expected, actual, Question("out.txt", 50))
    shown = [line for hunk in found.hunks for line in hunk.lines]
    if expected == actual:
        assert shown == []
        return
    assert [line.text for line in shown if line.kind != "added"] == texts(expected)
    assert [line.text for line in shown if line.kind != "removed"] == texts(actual)
    for numbers in ([line.expected_line for line in shown], [line.actual_line for line in shown]):
        there = [number for number in numbers if number is not None]
        assert all(after == before + 1 for before, after in pairwise(there))
    assert found.added_lines == sum(line.kind == "added" for line in shown)
    assert found.removed_lines == sum(line.kind == "removed" for line in shown)


def texts(content: bytes) -> list[str]:
    """The lines of a file as a diff shows them."""
    return [
        line.decode("utf-8", "backslashreplace") for line in content.removesuffix(b"\n").split(b"\n")
    ] * bool(content)
