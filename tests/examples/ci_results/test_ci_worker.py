"""Workers: a run is claimed once, reported on with its own key, and ends for good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ci_bed import Ci, Clock, RegressionTest, digest, problem

from examples.ci_results.enumerations import Role
from examples.ci_results.models.samples import HistoryFilter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


def stored(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def status(ci: Ci, run_id: int) -> str:
    return str(ci.service.runs.get(run_id).status)


def test_a_run_goes_from_the_queue_to_its_end(ci: Ci) -> None:
    test = ci.test("one", outputs={"a.txt": "a\n", "b.srt": "b\n"}, expected_rc=3)
    run_id = ci.queued()
    answer = ci.post("/worker/claim", ci.worker(), json={"platform": "linux"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["run_id"], body["repository"]) == (run_id, "Acme/Tool")
    assert body["tests"] == [
        {
            "test_id": test.id,
            "command": "convert one",
            "input_type": "file",
            "output_type": "file",
            "expected_rc": 3,
            "sample_sha": digest("sample one"),
            "sample_extension": "ts",
            "outputs": [
                {
                    "test_file_id": test.outputs[name],
                    "expected_hash": digest(f"{name[0]}\n"),
                    "extension": Path(name).suffix,
                    "ignored": False,
                }
                for name in ("a.txt", "b.srt")
            ],
        }
    ]
    assert ci.post("/worker/claim", ci.worker(), json={"platform": "linux"}).status_code == 204


def test_the_oldest_run_of_the_platform_is_claimed(ci: Ci, clock: Clock) -> None:
    ci.test()
    windows, first, second = ci.queued(platform="windows"), ci.queued(), ci.queued()
    assert [ci.claim().id, ci.claim().id, ci.claim("windows").id] == [first, second, windows]


def test_a_run_whose_tests_all_pass_passes(ci: Ci) -> None:
    test = ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    assert status(ci, run.id) == "running"
    run.finish(test)
    assert run.complete().json() == {"result": "OK"}
    assert status(ci, run.id) == "pass"


@pytest.mark.spec("CI-42")
def test_missing_output_is_not_pass(ci: Ci) -> None:
    test = ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    run.finish(test, matching=False)
    run.complete()
    summary = ci.get(f"/runs/{run.id}/summary", ci.full_token("ann", Role.USER)).json()
    assert (summary["status"], summary["missing_output_count"], summary["pass_count"]) == ("fail", 1, 0)
    assert summary["error_count"] == 1


def test_partial_run_is_error_not_pass(ci: Ci) -> None:
    tests = [ci.test(f"t{number}") for number in range(237)]
    ci.queued()
    run = ci.claim()
    run.begin()
    run.finish(tests[0])
    run.complete()
    summary = ci.get(f"/runs/{run.id}/summary", ci.full_token("ann", Role.USER)).json()
    assert (summary["status"], summary["total_samples"]) == ("error", 237)
    assert (summary["pass_count"], summary["skipped_count"]) == (1, 236)


def test_what_a_test_produced_is_kept_by_its_content(ci: Ci, folder: Path) -> None:
    test = ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    place = {"test_id": test.id, "test_file_id": test.outputs["out.txt"]}
    assert run.report("upload", b"actual\n", **place).status_code == 200
    assert run.report("upload", b"actual\n", **place).status_code == 200
    assert problem(run.report("upload", b"other\n", **place)) == (409, "conflict")
    assert problem(run.report("equality", **place)) == (409, "conflict")
    assert stored(folder) == {f"TestResults/{digest('actual' + chr(10))}.txt"}
    run.finish(test, matching=False)
    run.complete()
    assert status(ci, run.id) == "fail"


def test_an_upload_of_what_was_expected_matches(ci: Ci) -> None:
    test = ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    run.report("upload", b"expected\n", test_id=test.id, test_file_id=test.outputs["out.txt"])
    run.finish(test, matching=False)
    run.complete()
    assert status(ci, run.id) == "pass"


def test_late_worker_report_is_refused(ci: Ci, folder: Path) -> None:
    test = ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    before = ci.service.runs.get(run.id)
    ci.service.leases.end = lambda _: None  # as if the key still worked
    ci.post(f"/runs/{run.id}/cancel", ci.full_token("tess", Role.TESTER))
    place = {"test_id": test.id, "test_file_id": test.outputs["out.txt"]}
    for answer in (
        run.complete(),
        run.report("equality", **place),
        run.report("upload", b"late\n", **place),
        run.report("logupload", b"late\n"),
        run.report("finish", test_id=test.id, runTime=1, exitCode=0),
    ):
        assert problem(answer) == (409, "conflict")
        assert answer.json()["details"]["result"] == "FAIL"
    assert before.is_terminal is False
    assert status(ci, run.id) == "canceled"
    assert stored(folder) == set()


def test_a_run_key_ends_with_its_run(ci: Ci) -> None:
    test = ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    run.finish(test)
    run.complete()
    assert problem(run.complete()) == (401, "unauthorized")


def test_a_key_of_another_run_is_403(ci: Ci) -> None:
    ci.test()
    ci.queued()
    ci.queued()
    first, second = ci.claim(), ci.claim()
    first.id = second.id
    assert problem(first.complete()) == (403, "forbidden")


def test_a_run_key_opens_nothing_else_and_a_token_nothing_of_workers(ci: Ci) -> None:
    ci.test()
    ci.queued()
    run = ci.claim()
    assert problem(ci.get("/runs", run.key)) == (401, "unauthorized")
    admin = ci.full_token("root", Role.ADMIN)
    assert problem(ci.post("/worker/claim", admin, json={"platform": "linux"})) == (403, "forbidden")
    run.key = admin
    assert problem(run.complete()) == (403, "forbidden")


def test_a_run_whose_key_expired_is_canceled_by_the_service(ci: Ci, clock: Clock) -> None:
    ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    clock.pass_time(hours=24)
    ci.post("/worker/claim", ci.worker(), json={"platform": "linux"})
    assert status(ci, run.id) == "canceled"
    (*_, event) = ci.get(f"/runs/{run.id}/progress", ci.full_token("ann", Role.USER)).json()["data"]
    assert event["status"] == "canceled"


@pytest.mark.parametrize(
    ("kind", "fields", "status", "file"),
    [
        ("progress", {"status": "resting", "message": "m"}, 400, None),
        ("progress", {"status": "testing"}, 400, None),
        ("progress", {"status": "testing", "message": "m" * 501}, 400, None),
        ("progress", {"status": "testing", "message": "m", "more": 1}, 400, None),
        ("progress", {"status": "testing", "message": "m"}, 400, b"file"),
        ("dance", {}, 400, None),
        ("finish", {"test_id": 1, "runTime": -1, "exitCode": 0}, 400, None),
        ("finish", {"test_id": 1, "runTime": 1, "exitCode": 2**31}, 400, None),
        ("finish", {"test_id": 99, "runTime": 1, "exitCode": 0}, 422, None),
        ("equality", {"test_id": 1, "test_file_id": 99}, 422, None),
        ("upload", {"test_id": 1, "test_file_id": 1}, 400, b""),
        ("upload", {"test_id": 1, "test_file_id": 1}, 400, None),
        ("artifactupload", {"artifact_type": "virus"}, 400, b"x"),
    ],
)
def test_a_wrong_report_is_refused(
    ci: Ci, kind: str, fields: dict[str, Any], status: int, file: bytes | None
) -> None:
    ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    answer = run.report(kind, file, **fields)
    assert answer.status_code == status
    is_empty = kind == "upload" and status == 400
    assert answer.json()["details"]["result"] == ("EMPTY" if is_empty else "FAIL")


def test_a_stage_is_never_gone_back_to(ci: Ci) -> None:
    ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    assert problem(run.report("progress", status="preparation", message="again")) == (409, "conflict")
    assert run.report("progress", status="testing", message="more").status_code == 200
    steps = ci.get(f"/runs/{run.id}/progress", ci.full_token("ann", Role.USER)).json()["data"]
    assert [one["step"] for one in steps] == [1, 2, 3]


@pytest.mark.spec("CI-46")
def test_a_run_says_when_it_was_queued_when_testing_began_and_when_it_ended(ci: Ci, clock: Clock) -> None:
    test = ci.test()
    run_id = ci.queued()
    token = ci.full_token("ann", Role.USER)
    clock.pass_time(minutes=1)
    run = ci.claim()
    run.begin()
    clock.pass_time(minutes=2)
    run.report("progress", status="testing", message="still")
    run.finish(test)
    before = ci.get(f"/runs/{run_id}", token).json()
    run.complete()
    after = ci.get(f"/runs/{run_id}", token).json()
    assert before["completed_at"] is None
    times = [after[name] for name in ("created_at", "queued_at", "started_at", "completed_at")]
    assert [time[11:19] for time in times] == ["12:00:00", "12:00:00", "12:01:00", "12:03:00"]
    assert ci.get(f"/runs/{run_id}/summary", token).json()["duration_ms"] == 120_000


def signature(ci: Ci, test: RegressionTest) -> str | None:
    """What is said of the latest run of a test."""
    history = ci.service.samples.history(test.sample_id, HistoryFilter(), limit=1, offset=0)
    return history[0][0].failure_signature


@pytest.mark.spec("CI-54")
def test_an_output_that_differs_has_its_signature(ci: Ci) -> None:
    test = ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    assert signature(ci, test) is None
    run.report("upload", b"actual\n", test_id=test.id, test_file_id=test.outputs["out.txt"])
    run.finish(test, matching=False)
    assert signature(ci, test) == f"diff_mismatch:output:{test.outputs['out.txt']}"
