"""Limits: each class apart, in windows that slide, once for all processes, and said on every answer."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from ci_bed import Ci, Clock, OpenCi, problem
from ci_sharing import ask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples.ci_results.enumerations import Role
from examples.ci_results.operations import Bucket
from examples.ci_results.service import MAX_COUNTED, open_verifier
from keyrack import Limit

SPAWN = multiprocessing.get_context("spawn")
SAID = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit", "ratelimit-policy")
PROXY = {"CI_TRUSTED_PROXIES": "198.51.100.0/24, 10.0.0.0/8"}

Asking = Callable[[Ci], Callable[[], httpx.Response]]


def logging_in(ci: Ci) -> Callable[[], httpx.Response]:
    return lambda: ci.post("/auth/tokens", json={})


def reading(ci: Ci) -> Callable[[], httpx.Response]:
    token = ci.full_token("ann", Role.USER)
    return lambda: ci.get("/runs/1/config", token)


def writing(ci: Ci) -> Callable[[], httpx.Response]:
    token = ci.full_token("ann", Role.USER)
    return lambda: ci.post("/runs", token, json={})


def deleting(ci: Ci) -> Callable[[], httpx.Response]:
    token = ci.full_token("ann", Role.USER)
    return lambda: ci.delete("/auth/tokens/99", token)


def looking_at_health(ci: Ci) -> Callable[[], httpx.Response]:
    return lambda: ci.get("/system/health")


def failing(ci: Ci) -> Callable[[], httpx.Response]:
    return lambda: ci.get("/runs", "nonsense")


def missing(ci: Ci) -> Callable[[], httpx.Response]:
    return lambda: ci.get("/runs")


@pytest.mark.spec("CI-92", "CI-94")
@pytest.mark.parametrize(
    ("asking", "limit", "window"),
    [
        (logging_in, 5, 900),
        (reading, 120, 60),
        (writing, 20, 60),
        (deleting, 20, 60),
        (looking_at_health, 120, 60),
        (failing, 120, 60),
        (missing, 120, 60),
    ],
)
def test_a_class_has_its_limit(ci: Ci, clock: Clock, asking: Asking, limit: int, window: int) -> None:
    call = asking(ci)
    started = int(clock().timestamp())
    first = call()
    assert first.status_code != 429
    assert first.headers["x-ratelimit-limit"] == str(limit)
    assert first.headers["x-ratelimit-remaining"] == str(limit - 1)
    assert first.headers["x-ratelimit-reset"] == str(started + window)
    clock.pass_time(seconds=10)
    assert 429 not in {call().status_code for _ in range(limit - 1)}
    refused = call()
    assert problem(refused) == (429, "rate_limited")
    assert refused.json()["details"] == {"retry_after": window - 10, "limit": limit, "window": window}
    assert refused.headers["retry-after"] == str(window - 10)
    assert refused.headers["x-ratelimit-remaining"] == "0"
    clock.pass_time(seconds=window - 10)
    assert call().status_code != 429


@pytest.mark.spec("CI-92")
def test_each_token_and_each_address_has_a_limit_of_its_own(ci: Ci) -> None:
    ann, tess = ci.full_token("ann", Role.USER), ci.full_token("tess", Role.TESTER)
    for _ in range(120):
        ci.get("/runs/1/config", ann)
        ci.get("/runs")
    assert ci.get("/runs", ann).status_code == ci.get("/runs").status_code == 429
    assert ci.get("/runs", tess).status_code == 200


@pytest.mark.spec("CI-92")
def test_workers_have_a_class_of_their_own(ci: Ci) -> None:
    ci.test()
    ci.queued()
    run, key = ci.claim(), ci.worker()
    answers = [ci.post("/worker/claim", key, json={}) for _ in range(3)]
    answers.append(run.report("progress", status="testing", message="m"))
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1199", "1198", "1197", "1199"]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"worker";q=1200;w=60'}


@pytest.mark.spec("CI-92")
def test_reads_do_not_spend_writes(ci: Ci) -> None:
    token = ci.full_token("ann", Role.USER)
    for _ in range(20):
        assert ci.get("/runs/1/config", token).status_code == 404
    for _ in range(20):
        assert ci.post("/runs", token, json={}).status_code == 400
    assert ci.post("/runs", token, json={}).status_code == 429
    assert ci.get("/runs/1/config", token).status_code == 404


@pytest.mark.spec("CI-92")
def test_public_requests_do_not_reset_login(ci: Ci) -> None:
    for _ in range(5):
        assert ci.login("nobody").status_code == 401
    for _ in range(20):
        assert ci.get("/system/health").status_code == 200
    assert problem(ci.login("nobody")) == (429, "rate_limited")


@pytest.mark.spec("CI-16", "CI-92")
def test_what_a_scope_forbids_spends_nothing(ci: Ci) -> None:
    ci.person("ann", Role.ADMIN)
    token = ci.token("ann", "runs:read")
    for _ in range(25):
        refused = ci.post("/runs", token, json={})
        assert (refused.status_code, refused.headers["x-ratelimit-remaining"]) == (403, "20")


@pytest.mark.spec("CI-93")
def test_window_boundary_burst(ci: Ci, clock: Clock) -> None:
    token = ci.full_token("ann", Role.USER)
    clock.pass_time(seconds=59)
    assert {ci.get("/runs/1/config", token).status_code for _ in range(120)} == {404}
    for _ in range(59):
        clock.pass_time(seconds=1)
        assert ci.get("/runs/1/config", token).status_code == 429
    clock.pass_time(seconds=1)
    assert ci.get("/runs/1/config", token).status_code == 404


@pytest.mark.spec("CI-93")
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gaps=st.lists(st.integers(0, 400), min_size=6, max_size=25))
def test_in_no_window_are_more_admitted_than_the_limit(ci: Ci, clock: Clock, gaps: list[int]) -> None:
    clock.pass_time(hours=1)
    limit = Bucket.LOGIN.value
    admitted: list[float] = []
    for gap in gaps:
        clock.pass_time(seconds=gap)
        now = clock().timestamp()
        recent = [at for at in admitted if at > now - limit.window_seconds]
        if ci.post("/auth/tokens", json={}).status_code != 429:
            assert len(recent) < limit.limit
            admitted.append(now)
        else:
            assert len(recent) == limit.limit, "a request was refused for which there was room"


def stored(open_ci: OpenCi, folder: Path, **changed: str) -> dict[str, str]:
    """Variables of a service whose keys, and limits, are in a file."""
    with open_ci() as first:
        variables = {**first.variables, "KEYRACK_STORE": f"sqlite:///{folder}/keys.db", **changed}
        made = first.settings.read(variables)
        open_verifier(made, first.clock, create=True).close()
    return variables


@pytest.mark.spec("CI-93")
def test_processes_share_limit(open_ci: OpenCi, tmp_path: Path) -> None:
    variables = stored(open_ci, tmp_path)
    admitted = SPAWN.SimpleQueue()
    processes = [SPAWN.Process(target=ask, args=(admitted, variables, 31)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert sum(admitted.get() for _ in processes) == 120


@pytest.mark.spec("CI-93")
def test_while_nothing_can_be_counted_requests_are_503(open_ci: OpenCi, tmp_path: Path) -> None:
    ci = open_ci(**stored(open_ci, tmp_path))
    token = ci.full_token("ann", Role.USER)
    with closing(sqlite3.connect(tmp_path / "keys.db.limits")) as other:
        other.execute("BEGIN IMMEDIATE")
        for answer in (ci.get("/runs", token), ci.get("/system/health"), ci.login("ann"), ci.get("/runs")):
            assert problem(answer) == (503, "unavailable")
    assert ci.get("/runs", token).status_code == 200


@pytest.mark.spec("CI-94")
def test_every_answer_says_what_is_left(ci: Ci) -> None:
    user, admin, worker = ci.full_token("ann", Role.USER), ci.full_token("root", Role.ADMIN), ci.worker()
    answers = {
        200: ci.get("/runs", user),
        201: (ci.person("bob"), ci.login("bob"))[1],
        204: ci.delete("/auth/tokens/current", ci.token("bob")),
        400: ci.get("/runs?x=1", user),
        401: ci.get("/runs"),
        403: ci.get("/auth/tokens", user),
        404: ci.get("/runs/9", user),
        405: ci.call("PUT", "/runs", user),
        413: ci.post("/runs", admin, content=b" " * 70_000, headers={"content-type": "application/json"}),
        415: ci.post("/runs", admin, content=b"x"),
        422: ci.get("/runs?created_after=2030-01-01T00:00:00", user),
    }
    assert {status: answer.status_code for status, answer in answers.items()} == {
        status: status for status in answers
    }
    more = [
        ci.get("/nothing", user),
        ci.get("/nothing"),
        ci.get("/runs", user, headers={"X-API-Key": user}),
        ci.get(f"/runs?api_key={user}"),
        ci.post("/runs/1/cancel", user),
        ci.post("/worker/claim", worker, json={"platform": "linux"}),
        ci.post("/worker/claim", user, json={"platform": "linux"}),
        ci.post("/progress-reporter/1", worker),
    ]
    for answer in (*answers.values(), *more):
        assert [name for name in SAID if name not in answer.headers] == [], answer.text


@pytest.mark.spec("CI-95")
def test_at_most_ten_thousand_limits_are_counted(ci: Ci) -> None:
    limit = Limit("few", 1, 60)
    charge = ci.service.verifier.charge
    admitted = sum(charge(f"address/{number}", [limit]).ok for number in range(MAX_COUNTED + 300))
    assert MAX_COUNTED == 10_000
    assert admitted == MAX_COUNTED * 99 // 100 + 1, "all others share one bucket"
    assert not charge("address/0", [limit]).ok, "a live bucket is kept"


@pytest.mark.spec("CI-96")
def test_limits_are_turned_off_by_their_setting_alone(
    open_ci: OpenCi, caplog: pytest.LogCaptureFixture
) -> None:
    ci = open_ci(CI_RATE_LIMIT="off")
    assert "CI_RATE_LIMIT is off" in caplog.text
    assert {logging_in(ci)().status_code for _ in range(10)} == {400}


@pytest.mark.spec("CI-96", "CI-7")
@pytest.mark.parametrize("flag", ["TESTING", "CI_TESTING", "DEBUG", "CI_DEBUG", "PYTEST_CURRENT_TEST", "CI"])
def test_limiter_independent_of_test_mode(
    open_ci: OpenCi, monkeypatch: pytest.MonkeyPatch, flag: str, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(flag, "1")
    ci = open_ci(**{flag: "1"})
    assert caplog.text == ""
    call = logging_in(ci)
    assert [call().status_code for _ in range(6)] == [400] * 5 + [429]


@pytest.mark.spec("CI-97")
@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("203.0.113.1", "203.0.113.2", False),
        ("203.0.113.1", "203.0.113.9, 203.0.113.1", True),
        ("203.0.113.1", "203.0.113.1, 10.0.0.7", True),
        ("203.0.113.1, 10.0.0.7", "203.0.113.2, 10.0.0.7", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
    ],
)
def test_an_address_is_read_from_right_to_left_through_trusted_proxies(
    open_ci: OpenCi, first: str, second: str, is_same: bool
) -> None:
    ci = open_ci(**PROXY)
    for _ in range(5):
        ci.post("/auth/tokens", json={}, headers={"X-Forwarded-For": first})
    answer = ci.post("/auth/tokens", json={}, headers={"X-Forwarded-For": second})
    assert (answer.status_code == 429) is is_same


@pytest.mark.spec("CI-97")
def test_nobody_else_is_believed_about_addresses(ci: Ci) -> None:
    statuses = [
        ci.post("/auth/tokens", json={}, headers={"X-Forwarded-For": f"203.0.113.{number}"}).status_code
        for number in range(6)
    ]
    assert statuses == [400] * 5 + [429]
