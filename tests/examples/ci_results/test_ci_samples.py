"""Samples and tests: what is listed, in how many statements, and what each failure is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ci_bed import Ci, Clock, RegressionTest, digest, problem
from sqlalchemy import event

from examples.ci_results.enumerations import Role

MAX_STATEMENTS = 8


@pytest.fixture
def token(ci: Ci) -> str:
    return ci.full_token("ann", Role.USER)


@contextmanager
def counted(ci: Ci) -> Iterator[list[str]]:
    """The statements that the database is sent meanwhile, but for transactions."""
    sent: list[str] = []

    def note(*given: Any) -> None:
        if not given[2].startswith(("BEGIN", "SAVEPOINT")):
            sent.append(given[2])

    event.listen(ci.service.database.engine, "before_cursor_execute", note)
    yield sent
    event.remove(ci.service.database.engine, "before_cursor_execute", note)


def reported(ci: Ci, *tests: RegressionTest, **finish: Any) -> int:
    """A run in which these tests were reported."""
    ci.queued(*tests)
    run = ci.claim()
    run.begin()
    for test in tests:
        run.finish(test, **finish)
    run.complete()
    return run.id


@pytest.mark.spec("CI-48", "CI-49")
def test_the_tests_of_a_run_are_shown_with_their_outputs(ci: Ci, token: str) -> None:
    test = ci.test(
        "a clip",
        outputs={"a.txt": "a", "b.txt": "b", "c.log": "c"},
        ignored=["c.log"],
        categories=["General", "captions"],
    )
    run_id = ci.queued()
    (before,) = ci.get(f"/runs/{run_id}/samples", token).json()["data"]
    assert (before["status"], before["outputs"], before["exit_code"]) == ("not_started", [], None)
    run = ci.claim()
    run.begin()
    run.report("equality", test_id=test.id, test_file_id=test.outputs["a.txt"])
    run.finish(test, code=7, matching=False)
    one = ci.get(f"/runs/{run_id}/samples/{test.id}", token).json()
    assert one == {
        "regression_test_id": test.id,
        "sample_id": test.sample_id,
        "sample_name": "a clip.ts",
        "status": "missing_output",
        "exit_code": 7,
        "expected_rc": 0,
        "runtime_ms": 120,
        "command": "convert a clip",
        "categories": ["General", "captions"],
        "outputs": [
            {"output_id": test.outputs["a.txt"], "filename": "a.txt", "status": "pass"},
            {"output_id": test.outputs["b.txt"], "filename": "b.txt", "status": "missing_output"},
        ],
    }
    assert problem(ci.get(f"/runs/{run_id}/samples/99", token)) == (404, "not_found")
    assert problem(ci.get("/runs/99/samples", token)) == (404, "not_found")


@pytest.mark.spec("CI-15", "CI-48")
def test_tests_of_a_run_are_filtered(ci: Ci, token: str) -> None:
    ci.test("100% sure", tags=["News"], categories=["Captions"])
    ci.test("100 percent", tags=["sport"])
    ci.test("under_score")
    ci.test("underscore")
    run_id = ci.queued()

    def found(**query: str) -> list[str]:
        rows = ci.get(f"/runs/{run_id}/samples", token, params=query).json()["data"]
        return [row["sample_name"] for row in rows]

    assert found(name="100%") == ["100% sure.ts"]
    assert found(name="R_S") == ["under_score.ts"]
    assert found(tag="news") == ["100% sure.ts"]
    assert found(category="CAPTIONS") == ["100% sure.ts"]
    assert found(tag="new") == []
    assert len(found(status="not_started")) == 4
    assert found(status="pass") == []


@pytest.mark.spec("CI-50", "CI-51")
def test_samples_are_listed_with_their_tags_and_active_tests(ci: Ci, token: str) -> None:
    one = ci.test("one", tags=["b", "a"])
    ci.test("two", active=False)
    rows = ci.get("/samples", token).json()["data"]
    assert rows[0] == {
        "sample_id": one.sample_id,
        "sha": digest("sample one"),
        "extension": "ts",
        "original_name": "one.ts",
        "filename": f"{digest('sample one')}.ts",
        "tags": ["a", "b"],
        "regression_test_count": 1,
        "active": True,
    }
    assert (rows[1]["regression_test_count"], rows[1]["active"]) == (0, False)
    assert ci.get(f"/samples/{one.sample_id}", token).json() == rows[0]
    for query, names in (
        ("status=inactive", ["two.ts"]),
        ("tag=A", ["one.ts"]),
        ("extension=TS&name=tw", ["two.ts"]),
        (f"sha256={digest('sample one')}", ["one.ts"]),
    ):
        rows = ci.get(f"/samples?{query}", token).json()["data"]
        assert [row["original_name"] for row in rows] == names
    assert problem(ci.get("/samples/99", token)) == (404, "not_found")


@pytest.mark.spec("CI-53")
def test_regression_tests_are_the_active_ones(ci: Ci, token: str) -> None:
    one = ci.test("one", categories=["c"], description="what it is for")
    two = ci.test("two", active=False)
    (row,) = ci.get("/regression-tests", token).json()["data"]
    assert (row["regression_test_id"], row["categories"]) == (one.id, ["c"])
    assert row["description"] == "what it is for"
    (row,) = ci.get("/regression-tests?active=false", token).json()["data"]
    assert row["regression_test_id"] == two.id
    assert ci.get(f"/regression-tests?sample_id={two.sample_id}", token).json()["data"] == []


@pytest.mark.spec("CI-52", "CI-54")
def test_history_shows_the_newest_run_first_and_equal_failures_alike(
    ci: Ci, token: str, clock: Clock
) -> None:
    test = ci.test("one", outputs={"a.txt": "a", "b.txt": "b"})
    passed = reported(ci, test)
    clock.pass_time(hours=1)
    wrong = [reported(ci, test, code=2), reported(ci, test, code=2)]
    missing = reported(ci, test, matching=False)
    rows = ci.get(f"/samples/{test.sample_id}/history", token).json()["data"]
    assert [row["run_id"] for row in rows] == [missing, *reversed(wrong), passed]
    assert [row["failure_signature"] for row in rows] == [
        f"missing_output:output:{test.outputs['a.txt']}",
        "exit_code_mismatch:rc:2",
        "exit_code_mismatch:rc:2",
        None,
    ]
    after = ci.get(
        f"/samples/{test.sample_id}/history",
        token,
        params={"status": "pass", "created_before": "2030-01-01T12:30:00Z"},
    ).json()
    assert [row["run_id"] for row in after["data"]] == [passed]
    assert problem(ci.get("/samples/99/history", token)) == (404, "not_found")


@pytest.mark.parametrize(
    "path", ["/runs", "/runs/1/summary", "/runs/1/samples", "/samples", "/regression-tests"]
)
def test_list_query_counts(ci: Ci, token: str, path: str) -> None:
    ci.test("t0", tags=["t"], categories=["c"])
    ci.queued()
    with counted(ci) as one:
        ci.get(f"{path}?limit=100" if "summary" not in path else path, token)
    for number in range(1, 100):
        ci.test(f"t{number}", tags=["t"], categories=["c"])
        ci.queued()
    with counted(ci) as hundred:
        ci.get(f"{path}?limit=100" if "summary" not in path else path, token)
    assert len(one) == len(hundred) <= MAX_STATEMENTS


def test_history_query_count(ci: Ci, token: str) -> None:
    test = ci.test()
    ci.queued()
    path = f"/samples/{test.sample_id}/history?limit=100"
    with counted(ci) as one:
        ci.get(path, token)
    for _ in range(99):
        ci.queued()
    with counted(ci) as hundred:
        assert len(ci.get(path, token).json()["data"]) == 100
    assert len(one) == len(hundred) <= MAX_STATEMENTS
