"""What every answer has: one form of error, headers that protect it, and nothing before a token is known."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest
from ci_bed import COMMIT, Ci, OpenCi, problem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from examples.ci_results.enumerations import Platform, Role, RunStatus, TestType
from examples.ci_results.models.tables import repository, run
from examples.ci_results.operations import API, OPERATIONS, Operation

PROTECTING = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
HSTS = "strict-transport-security"
PROXIES = {"CI_TRUSTED_PROXIES": "198.51.100.0/24"}
SAMPLES = 7
BY_PROXY = {"X-Forwarded-Proto": "https"}


def path_of(operation: Operation) -> str:
    """The path with ids that nothing has."""
    return operation.path.format_map(
        dict.fromkeys(
            (
                "run_id",
                "sample_id",
                "regression_id",
                "output_id",
                "regression_test_id",
                "token_id",
                "artifact_id",
            ),
            "999",
        )
    )


def ask(ci: Ci, operation: Operation, token: str | None = None, **more: Any) -> httpx.Response:
    return ci.call(operation.method, path_of(operation), token, **more)


NEEDING = [operation for operation in OPERATIONS if not operation.is_public]
PEOPLES = [operation for operation in NEEDING if operation.path.startswith(API)]
"""Those that a person's token opens."""


@pytest.mark.spec("CI-17")
def test_every_operation_answers_with_security_headers(ci: Ci) -> None:
    tokens = (None, "nonsense", ci.full_token("root", Role.ADMIN))
    for operation, token in itertools.product(OPERATIONS, tokens):
        answer = ask(ci, operation, token)
        assert {name: answer.headers.get(name) for name in PROTECTING} == PROTECTING
        assert HSTS not in answer.headers


@pytest.mark.spec("CI-17")
@pytest.mark.parametrize("path", ["/nothing", "/", "/runs/1/2/3/4"])
def test_paths_that_there_are_not_are_errors_like_others(ci: Ci, path: str) -> None:
    token = ci.full_token("ann", Role.USER)
    assert problem(ci.get(path)) == (401, "unauthorized")
    answer = ci.get(path, token)
    assert problem(answer) == (404, "not_found")
    assert answer.headers["x-frame-options"] == "DENY"
    assert problem(ci.call("PATCH", "/runs", token)) == (405, "method_not_allowed")


@pytest.mark.spec("CI-17")
def test_hsts_only_over_tls(open_ci: OpenCi) -> None:
    plain, trusting, off = open_ci(), open_ci(**PROXIES), open_ci(CI_HSTS="off", **PROXIES)
    assert HSTS not in plain.get("/system/health").headers
    assert HSTS not in plain.get("/system/health", headers=BY_PROXY).headers, "nobody else is believed"
    assert HSTS not in trusting.get("/system/health").headers
    over_tls = trusting.get("/system/health", headers=BY_PROXY)
    assert over_tls.headers[HSTS] == "max-age=31536000; includeSubDomains"
    assert HSTS not in off.get("/system/health", headers=BY_PROXY).headers


@pytest.mark.spec("CI-18")
def test_secret_responses_no_store(ci: Ci) -> None:
    ci.test()
    ci.queued()
    token = ci.full_token("tess", Role.TESTER)
    answers = [
        ci.login("tess"),
        ci.login("nobody"),
        ci.post("/auth/tokens", json={}),
        ci.get("/auth/tokens", token),
        ci.get("/auth/tokens"),
        ci.delete("/auth/tokens/99", token),
        ci.post("/worker/claim", ci.worker(), json={"platform": "linux"}),
        ci.delete("/auth/tokens/current", token),
    ]
    assert {answer.headers.get("cache-control") for answer in answers} == {"no-store"}


@pytest.mark.spec("CI-10")
def test_unhandled_exception_is_json(ci: Ci) -> None:
    """A route really raises, since a part of the service that it uses is not there."""
    token = ci.full_token("ann", Role.USER)
    object.__setattr__(ci.service, "queue", None)
    answer = ci.get("/system/queue", token)
    assert problem(answer) == (500, "internal_error")
    assert answer.json()["details"] == {}
    assert "NoneType" not in answer.text
    assert answer.headers["content-type"] == "application/json"
    assert {name: answer.headers.get(name) for name in PROTECTING} == PROTECTING


@pytest.mark.spec("CI-16")
def test_without_a_token_nothing_is_learnt(ci: Ci) -> None:
    for operation, token in itertools.product(NEEDING, (None, "nonsense")):
        ci.clock.pass_time(seconds=30)
        wrong = path_of(operation).replace("999", "x") + "?unknown=1"
        answers = [ask(ci, operation, token), ci.call(operation.method, wrong, token, content=b"{")]
        assert [problem(answer) for answer in answers] == [(401, "unauthorized")] * 2
        assert answers[0].content == answers[1].content
        assert answers[0].headers["www-authenticate"].startswith("Bearer")


@pytest.mark.spec("CI-16", "CI-27")
def test_without_the_scope_nothing_else_is_looked_at(ci: Ci) -> None:
    ci.person("root", Role.ADMIN)
    for operation in (one for one in NEEDING if one.scope):
        others = {"runs:read", "system:read"} - {operation.scope or ""}
        wrong = path_of(operation).replace("999", "x") + "?unknown=1"
        answer = ci.call(operation.method, wrong, ci.token("root", *sorted(others)), content=b"{")
        assert problem(answer) == (403, "forbidden")
        details = answer.json()["details"]
        assert set(details.pop("token_scopes")) == others
        assert details == {
            "reason": "insufficient_scope",
            "required_scopes": [operation.scope],
            "missing_scopes": [operation.scope],
        }


@pytest.mark.spec("CI-16", "CI-28")
def test_without_the_role_nothing_else_is_looked_at(ci: Ci) -> None:
    """Of the operations that name roles, one has a scope that every role may hold."""
    token = ci.full_token("ann", Role.USER)
    answer = ci.post("/runs/x/cancel?unknown=1", token, content=b"{")
    assert problem(answer) == (403, "forbidden")
    assert answer.json()["details"] == {
        "reason": "insufficient_role",
        "required_roles": ["admin", "contributor", "tester"],
        "user_role": "user",
    }


@pytest.mark.spec("CI-16")
def test_parameters_come_before_existence_and_existence_before_state(ci: Ci) -> None:
    token = ci.full_token("root", Role.ADMIN)
    assert problem(ci.get("/runs/999/progress?status=x", token)) == (400, "validation_error")
    assert problem(ci.get("/runs/999/progress", token)) == (404, "not_found")
    body = {"regression_id": 1, "output_id": 1}
    assert problem(ci.post("/runs/999/samples/1/baseline-approval", token, json=body)) == (404, "not_found")


@pytest.mark.spec("CI-20")
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("Authorization", "Bearer {}"),
        ("authorization", "bEARER {}"),
        ("X-API-Key", "{}"),
        ("x-api-KEY", "{}"),
    ],
)
def test_a_token_is_presented_in_either_header(ci: Ci, name: str, form: str) -> None:
    token = ci.full_token("ann", Role.USER)
    assert ci.get("/runs", headers={name: form.format(token)}).status_code == 200


@pytest.mark.spec("CI-20")
def test_two_credentials_are_ambiguous_and_none_is_read_from_the_query(ci: Ci) -> None:
    token = ci.full_token("ann", Role.USER)
    assert problem(ci.get("/runs", token, headers={"X-API-Key": token})) == (400, "ambiguous_credentials")
    for path in (f"/runs?api_key={token}", f"/runs?token={token}", f"/runs?access_token={token}"):
        assert ci.get(path).status_code in (400, 401)


@pytest.mark.spec("CI-8")
def test_times_are_utc_to_the_second(ci: Ci) -> None:
    ci.test()
    made = ci.get(f"/runs/{ci.queued()}", ci.full_token("ann", Role.USER)).json()
    assert made["created_at"] == made["queued_at"] == "2030-01-01T12:00:00Z"


@pytest.mark.spec("CI-8")
@pytest.mark.parametrize("wrong", ["0", "-1", "x", "2147483648", "1.0", "01"])
def test_an_id_that_none_can_have_is_400(ci: Ci, wrong: str) -> None:
    token = ci.full_token("root", Role.ADMIN)
    for operation in (one for one in PEOPLES if "{" in one.path):
        path = path_of(operation).replace("999", wrong, 1)
        assert problem(ci.call(operation.method, path, token)) == (400, "validation_error")


@pytest.mark.spec("CI-12", "CI-14")
def test_an_unknown_parameter_is_400(ci: Ci) -> None:
    token = ci.full_token("root", Role.ADMIN)
    for operation in PEOPLES:
        answer = ci.call(operation.method, path_of(operation) + "?unknown=1", token, **_body(operation))
        assert answer.status_code == 400, answer.text
        assert "unknown" in answer.json()["details"]["fields"]


def _body(operation: Operation) -> dict[str, Any]:
    bodies = {
        "create_run": {"commit_sha": COMMIT, "platform": "linux", "repository": "acme/tool"},
        "approve_baseline": {"regression_id": 1, "output_id": 1},
    }
    return {"json": bodies[operation.name]} if operation.name in bodies else {}


@pytest.mark.spec("CI-13", "CI-81")
def test_status_filter_beyond_1000(ci: Ci) -> None:
    with ci.service.database.write() as connection:
        connection.execute(insert(repository), {"id": 1, "url": "Acme/Tool"})
        row = {
            "platform": Platform.LINUX,
            "test_type": TestType.COMMIT,
            "repository_id": 1,
            "branch": "master",
            "commit_sha": COMMIT,
            "created_at": ci.clock(),
        }
        statuses = list(RunStatus)
        rows = [{**row, "status": statuses[number % len(statuses)]} for number in range(1500)]
        connection.execute(insert(run), rows)
    token = ci.full_token("ann", Role.USER)
    for status in RunStatus:
        page = ci.get(f"/runs?status={status}&limit=1&offset=200", token).json()
        expected = sum(one["status"] is status for one in rows)
        assert page["pagination"]["total"] == expected
        assert page["data"][0]["status"] == status


@pytest.fixture
def few(ci: Ci) -> Ci:
    """A service with seven samples, and somebody who looks at them."""
    ci.person("ann")
    for number in range(SAMPLES):
        ci.test(f"sample {number}")
    return ci


@pytest.mark.spec("CI-13")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 100), offset=st.integers(0, 2 * SAMPLES) | st.just(2**31 - 1))
def test_pages_follow_one_another_and_lose_nothing(few: Ci, limit: int, offset: int) -> None:
    token = few.token("ann", "runs:read")
    found, following = [], offset
    while following is not None:
        page = few.get(f"/samples?limit={limit}&offset={following}", token).json()
        said = page["pagination"]
        assert (said["limit"], said["offset"], said["total"]) == (limit, following, SAMPLES)
        assert len(page["data"]) == min(limit, max(0, SAMPLES - following))
        found += [one["sample_id"] for one in page["data"]]
        following = said["next_offset"]
    assert found == list(range(1, SAMPLES + 1))[offset:]


@pytest.mark.spec("CI-1", "CI-7")
@pytest.mark.parametrize(
    "path",
    [
        "/runs?branch=",
        "/runs/1/samples?name=",
        "/runs/1/samples?tag=",
        "/runs/1/samples?category=",
        "/samples?name=",
        "/samples?tag=",
        "/samples/1/history?branch=",
        "/regression-tests?category=",
        "/regression-tests?tag=",
    ],
)
def test_a_text_that_a_database_cannot_hold_is_no_valid_one(ci: Ci, path: str) -> None:
    token = ci.full_token("ann", Role.USER)
    assert problem(ci.get(f"{path}a%00b", token)) == (400, "validation_error")


@pytest.mark.spec("CI-1", "CI-7")
def test_a_body_holds_no_text_that_a_database_cannot_hold(ci: Ci) -> None:
    ci.test()
    ci.queued()
    token = ci.full_token("root", Role.ADMIN)
    canceled = ci.post("/runs/1/cancel", token, json={"reason": "because\0"})
    reported = ci.claim().report("progress", status="preparation", message="a\0b")
    logged_in = ci.post("/auth/tokens", json={"email": "a\0b", "password": "x" * 8, "token_name": "t"})
    for answer in (canceled, reported, logged_in):
        assert problem(answer) == (400, "validation_error")
