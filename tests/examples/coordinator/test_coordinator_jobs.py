"""Jobs over HTTP: their shape, what may be sent, and what happens when it is sent twice or at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from coordinator_bed import ACTIONS, ERROR, JOBS, WAYS, Clock, Coordinator

from examples.coordinator import jobs as records
from examples.coordinator.call import Call
from examples.coordinator.states import Action, Change

HOUR = 3600
FIELDS = {
    "id",
    "tenant",
    "type",
    "payload",
    "source",
    "priority",
    "status",
    "progress_percent",
    "current_step",
    "result",
    "error",
    "attempts",
    "created_by",
    "updated_by",
    "created_at",
    "queued_at",
    "started_at",
    "finished_at",
    "updated_at",
}
BIG = 64 * 1024


def create(bed: Coordinator, key: str | None = None, **body: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return bed.request("POST", JOBS, by="coordinator", headers=headers, json={"type": "stitch", **body})


@pytest.mark.spec("CO-25")
def test_a_new_job_has_every_field_and_its_defaults(coordinator: Coordinator) -> None:
    job = coordinator.new_job()
    assert set(job) == FIELDS
    assert len(job.pop("id")) == 26
    assert job == {
        "tenant": "default",
        "type": "stitch",
        "payload": {},
        "source": None,
        "priority": 5,
        "status": "pending",
        "progress_percent": 0,
        "current_step": None,
        "result": None,
        "error": None,
        "attempts": 0,
        "created_by": "coordinator",
        "updated_by": "coordinator",
        "created_at": "2030-01-01T12:00:00Z",
        "updated_at": "2030-01-01T12:00:00Z",
        "queued_at": None,
        "started_at": None,
        "finished_at": None,
    }


@pytest.mark.spec("CO-25")
def test_a_job_keeps_what_it_was_given(coordinator: Coordinator) -> None:
    given = {
        "type": "a.b_c-1",
        "payload": {"ü": [1, 1.5, True, None, {"at": "2030-01-01T00:00:00+01:00"}]},
        "source": {"repository": "r" * 200, "issue": 1},
        "priority": 9,
    }
    made = coordinator.new_job(**given)
    read = coordinator.request("GET", f"{JOBS}/{made['id']}", by="operator").json()
    assert read == made
    assert {name: read[name] for name in given} == given


@pytest.mark.spec("CO-25")
def test_a_job_tells_its_times_attempts_and_last_caller(coordinator: Coordinator, clock: Clock) -> None:
    job = coordinator.new_job()
    for action in ("dispatch", "running", "queued", "running", "fail"):
        clock.pass_time(minutes=1)
        last = coordinator.act(job["id"], action).json()
    assert last["attempts"] == 2
    assert last["created_at"] == "2030-01-01T12:00:00Z"
    assert last["queued_at"] == "2030-01-01T12:03:00Z"
    assert last["started_at"] == "2030-01-01T12:04:00Z"
    assert last["finished_at"] == last["updated_at"] == "2030-01-01T12:05:00Z"
    assert (last["created_by"], last["updated_by"]) == ("coordinator", "coordinator")
    assert last["error"] == {**ERROR, "retryable": False}


BAD_BODIES: list[tuple[str, dict[str, Any], str]] = [
    ("create", {}, "type"),
    ("create", {"type": ""}, "type"),
    ("create", {"type": "Stitch"}, "type"),
    ("create", {"type": "stitch\n"}, "type"),
    ("create", {"type": "a" * 65}, "type"),
    ("create", {"type": 1}, "type"),
    ("create", {"type": "a", "payload": []}, "payload"),
    ("create", {"type": "a", "payload": None}, "payload"),
    ("create", {"type": "a", "payload": {"x": "x" * BIG}}, "payload"),
    ("create", {"type": "a", "payload": {"at": "2030-01-01T00:00:00"}}, "payload.at"),
    ("create", {"type": "a", "source": "r"}, "source"),
    ("create", {"type": "a", "source": {"repository": "r" * 201}}, "source.repository"),
    ("create", {"type": "a", "source": {"issue": 0}}, "source.issue"),
    ("create", {"type": "a", "source": {"issue": True}}, "source.issue"),
    ("create", {"type": "a", "source": {"branch": "x"}}, "source.branch"),
    ("create", {"type": "a", "priority": 10}, "priority"),
    ("create", {"type": "a", "priority": -1}, "priority"),
    ("create", {"type": "a", "priority": "5"}, "priority"),
    ("create", {"type": "a", "priority": 5.0}, "priority"),
    ("create", {"type": "a", "status": "running"}, "status"),
    ("create", {"type": "a", "id": "mine"}, "id"),
    ("create", {"type": "a", "tenant": "other"}, "tenant"),
    ("create", {"type": "a", "created_at": "2030-01-01T00:00:00Z"}, "created_at"),
    ("status", {}, "status"),
    ("status", {"status": "pending"}, "status"),
    ("status", {"status": "completed"}, "status"),
    ("status", {"status": "queued", "reason": "r" * 501}, "reason"),
    ("status", {"status": "queued", "reason": "2030-01-01T00:00:00"}, "reason"),
    ("status", {"status": "queued", "by": "me"}, "by"),
    ("progress", {}, "progress_percent"),
    ("progress", {"progress_percent": 101}, "progress_percent"),
    ("progress", {"progress_percent": -1}, "progress_percent"),
    ("progress", {"progress_percent": "50"}, "progress_percent"),
    ("progress", {"progress_percent": 50, "current_step": "s" * 201}, "current_step"),
    ("progress", {"progress_percent": 50, "eta": 1}, "eta"),
    ("complete", {"result": []}, "result"),
    ("complete", {"result": {"x": "x" * BIG}}, "result"),
    ("complete", {"outcome": {}}, "outcome"),
    ("fail", {}, "error"),
    ("fail", {"error": None}, "error"),
    ("fail", {"error": {"code": "c"}}, "error.message"),
    ("fail", {"error": {"code": "c" * 65, "message": "m"}}, "error.code"),
    ("fail", {"error": {"code": "c", "message": "m" * 1001}}, "error.message"),
    ("fail", {"error": {"code": "c", "message": "m", "retryable": "yes"}}, "error.retryable"),
    ("fail", {"error": {"code": "c", "message": "m", "trace": "t"}}, "error.trace"),
    ("dispatch", {}, "job_id"),
    ("dispatch", {"job_id": 1}, "job_id"),
    ("dispatch", {"job_id": "x", "force": True}, "force"),
]


def sent(bed: Coordinator, operation: str, **request: Any) -> Any:
    if operation == "create":
        return bed.request("POST", JOBS, by="coordinator", **request)
    if operation == "dispatch":
        return bed.request("POST", "/stitcher/dispatch", by="operator", **request)
    job_id = bed.new_job()["id"]
    method = "PATCH" if operation in ("status", "progress") else "POST"
    return bed.request(method, f"{JOBS}/{job_id}/{operation}", by="coordinator", **request)


@pytest.mark.spec("CO-12", "CO-25", "CO-26")
@pytest.mark.parametrize(("operation", "body", "field"), BAD_BODIES)
def test_a_field_outside_its_rule_is_422_and_named(
    operation: str, body: dict[str, Any], field: str, coordinator: Coordinator
) -> None:
    answer = sent(coordinator, operation, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    fields = answer.json()["details"]["fields"]
    assert list(fields) == [field]
    assert all(isinstance(message, str) for message in fields[field])


@pytest.mark.spec("CO-12", "CO-26")
@pytest.mark.parametrize("operation", ["create", "status", "progress", "complete", "fail", "dispatch"])
def test_a_body_that_cannot_be_read_has_its_own_status(operation: str, coordinator: Coordinator) -> None:
    json_type = {"Content-Type": "application/json"}
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"content": b'{"type": ', "headers": json_type}, 400, "invalid_request"),
        ({"content": b'{"a": 1, "a": 2}', "headers": json_type}, 400, "invalid_request"),
        ({"content": b"", "headers": json_type}, 400, "invalid_request"),
        ({"content": b"[]", "headers": json_type}, 422, "validation_error"),
        ({"content": b"{}"}, 415, "unsupported_media_type"),
        ({"content": b"a=b", "headers": {"Content-Type": "text/plain"}}, 415, "unsupported_media_type"),
        ({"content": b" " * (256 * 1024 + 1), "headers": json_type}, 413, "payload_too_large"),
    ]
    for request, status, code in cases:
        answer = sent(coordinator, operation, **request)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.spec("CO-12")
def test_a_problem_has_all_its_members(coordinator: Coordinator) -> None:
    problem = coordinator.request("GET", f"{JOBS}/nothing", by="coordinator").json()
    assert set(problem) == {"type", "title", "status", "detail", "code", "details", "request_id"}
    assert (problem["status"], problem["code"], problem["details"]) == (404, "not_found", {})


@pytest.mark.spec("CO-12")
def test_a_json_type_may_name_its_charset(coordinator: Coordinator) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    answer = coordinator.request("POST", JOBS, by="coordinator", headers=headers, content=b'{"type": "a"}')
    assert answer.status_code == 201


@pytest.mark.spec("CO-12")
def test_our_own_fault_is_a_problem_too(coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(coordinator.service.jobs), "find", lambda *_: 1 / 0)
    answer = coordinator.request("GET", f"{JOBS}/1", by="coordinator")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "division" not in answer.text


@pytest.mark.spec("CO-12")
def test_a_database_that_cannot_be_used_is_503(coordinator: Coordinator) -> None:
    with coordinator.service.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE jobs")
    answer = coordinator.request("GET", f"{JOBS}/1", by="coordinator")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


@pytest.mark.spec("CO-27")
@pytest.mark.parametrize("status", WAYS)
def test_what_a_status_does_not_allow_is_409_and_changes_nothing(
    status: str, coordinator: Coordinator
) -> None:
    job = coordinator.job_in(status)
    refused = [answer for action in ("dispatch", *ACTIONS) if (answer := probe(coordinator, status, action))]
    assert refused
    for answer in refused:
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (409, "invalid_transition")
        assert problem["details"]["from"] == status
        assert set(problem["details"]) == {"from", "action", "allowed"}
    assert coordinator.request("GET", f"{JOBS}/{job['id']}", by="coordinator").json() == job


def probe(bed: Coordinator, status: str, action: str) -> Any:
    """The answer to an action on a fresh job in a status, if it was refused."""
    job = bed.job_in(status)
    answer = bed.act(job["id"], action)
    if answer.status_code < 400:
        return None
    assert bed.request("GET", f"{JOBS}/{job['id']}", by="coordinator").json() == job
    return answer


@pytest.mark.spec("CO-28")
@pytest.mark.parametrize(
    ("status", "action", "other"),
    [
        ("completed", "complete", {"result": {"url": "y"}}),
        ("completed", "complete", {"result": None}),
        ("failed", "fail", {"error": {**ERROR, "retryable": True}}),
    ],
)
def test_the_same_end_again_writes_nothing_and_another_is_a_conflict(
    status: str, action: str, other: dict[str, Any], coordinator: Coordinator, clock: Clock
) -> None:
    job = coordinator.job_in(status)
    rows = coordinator.audit()
    clock.pass_time(minutes=1)
    again = coordinator.act(job["id"], action)
    assert (again.status_code, again.json()) == (200, job)
    conflict = coordinator.act(job["id"], action, **other)
    assert (conflict.status_code, conflict.json()["code"]) == (409, "conflict")
    assert coordinator.audit() == rows


@pytest.mark.spec("CO-29")
def test_progress_that_falls_is_refused_with_both_values(coordinator: Coordinator) -> None:
    job = coordinator.job_in("running")
    assert coordinator.act(job["id"], "progress", progress_percent=60).status_code == 200
    assert coordinator.act(job["id"], "progress", progress_percent=60).status_code == 200
    answer = coordinator.act(job["id"], "progress", progress_percent=59)
    assert (answer.status_code, answer.json()["code"]) == (409, "progress_regression")
    assert answer.json()["details"] == {"current": 60, "given": 59}


@pytest.mark.spec("CO-29")
def test_a_step_stays_until_another_is_named(coordinator: Coordinator) -> None:
    job = coordinator.job_in("running")
    steps = [
        coordinator.act(job["id"], "progress", **body).json()["current_step"]
        for body in (
            {"progress_percent": 10, "current_step": "cut"},
            {"progress_percent": 20},
            {"progress_percent": 30, "current_step": None},
        )
    ]
    assert steps == ["cut", "cut", None]


@pytest.mark.spec("CO-32")
def test_an_idempotency_key_makes_one_job(coordinator: Coordinator, clock: Clock) -> None:
    first = create(coordinator, "k1", payload={"a": 1, "b": 2})
    clock.pass_time(hours=23)
    again = create(coordinator, "k1", payload={"b": 2, "a": 1}, priority=5)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert len(coordinator.audit()) == 1


@pytest.mark.spec("CO-32")
def test_an_idempotency_key_stands_for_one_body(coordinator: Coordinator) -> None:
    create(coordinator, "k1")
    answer = create(coordinator, "k1", priority=6)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


@pytest.mark.spec("CO-32")
def test_an_idempotency_key_is_forgotten_after_a_day(coordinator: Coordinator, clock: Clock) -> None:
    first = create(coordinator, "k1")
    clock.pass_time(hours=24)
    second = create(coordinator, "k1", priority=6)
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


@pytest.mark.spec("CO-32")
def test_an_idempotency_key_belongs_to_its_caller(
    open_coordinator: Callable[..., Coordinator], clock: Clock
) -> None:
    bed = open_coordinator()
    first, _ = bed.service.creations.create({"type": "a", **REST}, call("one"), "k1")
    second, made = bed.service.creations.create({"type": "a", **REST}, call("two"), "k1")
    assert made
    assert first.id != second.id


@pytest.mark.spec("CO-32")
def test_two_first_requests_at_once_make_one_job(coordinator: Coordinator) -> None:
    request = coordinator.prepared(
        "POST", JOBS, by="coordinator", json={"type": "a"}, headers={"Idempotency-Key": "k1"}
    )
    answers = coordinator.send(*[request] * 12)
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(coordinator.audit()) == 1


@pytest.mark.spec("CO-26")
@pytest.mark.parametrize("key", ["", "k" * 129, "tab\tbed", "é"])
def test_an_idempotency_key_is_printable_and_not_too_long(key: str, coordinator: Coordinator) -> None:
    answer = coordinator.request(
        "POST", JOBS, by="coordinator", headers={"Idempotency-Key": key.encode()}, json={"type": "a"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")


REST = {"payload": {}, "source": None, "priority": 5}


def call(caller: str) -> Call:
    return Call(caller, "abcdefghijkl", "create_job", "r1", None)


@pytest.mark.spec("CO-31")
def test_a_change_that_was_overtaken_is_decided_anew(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = coordinator.job_in("running")
    jobs = coordinator.service.jobs
    decide = type(jobs).changed
    seen: list[str] = []

    def decide_late(self: Any, found: Any, change: Change, by: Call) -> Any:
        """Between this decision and its write, somebody else reports progress, once."""
        seen.append(found.status)
        after = decide(self, found, change, by)
        if len(seen) == 1:
            coordinator.service.jobs.change(
                job["id"], Change(Action.PROGRESS, {"progress_percent": 7}), call("other")
            )
        return after

    monkeypatch.setattr(type(jobs), "changed", decide_late)
    done = jobs.change(job["id"], Change(Action.COMPLETE, {"result": None}), call("first"))
    assert done.status == "completed"
    assert len(seen) == 3
    assert [row["outcome"] for row in coordinator.audit()][-2:] == ["running", "completed"]


@pytest.mark.spec("CO-31")
def test_a_write_on_an_older_revision_is_refused_whole(coordinator: Coordinator) -> None:
    job = coordinator.service.jobs.find(coordinator.job_in("queued")["id"])
    rows = coordinator.audit()
    change = Change(Action.CANCEL)
    late = coordinator.service.jobs.changed(job, change, call("late"))
    coordinator.act(job.id, "running")
    with pytest.raises(records.Overtaken), coordinator.service.database.write() as connection:
        records.save(connection, late, change, call("late"))
    assert len(coordinator.audit()) == len(rows) + 1
    assert coordinator.service.jobs.find(job.id).status == "running"
