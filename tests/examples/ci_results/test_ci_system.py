"""The queue, the health, and the files of runs as they are listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ci_bed import Ci, Claimed, Clock, problem
from output_bed import NAME, keep
from sqlalchemy import text

from examples.ci_results.enumerations import Role
from examples.ci_results.models import catalogue
from examples.ci_results.models.catalogue import NewOutput, NewTest

DEPENDENCIES = ["database", "key_store", "local_storage"]


@pytest.fixture
def token(ci: Ci) -> str:
    return ci.full_token("ann", Role.USER)


def health(ci: Ci, token: str | None = None) -> tuple[int, str, dict[str, str]]:
    """The status of the answer, of all, and of each part that is shown."""
    answer = ci.get("/system/health", token)
    body = answer.json()
    assert set(body) == {"status", "checked_at", "dependencies"}
    assert body["checked_at"] == "2030-01-01T12:00:00Z"
    assert all(set(part) == {"name", "status", "message"} for part in body["dependencies"])
    return answer.status_code, body["status"], {one["name"]: one["status"] for one in body["dependencies"]}


def break_database(ci: Ci) -> None:
    with ci.service.database.write() as connection:
        connection.execute(text("ALTER TABLE run RENAME TO gone"))


@pytest.mark.spec("CI-70", "CI-73")
def test_health_is_public_and_its_details_are_not(ci: Ci, token: str) -> None:
    ci.person("bob")
    assert health(ci) == (200, "ok", {})
    assert health(ci, ci.token("bob", "runs:read")) == (200, "ok", {})
    assert health(ci, token) == (200, "ok", dict.fromkeys(DEPENDENCIES, "ok"))
    assert problem(ci.get("/system/health", f"{token[:-1]}-")) == (401, "unauthorized")
    assert problem(ci.get("/system/health", "nonsense")) == (401, "unauthorized")


@pytest.mark.spec("CI-70", "CI-73")
def test_a_failing_database_is_down(ci: Ci, token: str) -> None:
    break_database(ci)
    assert health(ci) == (503, "down", {})
    status, all_of_it, parts = health(ci, token)
    assert (status, all_of_it) == (503, "down")
    assert parts == {"database": "down", "key_store": "ok", "local_storage": "ok"}


@pytest.mark.spec("CI-73")
def test_a_key_store_that_decides_nothing_is_down(ci: Ci) -> None:
    ci.service.verifier.follower.max_stale = -1.0
    status, all_of_it, _ = health(ci)
    assert (status, all_of_it) == (503, "down")
    parts = {part.name: part.status for part in ci.service.health.check().dependencies}
    assert parts == {"database": "ok", "key_store": "down", "local_storage": "ok"}


@pytest.mark.spec("CI-70", "CI-73")
def test_a_failing_file_storage_is_degraded(ci: Ci, token: str, tmp_path: Path) -> None:
    (tmp_path / "files").rename(tmp_path / "away")
    assert health(ci) == (200, "degraded", {})
    status, all_of_it, parts = health(ci, token)
    assert (status, all_of_it) == (200, "degraded")
    assert parts == {"database": "ok", "key_store": "ok", "local_storage": "degraded"}
    shown = ci.get("/system/health", token).json()["dependencies"]
    assert [bool(part["message"]) for part in shown] == [part["status"] != "ok" for part in shown]


@pytest.mark.spec("CI-73")
def test_a_failing_mirror_is_degraded(open_ci: Callable[..., Ci], tmp_path: Path) -> None:
    ci = open_ci(CI_STORAGE_MIRROR_URL=f"file:{tmp_path / 'mirror'}")
    assert health(ci) == (200, "ok", {})
    (tmp_path / "mirror").rmdir()
    assert health(ci) == (200, "degraded", {})


@pytest.mark.spec("CI-73")
def test_livez_touches_nothing(ci: Ci) -> None:
    break_database(ci)
    ci.service.verifier.follower.max_stale = -1.0
    answer = ci.get("/livez")
    assert (answer.status_code, answer.content) == (200, b"")


def queue(ci: Ci, token: str, query: str = "") -> list[tuple[Any, ...]]:
    """What each row of the queue shows."""
    rows = ci.get(f"/system/queue?{query}", token).json()["data"]
    return [(row["run_id"], row["status"], row["platform"], row["position"]) for row in rows]


@pytest.fixture
def six(ci: Ci, clock: Clock) -> dict[str, Claimed]:
    """Six runs, in turn of linux and of windows; the first of each platform runs, the others wait."""
    ci.test()
    for number in range(6):
        ci.queued(platform="windows" if number % 2 else "linux")
        clock.pass_time(seconds=10)
    running = {platform: ci.claim(platform) for platform in ("linux", "windows")}
    for run in running.values():
        run.begin()
    return running


@pytest.mark.spec("CI-71", "CI-74")
def test_positions_are_ranks_among_the_queued_of_a_platform(
    ci: Ci, token: str, six: dict[str, Claimed]
) -> None:
    whole = [
        (1, "running", "linux", None),
        (2, "running", "windows", None),
        (3, "queued", "linux", 1),
        (4, "queued", "windows", 1),
        (5, "queued", "linux", 2),
        (6, "queued", "windows", 2),
    ]
    assert queue(ci, token) == whole
    assert queue(ci, token, "limit=1&offset=4") == whole[4:5]
    assert queue(ci, token, "platform=windows") == whole[1::2]
    assert queue(ci, token, "status=queued") == whole[2:]
    assert queue(ci, token, "status=running&platform=linux") == whole[:1]
    six["linux"].complete()
    assert queue(ci, token) == whole[1:]
    ci.post("/runs/3/cancel", ci.full_token("tess", Role.TESTER))
    assert queue(ci, token, "platform=linux") == [(5, "queued", "linux", 1)]


@pytest.mark.spec("CI-71", "CI-74")
def test_the_depth_of_the_queue_respects_the_platform(ci: Ci, token: str, six: dict[str, Claimed]) -> None:
    for query, waiting, running, total in (
        ("", 4, 2, 6),
        ("platform=linux", 2, 1, 3),
        ("status=queued", 4, 2, 4),
        ("status=running&platform=windows", 2, 1, 1),
        ("limit=1", 4, 2, 6),
    ):
        body = ci.get(f"/system/queue?{query}", token).json()
        assert (body["queue_depth"], body["running_count"]) == (waiting, running), query
        assert body["pagination"]["total"] == total, query


@pytest.mark.spec("CI-71")
def test_a_row_of_the_queue_says_since_when(ci: Ci, token: str, six: dict[str, Claimed]) -> None:
    running, *_, waiting = ci.get("/system/queue", token).json()["data"]
    assert (running["queued_at"], running["started_at"]) == ("2030-01-01T12:00:00Z", "2030-01-01T12:01:00Z")
    assert (waiting["queued_at"], waiting["started_at"]) == ("2030-01-01T12:00:50Z", None)


@pytest.mark.spec("CI-12", "CI-71")
@pytest.mark.parametrize("query", ["status=pass", "platform=macos", "cursor=1", "limit=0", "branch=b"])
def test_a_wrong_query_of_the_queue_is_400(ci: Ci, token: str, query: str) -> None:
    assert problem(ci.get(f"/system/queue?{query}", token)) == (400, "validation_error")


@pytest.mark.spec("CI-43", "CI-86")
def test_progress_step_is_filled(ci: Ci, token: str) -> None:
    ci.test()
    ci.queued()
    other, run = ci.queued(), ci.claim()
    run.begin()
    run.report("progress", status="testing", message="half way")
    path = f"/runs/{run.id}/progress"
    assert [row["step"] for row in ci.get(path, token).json()["data"]] == [1, 2, 3]
    testing = ci.get(f"{path}?status=testing&limit=1&offset=1", token).json()
    assert [(row["step"], row["message"]) for row in testing["data"]] == [(3, "half way")]
    ci.post(f"/runs/{other}/cancel", ci.full_token("tess", Role.TESTER))
    assert [row["step"] for row in ci.get(f"/runs/{other}/progress", token).json()["data"]] == [1]


def with_files(ci: Ci) -> Claimed:
    """A run that has a file of every type, of a test whose id is not that of its sample."""
    sample_id = ci.test("one", active=False).sample_id
    kept = keep(ci, b"expected\n")
    with ci.service.database.write() as connection:
        test_id = catalogue.add_test(connection, NewTest(sample_id, "convert it in another way"))
        output_id = catalogue.add_output(connection, test_id, NewOutput(kept, ".txt", NAME))
    ci.queued()
    run = ci.claim()
    run.begin()
    run.report("upload", b"actual\n", test_id=test_id, test_file_id=output_id)
    run.report("logupload", b"run log\n")
    run.report("logupload", b"test log\n", test_id=test_id)
    for kind in ("binary", "coredump", "combined_stdout"):
        assert run.report("artifactupload", kind.encode(), artifact_type=kind).status_code == 200
    assert test_id != sample_id
    return run


@pytest.mark.spec("CI-72", "CI-75")
def test_artifact_sample_id_and_type(ci: Ci, token: str) -> None:
    run = with_files(ci)
    rows = ci.get(f"/runs/{run.id}/artifacts", token).json()["data"]
    names = ("type", "sample_id", "filename", "size_bytes")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("expected_output", 1, NAME, 9),
        ("actual_output", 1, NAME, 7),
        ("build_log", None, f"{run.id}.txt", 8),
        ("sample_log", 1, "2.txt", 9),
        ("binary", None, "binary", 6),
        ("coredump", None, "coredump", 8),
        ("combined_stdout", None, "combined_stdout.log", 15),
    ]
    for row in rows:
        assert set(row) == {
            *("artifact_id", "run_id", "content_type", "storage_status", "download_url"),
            *names,
        }
        assert (row["run_id"], row["storage_status"]) == (run.id, "ok")
        of_its_type = ci.get(f"/runs/{run.id}/artifacts?type={row['type']}", token).json()
        assert (of_its_type["data"], of_its_type["pagination"]["total"]) == ([row], 1)


@pytest.mark.spec("CI-72")
def test_artifacts_are_paged_and_a_file_that_is_sent_again_stays_one(ci: Ci, token: str) -> None:
    run = with_files(ci)
    path = f"/runs/{run.id}/artifacts"
    whole = ci.get(path, token).json()["data"]
    pages = [ci.get(f"{path}?limit=3&offset={offset}", token).json()["data"] for offset in (0, 3, 6)]
    assert [row for page in pages for row in page] == whole
    run.report("logupload", b"a longer run log\n")
    (again,) = ci.get(f"{path}?type=build_log", token).json()["data"]
    assert (again["artifact_id"], again["size_bytes"]) == (whole[2]["artifact_id"], 17)


@pytest.mark.spec("CI-72", "CI-12")
def test_artifacts_of_no_run_or_no_type_are_refused(ci: Ci, token: str) -> None:
    assert problem(ci.get("/runs/99/artifacts", token)) == (404, "not_found")
    for query in ("type=virus", "cursor=0", "limit=101"):
        assert problem(ci.get(f"/runs/99/artifacts?{query}", token)) == (400, "validation_error")


@pytest.mark.spec("CI-70", "CI-71", "CI-72")
def test_the_system_needs_its_scopes(ci: Ci) -> None:
    ci.person("bob")
    token = ci.token("bob", "runs:read")
    for path in ("/system/queue", "/runs/9/artifacts", "/downloads/9"):
        assert problem(ci.get(path, token)) == (403, "forbidden")
