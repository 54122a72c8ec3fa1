"""The life of a job as pure functions: the whole table of CO-27, cell by cell."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from examples.coordinator.job import Job, Status
from examples.coordinator.problems import Conflict, InvalidTransition, ProgressRegression
from examples.coordinator.states import TABLE, Action, Change, apply

MADE_AT = datetime(2030, 1, 1, tzinfo=UTC)
NOW = MADE_AT + timedelta(minutes=5)

REFUSED, SAME = "409", "no change"
COLUMNS = ("dispatch", "queued", "running", "cancelled", "complete", "fail", "progress")
CELLS = {
    "pending": ("queued", "queued", REFUSED, "cancelled", REFUSED, REFUSED, REFUSED),
    "queued": (SAME, SAME, "running", "cancelled", REFUSED, "failed", REFUSED),
    "running": (REFUSED, "queued", SAME, "cancelled", "completed", "failed", "running"),
    "completed": (REFUSED, REFUSED, REFUSED, REFUSED, SAME, REFUSED, REFUSED),
    "failed": (REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, SAME, REFUSED),
    "cancelled": (REFUSED, REFUSED, REFUSED, SAME, REFUSED, REFUSED, REFUSED),
}
ROWS = [
    (Status(status), Action(action), outcome)
    for status, outcomes in CELLS.items()
    for action, outcome in zip(COLUMNS, outcomes, strict=True)
]
ERROR = {"code": "E1", "message": "broken", "retryable": False}
FIELDS = {
    Action.COMPLETE: {"result": {"url": "x"}},
    Action.FAIL: {"error": ERROR},
    Action.PROGRESS: {"progress_percent": 60, "current_step": "halfway"},
}


def job(status: Status = Status.PENDING, **fields: object) -> Job:
    made = Job(
        id="01J",
        type="stitch",
        payload={},
        source=None,
        priority=5,
        created_by="coordinator",
        updated_by="coordinator",
        created_at=MADE_AT,
        updated_at=MADE_AT,
        status=status,
        result=FIELDS[Action.COMPLETE]["result"] if status is Status.COMPLETED else None,
        error=ERROR if status is Status.FAILED else None,
    )
    return replace(made, **fields)


def change(action: Action) -> Change:
    return Change(action, FIELDS.get(action, {}))


@pytest.mark.spec("CO-27")
@pytest.mark.parametrize(("status", "action", "outcome"), ROWS)
def test_every_cell_of_the_table(status: Status, action: Action, outcome: str) -> None:
    before = job(status)
    if outcome == REFUSED:
        with pytest.raises(InvalidTransition) as refusal:
            apply(before, change(action), NOW)
        assert refusal.value.details["from"] == status
        assert refusal.value.details["action"] == action
    elif outcome == SAME:
        assert apply(before, change(action), NOW) is before
    else:
        assert apply(before, change(action), NOW).status == outcome


@pytest.mark.spec("CO-27")
@pytest.mark.parametrize("status", Status)
def test_a_refusal_names_what_the_status_does_allow(status: Status) -> None:
    refused = next(action for action in Action if action not in TABLE[status])
    with pytest.raises(InvalidTransition) as refusal:
        apply(job(status), change(refused), NOW)
    given = dict(zip(COLUMNS, CELLS[status], strict=True))
    assert sorted(refusal.value.details["allowed"]) == sorted(
        action for action, outcome in given.items() if outcome != REFUSED
    )


@pytest.mark.spec("CO-28")
def test_the_same_result_again_changes_nothing() -> None:
    done = job(Status.COMPLETED, result={"b": [1], "a": None})
    assert apply(done, Change(Action.COMPLETE, {"result": {"a": None, "b": [1]}}), NOW) is done


@pytest.mark.spec("CO-28")
@pytest.mark.parametrize("other", [None, {}, {"n": True}, {"n": 1.0}, {"n": 1, "m": 2}])
def test_another_result_is_a_conflict_even_where_python_calls_it_equal(other: object) -> None:
    done = job(Status.COMPLETED, result={"n": 1})
    with pytest.raises(Conflict) as refusal:
        apply(done, Change(Action.COMPLETE, {"result": other}), NOW)
    assert refusal.value.code == "conflict"


@pytest.mark.spec("CO-28")
def test_another_error_is_a_conflict() -> None:
    failed = job(Status.FAILED)
    with pytest.raises(Conflict):
        apply(failed, Change(Action.FAIL, {"error": ERROR | {"retryable": True}}), NOW)


@pytest.mark.spec("CO-29")
def test_progress_never_falls_within_an_attempt() -> None:
    running = job(Status.RUNNING, progress_percent=40)
    with pytest.raises(ProgressRegression) as refusal:
        apply(running, Change(Action.PROGRESS, {"progress_percent": 39}), NOW)
    assert refusal.value.details == {"current": 40, "given": 39}


@pytest.mark.spec("CO-29")
def test_equal_progress_is_accepted_and_may_name_another_step() -> None:
    running = job(Status.RUNNING, progress_percent=40, current_step="cut")
    same = Change(Action.PROGRESS, {"progress_percent": 40, "current_step": "cut"})
    assert apply(running, same, NOW) is running
    moved = apply(running, Change(Action.PROGRESS, {"progress_percent": 40, "current_step": "sew"}), NOW)
    assert (moved.progress_percent, moved.current_step) == (40, "sew")


@pytest.mark.spec("CO-29")
def test_a_new_attempt_starts_at_zero() -> None:
    running = job(Status.RUNNING, progress_percent=40, current_step="cut", attempts=1)
    queued = apply(running, Change(Action.QUEUE), NOW)
    assert (queued.progress_percent, queued.current_step, queued.queued_at) == (0, None, NOW)
    again = apply(queued, Change(Action.RUN), NOW)
    assert (again.attempts, again.started_at) == (2, NOW)


@pytest.mark.spec("CO-29")
def test_completion_sets_progress_to_a_hundred_and_failure_leaves_it() -> None:
    running = job(Status.RUNNING, progress_percent=40)
    assert apply(running, change(Action.COMPLETE), NOW).progress_percent == 100
    assert apply(running, change(Action.FAIL), NOW).progress_percent == 40


@pytest.mark.spec("CO-30")
@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
def test_no_action_leads_out_of_a_terminal_status(status: Status) -> None:
    assert not any(isinstance(outcome, Status) for outcome in TABLE[status].values())


@pytest.mark.parametrize("action", [Action.COMPLETE, Action.FAIL, Action.CANCEL])
def test_the_end_of_a_job_has_a_time(action: Action) -> None:
    assert apply(job(Status.RUNNING), change(action), NOW).finished_at == NOW
