"""The life of a job: which action each status allows, and what it makes of the job.

Pure functions of a job, a change and a time; nothing here reads a clock or a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any

from examples.coordinator.job import Job, Status
from examples.coordinator.problems import Conflict, InvalidTransition, ProgressRegression
from examples.coordinator.strict_json import canonical


class Action(StrEnum):
    """What a caller asks of a job; `queued`, `running` and `cancelled` are asked as a status."""

    DISPATCH = "dispatch"
    QUEUE = "queued"
    RUN = "running"
    CANCEL = "cancelled"
    COMPLETE = "complete"
    FAIL = "fail"
    PROGRESS = "progress"


class Effect(Enum):
    """What an allowed action does when it moves the job to no other status."""

    STAY = "success without change"
    REPEAT = "success without change for the same body, else a conflict"
    REPORT = "progress, which never falls"


TABLE: Mapping[Status, Mapping[Action, Status | Effect]] = MappingProxyType(
    {
        Status.PENDING: {
            Action.DISPATCH: Status.QUEUED,
            Action.QUEUE: Status.QUEUED,
            Action.CANCEL: Status.CANCELLED,
        },
        Status.QUEUED: {
            Action.DISPATCH: Effect.STAY,
            Action.QUEUE: Effect.STAY,
            Action.RUN: Status.RUNNING,
            Action.CANCEL: Status.CANCELLED,
            Action.FAIL: Status.FAILED,
        },
        Status.RUNNING: {
            Action.QUEUE: Status.QUEUED,
            Action.RUN: Effect.STAY,
            Action.CANCEL: Status.CANCELLED,
            Action.COMPLETE: Status.COMPLETED,
            Action.FAIL: Status.FAILED,
            Action.PROGRESS: Effect.REPORT,
        },
        Status.COMPLETED: {Action.COMPLETE: Effect.REPEAT},
        Status.FAILED: {Action.FAIL: Effect.REPEAT},
        Status.CANCELLED: {Action.CANCEL: Effect.STAY},
    }
)
"""Every action that a status allows. What is not here is refused and changes nothing."""


@dataclass(frozen=True, slots=True)
class Change:
    """An action and the fields of the job that its body sets."""

    action: Action
    fields: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    """Why, in the caller's words; it is kept in the audit table alone."""


def apply(job: Job, change: Change, at: datetime) -> Job:
    """The job after a change; the job itself when the change is allowed and alters nothing.

    Raises InvalidTransition, Conflict or ProgressRegression.
    """
    match TABLE[job.status].get(change.action):
        case None:
            raise _refused(job, change.action)
        case Effect.STAY:
            return job
        case Effect.REPEAT:
            return _repeated(job, change)
        case Effect.REPORT:
            return _reported(job, change)
        case Status() as target:
            return replace(job, **_entering(target, job, at), **change.fields, status=target)


def _entering(target: Status, job: Job, at: datetime) -> dict[str, Any]:
    """What a job gains with its new status. Queueing it begins an attempt, and an attempt begins at 0."""
    match target:
        case Status.QUEUED:
            return {"queued_at": at, "progress_percent": 0, "current_step": None}
        case Status.RUNNING:
            return {"started_at": at, "attempts": job.attempts + 1}
        case Status.COMPLETED:
            return {"finished_at": at, "progress_percent": 100}
        case _:
            return {"finished_at": at}


def _repeated(job: Job, change: Change) -> Job:
    if any(canonical(getattr(job, name)) != canonical(value) for name, value in change.fields.items()):
        raise Conflict(f"The job is {job.status} already, with another body.")
    return job


def _reported(job: Job, change: Change) -> Job:
    given = change.fields["progress_percent"]
    if given < job.progress_percent:
        raise ProgressRegression(
            "Progress never falls within an attempt.", current=job.progress_percent, given=given
        )
    reported = replace(job, **change.fields)
    return job if reported == job else reported


def _refused(job: Job, action: Action) -> InvalidTransition:
    allowed = [str(one) for one in TABLE[job.status]]
    return InvalidTransition(
        f"A job that is {job.status} does not take the action {action}.",
        **{"from": str(job.status), "action": str(action), "allowed": allowed},
    )
