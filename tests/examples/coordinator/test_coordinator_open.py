"""What is open, what is not, and what a caller without a key can learn."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from coordinator_bed import JOBS, PATIENCE_SECONDS, Coordinator

from examples.coordinator.operations import OPERATIONS

UNKNOWN = [
    ("GET", "/"),
    ("GET", "/docs"),
    ("GET", "/redoc"),
    ("GET", "/openapi.json"),
    ("GET", "/docs/oauth2-redirect"),
    ("GET", "/metrics"),
    ("GET", "/livez/"),
    ("GET", "/livez/more"),
    ("GET", "//livez"),
    ("GET", "/coordinator"),
    ("GET", "/coordinator/jobs/1/status/more"),
    ("GET", "/favicon.ico"),
]
WRONG_METHOD = [
    ("POST", "/livez"),
    ("HEAD", JOBS),
    ("GET", JOBS),
    ("DELETE", f"{JOBS}/1"),
    ("PUT", f"{JOBS}/1/status"),
    ("OPTIONS", JOBS),
    ("TRACE", "/coordinator/health"),
    ("PURGE", "/stitcher/webhook"),
]


@pytest.mark.spec("CO-2")
@pytest.mark.parametrize(
    ("method", "path"),
    [*UNKNOWN, *WRONG_METHOD, *((one.method, one.path) for one in OPERATIONS if one.scope)],
)
def test_without_a_valid_key_everything_but_liveness_is_401(
    method: str, path: str, coordinator: Coordinator
) -> None:
    for headers in ({}, {"X-API-Key": coordinator.used.key()}):
        answer = coordinator.request(method, path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="coordinator"')


@pytest.mark.spec("CO-2", "CO-12")
@pytest.mark.parametrize(("method", "path"), UNKNOWN)
def test_an_authenticated_caller_sees_404(method: str, path: str, coordinator: Coordinator) -> None:
    answer = coordinator.request(method, path, by="monitor")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.spec("CO-2", "CO-12")
@pytest.mark.parametrize(("method", "path"), WRONG_METHOD)
def test_an_authenticated_caller_sees_405(method: str, path: str, coordinator: Coordinator) -> None:
    answer = coordinator.request(method, path, by="monitor")
    assert answer.status_code == 405
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.spec("CO-3")
def test_liveness_carries_nothing_and_reads_no_database(coordinator: Coordinator) -> None:
    coordinator.service.database.close()
    coordinator.service.verifier.close()
    answer = coordinator.request("GET", "/livez")
    assert (answer.status_code, answer.content) == (200, b"")
    assert set(answer.headers) <= {"content-length"}


@pytest.mark.spec("CO-3")
def test_liveness_has_one_method(coordinator: Coordinator) -> None:
    """The guard serves HEAD wherever it serves GET; the service does not."""
    answer = coordinator.request("HEAD", "/livez")
    assert answer.status_code == 405


@pytest.mark.spec("CO-4", "CO-16")
def test_a_monitor_reads_health_and_nothing_else(coordinator: Coordinator) -> None:
    for operation in OPERATIONS:
        if operation.scope is None:
            continue
        answer = coordinator.request(operation.method, operation.path, by="monitor")
        assert answer.status_code == (200 if operation.name == "get_health" else 403)


@pytest.mark.spec("CO-4")
def test_health_names_each_part(coordinator: Coordinator) -> None:
    health = coordinator.request("GET", "/coordinator/health", by="monitor").json()
    assert health["status"] == "ok"
    assert health["checked_at"] == "2030-01-01T12:00:00Z"
    assert {check["name"]: check["status"] for check in health["checks"]} == {
        "database": "ok",
        "key_store": "ok",
        "limiter": "ok",
    }


@pytest.mark.spec("CO-4")
def test_health_is_503_when_a_part_is_down(coordinator: Coordinator) -> None:
    with coordinator.service.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE jobs")
    answer = coordinator.request("GET", "/coordinator/health", by="monitor")
    assert answer.status_code == 503
    assert answer.json()["status"] == "down"
    assert {"name": "database", "status": "down"} in answer.json()["checks"]


@pytest.mark.spec("CO-4", "CO-14")
def test_health_is_degraded_while_decisions_stand_on_what_was_confirmed_before(
    open_coordinator: Callable[..., Coordinator], tmp_path: Path
) -> None:
    store = tmp_path / "keys"
    store.mkdir()
    bed = open_coordinator(KEYRACK_STORE=f"sqlite:///{store}/keyrack.db", KEYRACK_POLL="0.1")
    store.rename(tmp_path / "elsewhere")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (health := bed.request("GET", "/coordinator/health", by="monitor")).json()["status"] == "ok":
        bed.clock.pass_time(seconds=0.2)
        assert time.monotonic() < deadline
    assert health.status_code == 200
    assert health.json()["status"] == "degraded"
    assert {"name": "key_store", "status": "degraded"} in health.json()["checks"]
