"""Webhooks and dispatch: a credential of their own, a signature, one effect for one event."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from coordinator_bed import JOBS, Clock, Coordinator, right_request, with_key, wrong

from examples.coordinator.operations import OPERATIONS
from examples.coordinator.reading import MAX_BODY_BYTES

PING = {"event": "ping"}
HOOK = "/stitcher/webhook"
DISPATCH = "/stitcher/dispatch"


def coded(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.spec("CO-43")
def test_stitcher_webhook_needs_a_key(coordinator: Coordinator) -> None:
    assert coded(coordinator.webhook(PING, "e1", by=None)) == (401, "missing_credentials")


@pytest.mark.spec("CO-43")
def test_stitcher_dispatch_needs_a_key(coordinator: Coordinator) -> None:
    answer = coordinator.request("POST", DISPATCH, json={"job_id": "x"})
    assert coded(answer) == (401, "missing_credentials")


@pytest.mark.spec("CO-43")
def test_stitcher_webhook_takes_a_valid_key_and_signature(coordinator: Coordinator) -> None:
    answer = coordinator.webhook(PING, "e1")
    assert (answer.status_code, answer.json()) == (202, {"accepted": True, "job_id": None})


@pytest.mark.spec("CO-38", "CO-43")
def test_stitcher_dispatch_takes_a_valid_key(coordinator: Coordinator) -> None:
    answer = coordinator.act(coordinator.new_job()["id"], "dispatch")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert answer.json()["updated_by"] == "operator"


@pytest.mark.spec("CO-43")
@pytest.mark.parametrize("name", ["receive_webhook", "dispatch_job"])
def test_stitcher_refuses_a_wrong_key(name: str, coordinator: Coordinator) -> None:
    request = with_key(right_request(coordinator, name), wrong(coordinator.key("stitcher-bot")))
    assert coded(coordinator.send(request)[0]) == (401, "invalid_credentials")


@pytest.mark.spec("CO-43")
@pytest.mark.parametrize("name", ["receive_webhook", "dispatch_job"])
def test_stitcher_takes_an_empty_key_for_a_missing_one(name: str, coordinator: Coordinator) -> None:
    request = with_key(right_request(coordinator, name), "")
    assert coded(coordinator.send(request)[0]) == (401, "missing_credentials")


@pytest.mark.spec("CO-34", "CO-43")
@pytest.mark.parametrize("signature", ["", "v1,AAAA", "v1a,AAAA", "no signature at all"])
def test_stitcher_refuses_a_bad_signature(signature: str, coordinator: Coordinator) -> None:
    request = coordinator.signed(PING, "e1")
    request["headers"]["webhook-signature"] = signature
    answer = coordinator.send(request)[0]
    assert coded(answer) == (401, "invalid_signature")
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="coordinator"')


@pytest.mark.spec("CO-34", "CO-43")
def test_stitcher_refuses_a_webhook_submitted_without_signature(coordinator: Coordinator) -> None:
    answer = coordinator.request("POST", HOOK, by="stitcher-bot", json={"event": "job.requested"})
    assert coded(answer) == (401, "invalid_signature")
    assert coordinator.audit()[-1]["outcome"] == "refused"


@pytest.mark.spec("CO-33")
def test_the_bot_may_send_webhooks_and_nothing_else(coordinator: Coordinator) -> None:
    for operation in OPERATIONS:
        if operation.scope in (None, "webhook:send"):
            continue
        answer = coordinator.request(operation.method, operation.path, by="stitcher-bot")
        assert coded(answer) == (403, "insufficient_scope")
        assert answer.json()["details"]["missing_scopes"] == [operation.scope]


@pytest.mark.spec("CO-33")
@pytest.mark.parametrize("caller", ["coordinator", "operator", "monitor"])
def test_nobody_but_the_bot_may_send_webhooks(caller: str, coordinator: Coordinator) -> None:
    assert coded(coordinator.webhook(PING, "e1", by=caller)) == (403, "insufficient_scope")


@pytest.mark.spec("CO-34")
def test_the_previous_secret_is_accepted_beside_the_current_one(
    open_coordinator: Callable[..., Coordinator], coordinator: Coordinator
) -> None:
    used = coordinator.used
    previous = used.note("whsec_" + base64.b64encode(secrets.token_bytes(40)).decode())
    assert coded(coordinator.webhook(PING, "e1", secret=previous)) == (401, "invalid_signature")
    both = open_coordinator(STITCHER_WEBHOOK_SECRET_PREVIOUS=previous)
    assert both.webhook(PING, "e1", secret=previous).status_code == 202
    assert both.webhook(PING, "e2").status_code == 202


@pytest.mark.spec("CO-35")
@pytest.mark.parametrize(("off_seconds", "status"), [(300, 202), (-300, 202), (301, 401), (-301, 401)])
def test_a_webhook_is_fresh_for_300_seconds(off_seconds: int, status: int, coordinator: Coordinator) -> None:
    at = coordinator.clock.after(seconds=off_seconds)
    answer = coordinator.webhook(PING, "e1", at=at)
    assert answer.status_code == status
    assert status == 202 or answer.json()["code"] == "invalid_signature"


@pytest.mark.spec("CO-35")
def test_a_webhook_that_comes_again_is_answered_again_and_does_nothing(
    coordinator: Coordinator, clock: Clock
) -> None:
    event = {"event": "job.requested", "job": {"type": "stitch"}}
    first = coordinator.webhook(event, "e1")
    rows = coordinator.audit()
    clock.pass_time(hours=23, minutes=59)
    again = coordinator.webhook(event, "e1")
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert coordinator.audit() == rows


@pytest.mark.spec("CO-35")
def test_a_webhook_id_is_forgotten_after_a_day(coordinator: Coordinator, clock: Clock) -> None:
    event = {"event": "job.requested", "job": {"type": "stitch"}}
    first = coordinator.webhook(event, "e1")
    clock.pass_time(hours=24)
    second = coordinator.webhook(event, "e1")
    assert second.status_code == 202
    assert second.json() != first.json()


@pytest.mark.spec("CO-35")
def test_a_refusal_of_an_event_is_answered_again_too(coordinator: Coordinator) -> None:
    job = coordinator.job_in("completed")
    event = {"event": "job.cancel_requested", "job_id": job["id"]}
    first, again = (coordinator.webhook(event, "e1") for _ in range(2))
    assert coded(first) == coded(again) == (409, "invalid_transition")
    assert first.json()["details"] == again.json()["details"]
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.spec("CO-35")
def test_a_webhook_id_stands_for_one_body(coordinator: Coordinator) -> None:
    coordinator.webhook(PING, "e1")
    answer = coordinator.webhook(b'{"event":  "ping"}', "e1")
    assert coded(answer) == (409, "conflict")


@pytest.mark.spec("CO-35")
def test_the_memory_of_webhooks_outlives_the_service(open_coordinator: Callable[..., Coordinator]) -> None:
    event = {"event": "job.requested", "job": {"type": "stitch"}}
    first = open_coordinator().webhook(event, "e1")
    again = open_coordinator().webhook(event, "e1")
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.spec("CO-35")
def test_a_webhook_that_comes_many_times_at_once_has_one_effect(coordinator: Coordinator) -> None:
    request = coordinator.signed({"event": "job.requested", "job": {"type": "stitch"}}, "e1")
    answers = coordinator.send(*[request] * 12)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert len(coordinator.audit()) == 1


ORDER: list[tuple[str, dict[str, Any], tuple[int, str]]] = [
    ("no key", {"by": None}, (401, "missing_credentials")),
    ("no scope", {"by": "coordinator"}, (403, "insufficient_scope")),
    ("no signature", {"signature": "v1,AAAA"}, (401, "invalid_signature")),
    ("too old", {"old": True}, (401, "invalid_signature")),
    ("known id", {"known": True}, (409, "conflict")),
    ("bad body", {}, (400, "invalid_request")),
]


@pytest.mark.spec("CO-36")
@pytest.mark.parametrize("step", range(len(ORDER)), ids=[name for name, _, _ in ORDER])
def test_the_first_thing_that_is_wrong_is_the_one_that_is_told(step: int, coordinator: Coordinator) -> None:
    """Everything that comes later in the order is wrong as well, down to a body that is no JSON."""
    wrongs: dict[str, Any] = {}
    for _, change, _ in ORDER[step:]:
        wrongs = change | wrongs
    at = coordinator.clock() - timedelta(hours=1) if wrongs.get("old") else coordinator.clock()
    if wrongs.get("known"):
        coordinator.webhook(PING, "e1")
    request = coordinator.signed(b"{no json", "e1", at=at, by=wrongs.get("by", "stitcher-bot"))
    if "signature" in wrongs:
        request["headers"]["webhook-signature"] = wrongs["signature"]
    assert coded(coordinator.send(request)[0]) == ORDER[step][2]


@pytest.mark.spec("CO-36")
def test_nothing_is_parsed_before_the_signature_is_right(coordinator: Coordinator) -> None:
    for body in (b"{no json", b"\xff", b"[" * 1000, b'{"event": "unknown"}'):
        request = coordinator.signed(body, "e1")
        request["headers"]["webhook-signature"] = "v1,AAAA"
        assert coded(coordinator.send(request)[0]) == (401, "invalid_signature")


@pytest.mark.spec("CO-12", "CO-36")
def test_a_webhook_is_bounded_and_declared_like_any_body(coordinator: Coordinator) -> None:
    assert coded(coordinator.webhook(b" " * (MAX_BODY_BYTES + 1), "e1")) == (413, "payload_too_large")
    request = coordinator.signed(PING, "e2")
    request["headers"]["Content-Type"] = "text/plain"
    assert coded(coordinator.send(request)[0]) == (415, "unsupported_media_type")


@pytest.mark.spec("CO-37")
def test_a_requested_job_is_pending_and_the_bots(coordinator: Coordinator) -> None:
    event = {"event": "job.requested", "job": {"type": "stitch", "priority": 1, "payload": {"a": 1}}}
    answer = coordinator.webhook(event, "e1").json()
    assert answer["accepted"] is True
    job = coordinator.request("GET", f"{JOBS}/{answer['job_id']}", by="coordinator").json()
    assert (job["status"], job["priority"], job["created_by"]) == ("pending", 1, "stitcher-bot")


@pytest.mark.spec("CO-37")
def test_a_cancel_request_follows_the_table(coordinator: Coordinator) -> None:
    job = coordinator.job_in("running")
    event = {"event": "job.cancel_requested", "job_id": job["id"]}
    assert coordinator.webhook(event, "e1").json() == {"accepted": True, "job_id": job["id"]}
    rows = coordinator.audit()
    assert coordinator.webhook(event, "e2").status_code == 202
    assert coordinator.audit() == rows
    assert coordinator.act(job["id"], "complete").status_code == 409


@pytest.mark.spec("CO-37")
@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"event": "job.deleted"}, "event"),
        ({}, "event"),
        ({"event": 1}, "event"),
        ({"event": "job.requested"}, "job"),
        ({"event": "job.requested", "job": {}}, "job.type"),
        ({"event": "job.requested", "job": {"type": "a"}, "job_id": "x"}, "job_id"),
        ({"event": "job.cancel_requested"}, "job_id"),
        ({"event": "job.cancel_requested", "job_id": "unknown"}, "job_id"),
        ({"event": "ping", "job": {"type": "a"}}, "job"),
        ({"event": "ping", "at": "2030-01-01T00:00:00"}, "at"),
    ],
)
def test_an_event_of_another_shape_is_422(
    event: dict[str, Any], field: str, coordinator: Coordinator
) -> None:
    answer = coordinator.webhook(event, "e1")
    assert coded(answer) == (422, "validation_error")
    assert list(answer.json()["details"]["fields"]) == [field]
    assert coordinator.audit() == []


@pytest.mark.spec("CO-21")
def test_with_webhooks_off_nothing_is_taken_signed_or_not(
    open_coordinator: Callable[..., Coordinator],
) -> None:
    bed = open_coordinator(STITCHER_WEBHOOK="off")
    signed = bed.webhook(PING, "e1")
    unsigned = bed.request("POST", HOOK, by="stitcher-bot", json=PING)
    assert coded(signed) == coded(unsigned) == (503, "unavailable")
    assert coded(bed.webhook(PING, "e1", by=None)) == (401, "missing_credentials")


@pytest.mark.spec("CO-38")
def test_dispatch_queues_once(coordinator: Coordinator) -> None:
    job = coordinator.new_job()
    first = coordinator.act(job["id"], "dispatch")
    rows = coordinator.audit()
    again = coordinator.act(job["id"], "dispatch")
    assert (again.status_code, again.json()) == (202, first.json())
    assert coordinator.audit() == rows


@pytest.mark.spec("CO-38")
def test_dispatch_of_an_unknown_job_is_404(coordinator: Coordinator) -> None:
    assert coded(coordinator.act("unknown", "dispatch")) == (404, "not_found")
