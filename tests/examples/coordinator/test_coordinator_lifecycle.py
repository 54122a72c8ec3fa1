"""Random lives of a job, through every operation that can touch it: CO-27 to CO-30 after each step."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from coordinator_bed import ERROR, JOBS, Coordinator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_coordinator_states import CELLS, COLUMNS, REFUSED

from examples.coordinator.job import Status

TERMINAL = {"completed", "failed", "cancelled"}
RESULTS = st.sampled_from([None, {}, {"n": 1}, {"n": True}])
STEPS = st.one_of(
    st.tuples(st.sampled_from(["dispatch", "queued", "running", "cancelled", "webhook"]), st.just({})),
    st.tuples(st.just("progress"), st.fixed_dictionaries({"progress_percent": st.integers(0, 100)})),
    st.tuples(st.just("complete"), st.fixed_dictionaries({"result": RESULTS})),
    st.tuples(
        st.just("fail"),
        st.fixed_dictionaries({"error": st.sampled_from([ERROR, {**ERROR, "retryable": True}])}),
    ),
)
"""Cancelling is drawn less often than it would be by chance, so that lives become long."""


def take(bed: Coordinator, job_id: str, action: str, body: dict[str, Any]) -> int:
    """Do a step, and tell its status."""
    if action == "webhook":
        event = {"event": "job.cancel_requested", "job_id": job_id}
        return bed.webhook(event, secrets.token_hex(8)).status_code
    return bed.act(job_id, action, **body).status_code


def check(
    before: dict[str, Any], after: dict[str, Any], action: str, body: dict[str, Any], status: int
) -> None:
    column = "cancelled" if action == "webhook" else action
    expected = dict(zip(COLUMNS, CELLS[before["status"]], strict=True)).get(column)
    if expected == REFUSED:
        assert status == 409
    if status == 409 or before["status"] in TERMINAL:
        assert after == before
    elif expected in set(Status):
        assert after["status"] == expected
    if before["status"] == after["status"] == "running":
        assert after["progress_percent"] >= before["progress_percent"]
    if after["status"] == "queued":
        assert after["progress_percent"] == 0
    if after["status"] == "completed":
        assert after["progress_percent"] == 100
    assert (after["finished_at"] is not None) == (after["status"] in TERMINAL)


@pytest.mark.spec("CO-27", "CO-28", "CO-29", "CO-30")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.sampled_from(["pending", "queued", "running"]), steps=st.lists(STEPS, min_size=1, max_size=10)
)
def test_a_life_follows_the_table_and_ends_once(
    start: str, steps: list[tuple[str, dict[str, Any]]], coordinator: Coordinator
) -> None:
    coordinator.clock.pass_time(minutes=2)
    before = coordinator.job_in(start)
    for action, body in steps:
        coordinator.clock.pass_time(seconds=1)
        status = take(coordinator, before["id"], action, body)
        after = coordinator.request("GET", f"{JOBS}/{before['id']}", by="operator").json()
        check(before, after, action, body, status)
        before = after
