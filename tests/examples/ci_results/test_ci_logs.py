"""Logs: real files of workers, read by line number, one page after the other."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from ci_bed import Ci, Claimed, RegressionTest, problem
from hypothesis import given
from hypothesis import strategies as st

from examples.ci_results.enumerations import Role
from examples.ci_results.models import catalogue
from examples.ci_results.models.catalogue import NewTest
from examples.ci_results.services import logs
from examples.ci_results.services.logs import MAX_LINE, MAX_SCANNED, read_line


@pytest.fixture
def token(ci: Ci) -> str:
    return ci.full_token("ann", Role.USER)


def begun(ci: Ci, *tests: RegressionTest) -> Claimed:
    ci.queued(*tests)
    run = ci.claim()
    run.begin()
    return run


def logged(ci: Ci, content: bytes) -> str:
    """The path of the log of a run that is this."""
    run = begun(ci, ci.test())
    assert run.report("logupload", content).status_code == 200
    return f"/runs/{run.id}/logs"


@pytest.mark.spec("CI-65", "CI-69")
def test_a_log_is_shown_line_by_line(ci: Ci, token: str) -> None:
    path = logged(
        ci,
        b"2030-01-01T10:00:00+02:00 [ERROR] build: it broke\r\n"
        b"2030-01-01 10:00:01.5 Web says debug, not error\n"
        b"\n"
        b"at 2030-01-01T10:00:00Z broken \xff",
    )
    body = ci.get(path, token).json()
    assert body["pagination"] == {"limit": 100, "next_cursor": None}
    common = {"run_id": 1, "sample_id": None}
    assert body["data"] == [
        {
            "timestamp": "2030-01-01T08:00:00Z",
            "level": "error",
            "source": "build",
            "message": "2030-01-01T10:00:00+02:00 [ERROR] build: it broke",
            **common,
        },
        {
            "timestamp": "2030-01-01T10:00:01Z",
            "level": "debug",
            "source": "web",
            "message": "2030-01-01 10:00:01.5 Web says debug, not error",
            **common,
        },
        {"timestamp": None, "level": "info", "source": "worker", "message": "", **common},
        {
            "timestamp": None,
            "level": "info",
            "source": "worker",
            "message": "at 2030-01-01T10:00:00Z broken \ufffd",
            **common,
        },
    ]


@pytest.mark.spec("CI-69")
@pytest.mark.parametrize(
    ("text", "level", "source"),
    [
        ("Critical: ORCHESTRATOR and build", "critical", "orchestrator"),
        ("test_runner=Warning error", "warning", "test_runner"),
        ("informal errors in my webapp", "info", "worker"),
        ("", "info", "worker"),
    ],
)
def test_the_first_known_word_counts(text: str, level: str, source: str) -> None:
    line = read_line(text, 1, None)
    assert (line.level, line.source) == (level, source)


@pytest.mark.spec("CI-65")
@pytest.mark.parametrize(
    "text",
    [
        "2030-13-01T00:00:00Z no such month",
        "0001-01-01T00:00:00+10:00 before all time",
        "9999-12-31T23:59:59-10:00 after all time",
        "12:00:00 no day",
        " 2030-01-01T00:00:00Z not at the start",
    ],
)
def test_a_line_that_starts_with_no_time_has_none(ci: Ci, token: str, text: str) -> None:
    (line,) = ci.get(logged(ci, text.encode()), token).json()["data"]
    assert (line["timestamp"], line["message"]) == (None, text)


@pytest.mark.spec("CI-65")
def test_lines_are_filtered(ci: Ci, token: str) -> None:
    path = logged(ci, b"error build Alpha\nerror web beta\ninfo build gamma\nplain 100%\n")
    for query, messages in (
        ("level=error", ["error build Alpha", "error web beta"]),
        ("level=error&source=build", ["error build Alpha"]),
        ("source=worker", ["plain 100%"]),
        ("contains=ALPHA", ["error build Alpha"]),
        ("contains=%25", ["plain 100%"]),
        ("level=critical", []),
    ):
        found = ci.get(f"{path}?{query}", token).json()["data"]
        assert [line["message"] for line in found] == messages, query


@pytest.mark.spec("CI-14", "CI-69")
def test_next_cursor_is_integer(ci: Ci, token: str) -> None:
    path = logged(ci, b"".join(b"%d\n" % number for number in range(10)))
    body = ci.get(f"{path}?limit=4", token).json()
    assert body["pagination"] == {"limit": 4, "next_cursor": 4}
    assert type(body["pagination"]["next_cursor"]) is int
    seen, cursor = [], 0
    while cursor is not None:
        body = ci.get(f"{path}?limit=4&cursor={cursor}", token).json()
        seen += [line["message"] for line in body["data"]]
        cursor = body["pagination"]["next_cursor"]
    assert seen == [str(number) for number in range(10)]
    beyond = ci.get(f"{path}?cursor=10000000", token).json()
    assert (beyond["data"], beyond["pagination"]["next_cursor"]) == ([], None)


@pytest.mark.spec("CI-12", "CI-14", "CI-65", "CI-66")
@pytest.mark.parametrize(
    "query",
    [
        "offset=1",
        "cursor=x",
        "cursor=-1",
        "cursor=10000001",
        "limit=101",
        "limit=0",
        "level=fatal",
        f"contains={'c' * 101}",
    ],
)
def test_a_wrong_query_of_a_log_is_400(ci: Ci, token: str, query: str) -> None:
    for path in ("/runs/9/logs", "/runs/9/samples/9/logs"):
        assert problem(ci.get(f"{path}?{query}", token)) == (400, "validation_error")


@pytest.mark.spec("CI-66", "CI-12")
def test_the_logs_of_a_sample_know_no_sources_to_ask_for(ci: Ci, token: str) -> None:
    assert ci.get("/runs/9/logs?source=web", token).status_code == 404
    assert problem(ci.get("/runs/9/samples/9/logs?source=web", token)) == (400, "validation_error")
    assert problem(ci.get("/runs/9/logs?source=printer", token)) == (400, "validation_error")


@pytest.mark.spec("CI-69")
def test_one_request_scans_50000_lines(ci: Ci, token: str) -> None:
    path = logged(ci, b"plain\n" * (MAX_SCANNED + 10) + b"error at last\n")
    first = ci.get(f"{path}?level=error", token).json()
    assert first == {"data": [], "pagination": {"limit": 100, "next_cursor": MAX_SCANNED}}
    second = ci.get(f"{path}?level=error&cursor={MAX_SCANNED}", token).json()
    assert [line["message"] for line in second["data"]] == ["error at last"]
    assert second["pagination"]["next_cursor"] is None


@pytest.mark.spec("CI-65", "CI-69")
def test_a_long_line_is_cut(ci: Ci, token: str) -> None:
    body = ci.get(logged(ci, b"a" * 1_000_000 + b"\nb"), token).json()
    assert [line["message"] for line in body["data"]] == ["a" * 4000, "b"]


@pytest.mark.spec("CI-66", "CI-69", "CI-86")
def test_sample_logs_are_real(ci: Ci, token: str) -> None:
    one, other = ci.test("one"), ci.test("other")
    with ci.service.database.write() as connection:
        second_id = catalogue.add_test(connection, NewTest(one.sample_id, "convert it in another way"))
    run = begun(ci)
    run.report("logupload", b"second 1\nsecond 2", test_id=second_id)
    run.report("logupload", b"first 1\nfirst 2", test_id=one.id)
    run.report("logupload", b"other\n", test_id=other.id)
    run.report("logupload", b"run\n")
    path = f"/runs/{run.id}/samples/{one.sample_id}/logs"
    body = ci.get(path, token).json()
    assert [line["message"] for line in body["data"]] == ["first 1", "first 2", "second 1", "second 2"]
    assert {(line["run_id"], line["sample_id"]) for line in body["data"]} == {(run.id, one.sample_id)}
    page = ci.get(f"{path}?limit=1&cursor=1", token).json()
    assert [line["message"] for line in page["data"]] == ["first 2"]
    assert page["pagination"]["next_cursor"] == 2
    (line,) = ci.get(f"{path}?contains=SECOND+1", token).json()["data"]
    assert line["message"] == "second 1"
    assert ci.get(f"/runs/{run.id}/logs", token).json()["data"][0]["message"] == "run"


@pytest.mark.spec("CI-65", "CI-66")
def test_a_log_that_is_not_there_is_told_from_a_run_that_is_not(ci: Ci, token: str) -> None:
    test = ci.test()
    run_id = ci.queued()
    assert problem(ci.get(f"/runs/{run_id}/logs", token)) == (404, "log_not_found")
    assert problem(ci.get(f"/runs/{run_id}/samples/{test.sample_id}/logs", token)) == (404, "log_not_found")
    assert problem(ci.get(f"/runs/{run_id}/samples/99/logs", token)) == (404, "not_found")
    assert problem(ci.get(f"/runs/99/samples/{test.sample_id}/logs", token)) == (404, "not_found")
    assert problem(ci.get("/runs/99/logs", token)) == (404, "not_found")


@pytest.mark.spec("CI-65", "CI-66")
def test_logs_need_their_scope(ci: Ci) -> None:
    ci.person("bob")
    token = ci.token("bob", "results:read", "runs:read")
    for path in ("/runs/9/logs", "/runs/9/samples/9/logs"):
        assert problem(ci.get(path, token)) == (403, "forbidden")


@pytest.mark.spec("CI-69")
@given(
    content=st.binary(max_size=40).map(lambda text: text.replace(b"a", b"\n")),
    cuts=st.lists(st.integers(0, 40)),
)
def test_lines_do_not_depend_on_how_a_file_comes(content: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(content), *(min(cut, len(content)) for cut in cuts)})
    chunks = [content[start:end] for start, end in pairwise(places)]
    expected = content.split(b"\n")
    assert list(logs.lines(chunks)) == (expected if expected[-1] else expected[:-1])


@pytest.mark.spec("CI-69")
def test_a_line_without_end_takes_no_more_memory_than_one_may() -> None:
    def endless() -> Iterable[bytes]:
        for _ in range(1000):
            yield b"a" * 100_000

    (line,) = logs.lines(endless())
    assert len(line) == MAX_LINE
