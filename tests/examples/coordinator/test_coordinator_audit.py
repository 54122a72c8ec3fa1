"""Who did what, who was refused and why: audit rows, journal entries, log lines, counts."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from sys import exc_info
from typing import Any

import httpx
import pytest
from coordinator_bed import (
    ADDRESS,
    HOLDER,
    PATIENCE_SECONDS,
    Clock,
    Coordinator,
    Secrets,
    right_request,
    with_key,
    wrong,
)
from coordinator_management import OPERATOR, Management

from examples.coordinator.logs import CONFIG, Line
from examples.coordinator.operations import BY_NAME
from keyrack import Access, Reason, Wish

HEALTH = "/coordinator/health"
Open = Callable[..., Coordinator]

CHANGES = {
    "create_job": "pending",
    "change_status": "queued",
    "report_progress": "running",
    "complete_job": "completed",
    "fail_job": "failed",
    "dispatch_job": "queued",
}
"""The operations that change a job, and the outcome that their row names."""


@pytest.mark.spec("CO-41")
@pytest.mark.parametrize("name", HOLDER)
def test_an_operation_with_a_good_key_writes_its_row_and_no_other(
    name: str, coordinator: Coordinator, clock: Clock
) -> None:
    request = right_request(coordinator, name)
    before = len(coordinator.audit())
    clock.pass_time(minutes=1)
    request["headers"]["X-Request-ID"] = "r-1"
    (answer,) = coordinator.send(with_key(request, coordinator.key(HOLDER[name])))
    rows = coordinator.audit()[before:]
    if name not in CHANGES:
        assert rows == []
        return
    (row,) = rows
    assert row["at"] == "2030-01-01T12:01:00.000000Z"
    assert (row["caller"], row["operation"], row["outcome"]) == (HOLDER[name], name, CHANGES[name])
    assert (row["job_id"], row["request_id"], row["client_ip"]) == (answer.json()["id"], "r-1", ADDRESS)
    assert row["key_id"] == key_id(coordinator, HOLDER[name])
    assert answer.headers["X-Request-ID"] == "r-1"


def key_id(bed: Coordinator, caller: str) -> str:
    decision = bed.service.verifier.verify(bed.key(caller), Access())
    assert decision.key is not None
    return decision.key.id


@pytest.mark.spec("CO-41")
def test_a_webhook_writes_the_row_of_the_job_it_changed(coordinator: Coordinator) -> None:
    made = coordinator.webhook({"event": "job.requested", "job": {"type": "a"}}, "e1").json()["job_id"]
    coordinator.webhook({"event": "job.cancel_requested", "job_id": made}, "e2")
    rows = [(row["caller"], row["operation"], row["outcome"]) for row in coordinator.audit()]
    assert rows == [
        ("stitcher-bot", "receive_webhook", "pending"),
        ("stitcher-bot", "receive_webhook", "cancelled"),
    ]


@pytest.mark.spec("CO-41")
def test_a_reason_is_kept_in_the_row_and_not_in_the_log(
    coordinator: Coordinator, caplog: pytest.LogCaptureFixture
) -> None:
    job = coordinator.new_job()
    coordinator.act(job["id"], "cancelled", reason="no longer\nneeded")
    assert coordinator.audit()[-1]["reason"] == "no longer\nneeded"
    assert "needed" not in "".join(lines(caplog))


@pytest.mark.spec("CO-41")
def test_a_refused_signature_writes_a_row_with_its_exact_reason(
    coordinator: Coordinator, clock: Clock
) -> None:
    ping = {"event": "ping"}
    coordinator.request("POST", "/stitcher/webhook", by="stitcher-bot", json=ping)
    unsigned = coordinator.signed(ping, "e1")
    unsigned["headers"]["webhook-signature"] = "v1,AAAA"
    coordinator.send(unsigned)
    coordinator.webhook(ping, "e1", at=clock.after(hours=1))
    rows = [(row["outcome"], row["reason"], row["caller"], row["job_id"]) for row in coordinator.audit()]
    assert rows == [
        ("refused", reason, "stitcher-bot", None) for reason in ("headers", "signature", "timestamp")
    ]


@pytest.mark.spec("CO-41")
@pytest.mark.parametrize("name", HOLDER)
def test_an_operation_with_a_bad_key_changes_nothing_and_is_in_the_journal(
    name: str, coordinator: Coordinator
) -> None:
    request = right_request(coordinator, name)
    before = coordinator.audit()
    proved = "operator" if name == "receive_webhook" else "stitcher-bot"
    coordinator.send(
        request,
        with_key(request, wrong(coordinator.key("monitor"))),
        with_key(request, coordinator.key(proved)),
    )
    assert coordinator.audit() == before
    entries = journal(coordinator, 3)
    assert {entry.reason: entry.times for entry in entries} == {
        Reason.MISSING: 1,
        Reason.UNKNOWN: 1,
        Reason.SCOPE: 1,
    }
    operation = f"{BY_NAME[name].method} {BY_NAME[name].path}"
    assert {(entry.operation, entry.address) for entry in entries} == {(operation, ADDRESS)}
    (scope,) = (entry for entry in entries if entry.reason is Reason.SCOPE)
    assert (scope.caller, scope.key_id) == (proved, key_id(coordinator, proved))
    assert all(entry.request_id for entry in entries)


def journal(bed: Coordinator, least: int) -> list[Any]:
    """What the journal holds once so many refusals are written: now, or by its own thread."""
    verifier = bed.service.verifier
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        verifier.notebook.flush(verifier.stores.journal)
        found = [entry for _, entry in verifier.stores.journal.refusals(after=0, most=100, tenant=None)]
        if sum(entry.times for entry in found) >= least:
            return found
        assert time.monotonic() < deadline


@pytest.mark.spec("CO-41")
def test_unproved_refusals_of_one_address_are_counted_in_one_entry(coordinator: Coordinator) -> None:
    # Each time that it is written begins an entry: until the test asks for it, it is not.
    coordinator.service.verifier._upkeep._writing.stop()
    before = len(journal(coordinator, 0))
    for _ in range(20):
        coordinator.request("GET", HEALTH, headers={"X-API-Key": coordinator.used.key()})
    (entry,) = journal(coordinator, 20)[before:]
    assert entry.times == 20


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What an operator reads: each record as the service writes it."""
    return [Line().format(record) for record in caplog.records]


@pytest.mark.spec("CO-41")
def test_log_lines_name_caller_and_key_id_and_never_the_key(
    coordinator: Coordinator, caplog: pytest.LogCaptureFixture
) -> None:
    coordinator.new_job()
    (line,) = (json.loads(line) for line in lines(caplog) if '"coordinator.audit"' in line)
    assert line["change"]["caller"] == "coordinator"
    assert line["change"]["key_id"] == key_id(coordinator, "coordinator")
    assert coordinator.key("coordinator") not in "".join(lines(caplog))


def test_a_log_line_is_one_line_of_json_even_for_an_exception() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, "", 0, "failed %s", ("so",), exc_info()
        )
    line = Line().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "failed so"
    assert CONFIG["formatters"]["line"]["()"] == f"{Line.__module__}.{Line.__name__}"


REASONS: Mapping[str, tuple[int, str]] = {
    "missing": (401, "missing_credentials"),
    "malformed": (401, "invalid_credentials"),
    "unknown": (401, "invalid_credentials"),
    "expired": (401, "key_expired"),
    "revoked": (401, "key_revoked"),
    "disabled": (401, "key_disabled"),
    "retired": (401, "secret_retired"),
    "ambiguous": (400, "ambiguous_credentials"),
    "scope": (403, "insufficient_scope"),
    "network": (403, "ip_denied"),
    "rate": (429, "rate_limited"),
}
"""CO-11 row by row; `unconfigured` and `store_down` are proved where a store is missing or gone."""


@pytest.fixture
def bed(open_coordinator: Open, tmp_path: Path) -> Coordinator:
    return open_coordinator(KEYRACK_STORE=f"sqlite:///{tmp_path / 'keyrack.db'}")


@pytest.fixture
def management(bed: Coordinator, tmp_path: Path, used: Secrets, clock: Clock) -> Any:
    url = f"sqlite:///{tmp_path / 'keyrack.db'}"
    with Management(url, bed.environment["KEYRACK_PEPPERS"], clock, used) as management:
        yield management


def refused(bed: Coordinator, management: Management, reason: str) -> httpx.Response:
    """A request to health that is refused for this reason."""
    issuer = bed.service.verifier.issuer()
    limit = {"name": "one", "limit": 1, "window_seconds": 60}
    wish = Wish(
        "probe",
        scopes=[] if reason == "scope" else ["health:read"],
        expires_at=bed.clock.after(minutes=1) if reason == "expired" else None,
        networks=["192.0.2.0/24"] if reason == "network" else [],
        limits=[limit] if reason == "rate" else [],
    )
    minted = issuer.mint(wish, by=OPERATOR)
    key = bed.used.note(minted.secret)
    match reason:
        case "revoked":
            issuer.revoke(minted.key.id, by=OPERATOR)
        case "disabled":
            issuer.disable(minted.key.id, by=OPERATOR)
        case "retired":
            bed.used.note(issuer.rotate(minted.key.id, by=OPERATOR).secret)
            bed.clock.pass_time(days=2)
        case "expired":
            bed.clock.pass_time(minutes=1)
        case "rate":
            bed.request("GET", HEALTH, headers={"X-API-Key": key})
    headers = {
        "missing": [],
        "malformed": [("X-API-Key", "kr_live_" + "0" * 50)],
        "unknown": [("X-API-Key", bed.used.key())],
        "ambiguous": [("X-API-Key", key), ("X-API-Key", key)],
    }.get(reason, [("X-API-Key", key)])
    return bed.send({"method": "GET", "url": HEALTH, "headers": headers})[0]


@pytest.mark.spec("CO-11")
@pytest.mark.parametrize("reason", REASONS)
def test_clients_are_told_a_code_and_operators_the_exact_reason(
    reason: str, bed: Coordinator, management: Management, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = refused(bed, management, reason), refused(bed, management, reason)
    status, code = REASONS[reason]
    assert (first.status_code, first.json()["code"]) == (status, code)
    assert anonymous(first) == anonymous(second)
    assert first.json()["request_id"] != second.json()["request_id"]
    if status == 401:
        assert first.headers["WWW-Authenticate"].startswith('Bearer realm="coordinator"')
    assert {denial["reason"] for denial in denials(bed, caplog, 2)} == {reason}
    assert bed.service.verifier.notebook.totals[reason] == 2


def anonymous(answer: httpx.Response) -> dict[str, Any]:
    """The body without what belongs to the one request."""
    return {name: value for name, value in answer.json().items() if name != "request_id"}


def denials(bed: Coordinator, caplog: pytest.LogCaptureFixture, least: int) -> list[dict[str, Any]]:
    """The denials that were logged, once there are so many."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        journal(bed, least)
        found = [vars(record)["denial"] for record in caplog.records if record.name == "keyrack.denials"]
        if sum(denial["times"] for denial in found) >= least:
            return found
        assert time.monotonic() < deadline


@pytest.mark.spec("CO-11")
def test_unproved_credentials_cannot_be_told_apart(bed: Coordinator, management: Management) -> None:
    malformed, unknown = refused(bed, management, "malformed"), refused(bed, management, "unknown")
    assert anonymous(malformed) == anonymous(unknown)
    assert set(malformed.headers) == set(unknown.headers)


@pytest.mark.spec("CO-11")
def test_a_missing_scope_is_named(coordinator: Coordinator) -> None:
    answer = coordinator.request("POST", "/coordinator/jobs", by="monitor", json={"type": "a"})
    assert answer.json()["details"] == {"required_scopes": ["jobs:create"], "missing_scopes": ["jobs:create"]}
