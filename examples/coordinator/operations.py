"""The one table of what this service offers: guard, routes, OpenAPI document and tests are built from it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from examples.coordinator import bodies


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. Its name is that of the function in `routes.py` that does it."""

    name: str
    method: str
    path: str
    scope: str | None
    """What a key must hold; None for the one operation that is open."""
    summary: str
    success: int
    answer: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    errors: tuple[int, ...] = ()
    """The statuses of its own, beside those that every operation shares."""


_JOB = "/coordinator/jobs/{id}"

OPERATIONS = (
    Operation(
        "create_job", "POST", "/coordinator/jobs", "jobs:create", "Create a job",
        201, bodies.JobView, bodies.NewJob, (409, 422),
    ),
    Operation(
        "change_status", "PATCH", f"{_JOB}/status", "jobs:update", "Change the status",
        200, bodies.JobView, bodies.StatusChange, (404, 409, 422),
    ),
    Operation(
        "report_progress", "PATCH", f"{_JOB}/progress", "jobs:update", "Report progress",
        200, bodies.JobView, bodies.Progress, (404, 409, 422),
    ),
    Operation(
        "complete_job", "POST", f"{_JOB}/complete", "jobs:finish", "Mark complete",
        200, bodies.JobView, bodies.Completion, (404, 409, 422),
    ),
    Operation(
        "fail_job", "POST", f"{_JOB}/fail", "jobs:finish", "Mark failed",
        200, bodies.JobView, bodies.Failure, (404, 409, 422),
    ),
    Operation(
        "get_job", "GET", _JOB, "jobs:read", "Job details",
        200, bodies.JobView, None, (404,),
    ),
    Operation(
        "get_health", "GET", "/coordinator/health", "health:read", "Detailed health",
        200, bodies.Health,
    ),
    Operation(
        "receive_webhook", "POST", "/stitcher/webhook", "webhook:send", "Event from the bot",
        202, bodies.Accepted, bodies.WebhookEvent, (409, 422),
    ),
    Operation(
        "dispatch_job", "POST", "/stitcher/dispatch", "jobs:dispatch", "Manual dispatch of a job",
        202, bodies.JobView, bodies.Dispatch, (404, 409, 422),
    ),
    Operation("livez", "GET", "/livez", None, "Liveness", 200),
)  # fmt: skip

BY_NAME = {operation.name: operation for operation in OPERATIONS}
