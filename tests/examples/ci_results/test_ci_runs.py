"""Runs: who may make one, of what, and what is shown of it."""

from __future__ import annotations

from typing import Any

import pytest
from ci_bed import COMMIT, Ci, Clock, problem
from sqlalchemy import func, select

from examples.ci_results.enumerations import Role
from examples.ci_results.models import tables

BUILT = [(COMMIT, "linux")]
WISH = {"commit_sha": COMMIT, "platform": "linux", "repository": "Acme/Tool"}


def rows(ci: Ci, *named: Any) -> int:
    with ci.service.database.read() as connection:
        return sum(connection.execute(select(func.count()).select_from(one)).scalar_one() for one in named)


@pytest.mark.spec("CI-40", "CI-41", "CI-44")
def test_a_run_is_accepted_and_found(ci: Ci) -> None:
    ci.directory("acme/tool", builds=BUILT)
    test = ci.test()
    token = ci.full_token("tess", Role.TESTER)
    answer = ci.post("/runs", token, json=WISH | {"commit_sha": COMMIT.upper(), "branch": "fix/a"})
    assert answer.status_code == 202
    run = answer.json()
    assert answer.headers["location"] == f"/api/v1/runs/{run['run_id']}"
    assert run == {
        "run_id": 1,
        "status": "queued",
        "platform": "linux",
        "test_type": "commit",
        "repository": "Acme/Tool",
        "branch": "fix/a",
        "commit_sha": COMMIT,
        "pr_number": None,
        "created_at": "2030-01-01T12:00:00Z",
        "queued_at": "2030-01-01T12:00:00Z",
        "started_at": None,
        "completed_at": None,
        "github_link": f"https://github.com/Acme/Tool/commit/{COMMIT}",
    }
    assert ci.get("/runs/1", token).json() == run
    assert ci.get("/runs", token).json()["data"] == [run]
    assert ci.get("/runs/1/config", token).json()["regression_test_ids"] == [test.id]
    assert problem(ci.get("/runs/2", token)) == (404, "not_found")


def test_a_pull_request_is_linked(ci: Ci) -> None:
    ci.directory("acme/tool", builds=BUILT)
    ci.test()
    run = ci.post("/runs", ci.full_token("tess", Role.TESTER), json=WISH | {"pull_request": 7}).json()
    assert (run["test_type"], run["pr_number"]) == ("pr", 7)
    assert run["github_link"].endswith("/Acme/Tool/pull/7")


@pytest.mark.parametrize("role", Role)
def test_the_main_repository_is_for_staff(ci: Ci, role: Role) -> None:
    ci.directory("acme/tool", builds=BUILT)
    ci.test()
    answer = ci.post("/runs", ci.full_token("ann", role), json=WISH | {"repository": "acme/TOOL"})
    assert answer.status_code == (403 if role is Role.USER else 202)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("login", "status"), [(None, 403), ("zoe", 403), ("ANN-dev", 202)])
def test_staff_needs_repository_ownership(ci: Ci, role: Role, login: str | None, status: int) -> None:
    ci.directory("ann-dev/fork", builds=BUILT)
    ci.test()
    ci.person("ann", role, login=login)
    answer = ci.post("/runs", ci.token("ann", "runs:write"), json=WISH | {"repository": "ann-dev/fork"})
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["details"]["reason"] == "repository_not_owned"


def test_unknown_repository_is_refused(ci: Ci) -> None:
    ci.directory()
    ci.test()
    token = ci.full_token("tess", Role.TESTER)
    assert problem(ci.post("/runs", token, json=WISH)) == (422, "unprocessable")
    ci.directory("acme/tool", builds=[(COMMIT, "windows")])
    assert problem(ci.post("/runs", token, json=WISH)) == (422, "unprocessable")


def test_directory_down_is_503(ci: Ci) -> None:
    ci.test()
    assert problem(ci.post("/runs", ci.full_token("tess", Role.TESTER), json=WISH)) == (503, "unavailable")


def test_no_rows_before_repository_checks(ci: Ci) -> None:
    ci.test()
    token = ci.full_token("tess", Role.TESTER)
    ci.post("/runs", token, json=WISH)
    ci.directory()
    ci.post("/runs", token, json=WISH)
    ci.post("/runs", token, json=WISH | {"repository": "zoe/fork"})
    ci.directory("acme/tool", builds=BUILT)
    ci.post("/runs", token, json=WISH | {"regression_test_ids": [99]})
    assert rows(ci, tables.run, tables.repository, tables.run_test, tables.run_progress) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"commit_sha": "abc"},
        {"platform": "macos"},
        {"repository": "../etc"},
        {"repository": "a/.."},
        {"repository": "a/b/c"},
        {"branch": "a//b"},
        {"pull_request": 0},
        {"regression_test_ids": []},
        {"regression_test_ids": [1, 1]},
        {"regression_test_ids": ["1"]},
        {"more": 1},
    ],
    ids=str,
)
def test_a_wrong_field_is_400(ci: Ci, wrong: dict[str, Any]) -> None:
    ci.test()
    answer = ci.post("/runs", ci.full_token("tess", Role.TESTER), json=WISH | wrong)
    assert problem(answer) == (400, "validation_error")


@pytest.mark.spec("CI-40")
def test_inactive_and_unknown_tests_are_named(ci: Ci) -> None:
    ci.directory("acme/tool", builds=BUILT)
    active, inactive = ci.test("one"), ci.test("two", active=False)
    token = ci.full_token("tess", Role.TESTER)
    wish = WISH | {"regression_test_ids": [active.id, inactive.id, 99]}
    answer = ci.post("/runs", token, json=wish)
    assert problem(answer) == (422, "unprocessable")
    assert answer.json()["details"] == {"inactive_ids": [inactive.id, 99]}


@pytest.mark.spec("CI-39", "CI-9")
def test_lists_are_filtered_sorted_and_paged(ci: Ci, clock: Clock) -> None:
    ci.test()
    for number in range(5):
        ci.queued(platform="windows" if number % 2 else "linux", branch=f"b{number}")
        clock.pass_time(hours=1)
    token = ci.full_token("ann", Role.USER)

    def found(query: str) -> list[int]:
        return [run["run_id"] for run in ci.get(f"/runs?{query}", token).json()["data"]]

    assert found("") == [5, 4, 3, 2, 1]
    assert found("sort=run_id&limit=2&offset=1") == [2, 3]
    assert found("platform=windows&sort=created_at") == [2, 4]
    assert found("branch=b3") == [4]
    assert found("repository=ACME/tool&status=queued&limit=1") == [5]
    assert found("created_after=2030-01-01T14:00:00Z&created_before=2030-01-01T16:00:00%2B01:00") == [4, 3]
    page = ci.get("/runs?limit=2&offset=2", token).json()
    assert page["pagination"] == {"limit": 2, "offset": 2, "total": 5, "next_offset": 4}


@pytest.mark.spec("CI-9")
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 400),
        ("limit=101", 400),
        ("limit=1_0", 400),
        ("offset=-1", 400),
        ("status=done", 400),
        ("unknown=1", 400),
        ("limit=1&limit=2", 400),
        ("cursor=1", 400),
        ("created_after=yesterday", 400),
        ("created_after=2030-01-01T00:00:00", 422),
        ("created_after=2030-01-02T00:00:00Z&created_before=2030-01-01T00:00:00Z", 400),
    ],
)
def test_a_wrong_parameter_is_refused(ci: Ci, query: str, status: int) -> None:
    assert ci.get(f"/runs?{query}", ci.full_token("ann", Role.USER)).status_code == status


@pytest.mark.parametrize("run_id", ["0", "-1", "x", "2147483648", "1.0", "%2B1"])
def test_an_id_that_none_can_have_is_400(ci: Ci, run_id: str) -> None:
    answer = ci.get(f"/runs/{run_id}", ci.full_token("ann", Role.USER))
    assert problem(answer) == (400, "validation_error")


def test_date_filter_keeps_queued_runs(ci: Ci) -> None:
    ci.test()
    ci.queued()
    found = ci.get("/runs?created_after=2030-01-01T12:00:00Z", ci.full_token("ann", Role.USER)).json()
    assert [run["status"] for run in found["data"]] == ["queued"]


@pytest.mark.spec("CI-45")
def test_a_run_is_canceled_once(ci: Ci) -> None:
    ci.test()
    run_id = ci.queued()
    token = ci.full_token("tess", Role.TESTER)
    first = ci.post(f"/runs/{run_id}/cancel", token, json={"reason": "not needed"})
    again = ci.post(f"/runs/{run_id}/cancel", token)
    assert [first.status_code, again.status_code] == [202, 202]
    assert [first.json()["status"], again.json()["status"]] == ["accepted", "no_op"]
    assert ci.get(f"/runs/{run_id}", token).json()["status"] == "canceled"
    (event,) = ci.get(f"/runs/{run_id}/progress", token).json()["data"]
    assert (event["status"], event["step"]) == ("canceled", 1)
    assert "not needed" in event["message"]


@pytest.mark.spec("CI-45")
def test_canceling_is_for_staff(ci: Ci) -> None:
    ci.test()
    answer = ci.post(f"/runs/{ci.queued()}/cancel", ci.full_token("ann", Role.USER))
    assert problem(answer) == (403, "forbidden")
    assert answer.json()["details"] == {
        "reason": "insufficient_role",
        "required_roles": ["admin", "contributor", "tester"],
        "user_role": "user",
    }


def test_the_expected_set_is_frozen(ci: Ci) -> None:
    first = ci.test("one")
    run_id = ci.queued()
    ci.test("two")
    config = ci.get(f"/runs/{run_id}/config", ci.full_token("ann", Role.USER)).json()
    assert config["regression_test_ids"] == [first.id]
