"""What clients send and what they are sent: the one description of every body.

Strict: no text is read as a number, and a field that is not named here is refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from examples.coordinator.job import Status
from examples.coordinator.strict_json import write

MAX_OBJECT_BYTES = 64 * 1024


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    if len(write(value).encode()) > MAX_OBJECT_BYTES:
        raise ValueError(f"has more than {MAX_OBJECT_BYTES} bytes of JSON")
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_bounded)]
Text200 = Annotated[str, Field(max_length=200)]
JobId = Annotated[str, Field(min_length=1, max_length=64)]


class Body(BaseModel):
    """A request body."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Source(Body):
    """Where a job comes from."""

    repository: Text200 | None = None
    issue: Annotated[int, Field(ge=1)] | None = None


class NewJob(Body):
    """A job to be created."""

    type: Annotated[str, Field(max_length=64, pattern=r"^[a-z][a-z0-9_.-]*$")]
    payload: JsonObject = Field(default_factory=dict)
    source: Source | None = None
    priority: Annotated[int, Field(ge=0, le=9)] = 5


class StatusChange(Body):
    """The status that a job shall have, and why."""

    status: Literal["queued", "running", "cancelled"]
    reason: Annotated[str, Field(max_length=500)] | None = None


class Progress(Body):
    """How far the current attempt is. Without `current_step` the step stays."""

    progress_percent: Annotated[int, Field(ge=0, le=100)]
    current_step: Text200 | None = None


class Completion(Body):
    """What a job brought."""

    result: JsonObject | None = None


class JobError(Body):
    """Why a job failed."""

    code: Annotated[str, Field(max_length=64)]
    message: Annotated[str, Field(max_length=1000)]
    retryable: bool = False


class Failure(Body):
    """The failure of a job."""

    error: JobError


class Dispatch(Body):
    """The job that is to be queued by hand."""

    job_id: JobId


class WebhookEvent(Body):
    """What the bot tells. `job` belongs to job.requested, `job_id` to job.cancel_requested."""

    event: Literal["job.requested", "job.cancel_requested", "ping"]
    job: NewJob | None = Field(default=None, validate_default=True)
    job_id: JobId | None = Field(default=None, validate_default=True)

    @field_validator("job", "job_id")
    @classmethod
    def _belongs(cls, value: object, info: ValidationInfo) -> object:
        owner = {"job": "job.requested", "job_id": "job.cancel_requested"}[info.field_name or ""]
        event = info.data.get("event")
        if event == owner and value is None:
            raise ValueError(f"is required by {owner}")
        if event not in (None, owner) and value is not None:
            raise ValueError(f"belongs to {owner} alone")
        return value


class JobView(BaseModel):
    """A job as clients see it. Times are UTC with `Z`, null until known."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    tenant: str
    type: str
    payload: dict[str, Any]
    source: Source | None
    priority: int
    status: Status
    progress_percent: int
    current_step: str | None
    result: dict[str, Any] | None
    error: JobError | None
    attempts: int
    created_by: str
    updated_by: str
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime


class Accepted(BaseModel):
    """The answer to a webhook; `job_id` is the job that it made or cancelled."""

    accepted: Literal[True] = True
    job_id: str | None = None


class Check(BaseModel):
    """One part of the service."""

    name: Literal["database", "key_store", "limiter"]
    status: Literal["ok", "degraded", "down"]


class Health(BaseModel):
    """The worst of its checks."""

    status: Literal["ok", "degraded", "down"]
    checked_at: datetime
    checks: list[Check]


class ProblemView(BaseModel):
    """An error (RFC 9457), with two members of our own."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    details: dict[str, Any]
