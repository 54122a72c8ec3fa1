"""What the run operations take and answer (CI-39 to CI-47)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictStr, model_validator
from pydantic.json_schema import SkipJsonSchema

from examples.ci_results.enumerations import Platform, RunStatus, SampleStatus, Stage, TestType
from examples.ci_results.models.runs import Progress, Run, RunFilter
from examples.ci_results.problems import Invalid, Unprocessable
from examples.ci_results.schemas.fields import (
    NO_ZERO,
    BodyId,
    Count,
    Given,
    Id,
    Instant,
    OffsetQuery,
    Pagination,
    Taken,
    Text,
)
from examples.ci_results.services.runs import Canceled, NewRun, Summary
from examples.ci_results.settings import MAX_REPOSITORY, is_repository

MAX_TESTS = 500
_OFFSET = re.compile(r"(?:Z|[+-]\d{2}:\d{2})\Z")
_REPOSITORY_PATTERN = r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$"


def _repository(text: str) -> str:
    if not is_repository(text):
        raise ValueError("Give `owner/repository`.")
    return text


def _time(value: Any) -> Any:
    """ISO 8601 with an offset (CI-9); one without is well formed, and means nothing."""
    if not isinstance(value, str):
        return value
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("Give a time such as 2030-01-31T12:00:00Z.") from None
    if found.tzinfo is None:
        raise Unprocessable("A time needs an offset, or `Z`.")
    return found


Repository = Annotated[
    str,
    Field(max_length=MAX_REPOSITORY, json_schema_extra={"pattern": _REPOSITORY_PATTERN}),
    AfterValidator(_repository),
]
CommitSha = Annotated[str, Field(pattern="^[0-9A-Fa-f]{40}$")]
RequestTime = Annotated[datetime, BeforeValidator(_time), Field(json_schema_extra={"format": "date-time"})]
TestIds = Annotated[
    list[BodyId],
    Field(min_length=1, max_length=MAX_TESTS, json_schema_extra={"uniqueItems": True}),
]


def _or_absent(schema: dict[str, Any]) -> None:
    """What may be left out and is never null has no default in its schema."""
    schema.pop("default", None)


class PeriodQuery(OffsetQuery):
    """A list that may be narrowed to a time."""

    created_after: RequestTime | None = None
    created_before: RequestTime | None = None

    def check_period(self) -> None:
        """Raises Invalid for a period that ends before it begins."""
        if self.created_after and self.created_before and self.created_after > self.created_before:
            message = "created_after is later than created_before."
            raise Invalid(message, fields={"created_after": [message]})


class RunsQuery(PeriodQuery):
    """Which runs."""

    platform: Platform | None = None
    branch: Annotated[str, Field(max_length=100, pattern=NO_ZERO)] | None = None
    commit_sha: CommitSha | None = None
    repository: Repository | None = None
    status: RunStatus | None = None
    sort: Literal["created_at", "-created_at", "run_id", "-run_id"] = "-created_at"

    def filter(self) -> RunFilter:
        """The same for the database."""
        return RunFilter(
            platform=self.platform,
            branch=self.branch,
            commit_sha=None if self.commit_sha is None else self.commit_sha.lower(),
            repository=self.repository,
            status=self.status,
            created_after=self.created_after,
            created_before=self.created_before,
        )


class NewRunBody(Taken):
    """The run that is wanted."""

    commit_sha: Annotated[StrictStr, Field(pattern="^[0-9A-Fa-f]{40}$")]
    platform: Platform
    repository: Repository
    branch: Annotated[StrictStr, Field(max_length=100, pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$")] = (
        "master"
    )
    pull_request: BodyId | None = None
    regression_test_ids: TestIds | SkipJsonSchema[None] = Field(default=None, json_schema_extra=_or_absent)

    @model_validator(mode="after")
    def _distinct(self) -> NewRunBody:
        ids = self.regression_test_ids
        if ids is not None and len(set(ids)) != len(ids):
            raise ValueError("Name each test once.")
        if "regression_test_ids" in self.model_fields_set and ids is None:
            raise ValueError("Leave regression_test_ids out for all active tests.")
        return self

    def wish(self) -> NewRun:
        """The same for the service."""
        return NewRun(
            self.repository,
            self.commit_sha,
            self.platform,
            self.branch,
            self.pull_request,
            self.regression_test_ids,
        )


class CancelBody(Taken):
    """Why."""

    reason: Annotated[StrictStr, Field(min_length=5, max_length=255, pattern=NO_ZERO)] | None = None


class ProgressQuery(OffsetQuery):
    """Which events."""

    status: Stage | None = None


class RunView(Given):
    """A run."""

    run_id: Id
    status: RunStatus
    platform: Platform
    test_type: TestType
    repository: Text
    branch: Text
    commit_sha: Text
    pr_number: Id | None
    created_at: Instant
    queued_at: Instant
    started_at: Instant | None
    completed_at: Instant | None
    github_link: Text


class RunsView(Given):
    """A page of runs."""

    data: list[RunView]
    pagination: Pagination


class SummaryView(Given):
    """The counts of a run: the four add up to the total (CI-47)."""

    run_id: Id
    status: RunStatus
    total_samples: Count
    pass_count: Count
    fail_count: Count
    skipped_count: Count
    missing_output_count: Count
    error_count: Count
    duration_ms: Count | None
    triggered_by: Text | None


class ProgressView(Given):
    """One progress event."""

    timestamp: Instant
    status: Stage
    message: Annotated[str, Field(max_length=500)]
    step: Id


class ProgressPage(Given):
    """A page of progress."""

    data: list[ProgressView]
    pagination: Pagination


class ConfigView(Given):
    """What a run was made with."""

    run_id: Id
    platform: Platform
    branch: Text
    commit_sha: Text
    regression_test_ids: list[Id]


class CancelView(Given):
    """What became of a cancellation."""

    run_id: Id
    action: Literal["cancel"] = "cancel"
    status: Literal["accepted", "no_op"]
    message: Text


def run_view(run: Run, forge_url: str) -> RunView:
    """A run as it is shown."""
    place = f"commit/{run.commit_sha}" if run.pr_number is None else f"pull/{run.pr_number}"
    return RunView(
        run_id=run.id,
        status=run.status,
        platform=run.platform,
        test_type=run.test_type,
        repository=run.repository,
        branch=run.branch,
        commit_sha=run.commit_sha,
        pr_number=run.pr_number,
        created_at=run.created_at,
        queued_at=run.created_at,
        started_at=run.started_at,
        completed_at=run.completed_at,
        github_link=f"{forge_url}/{run.repository}/{place}",
    )


def summary_view(summary: Summary) -> SummaryView:
    """The counts as they are shown."""
    run, counts, errors = summary
    ended = run.started_at is not None and run.completed_at is not None
    duration = (run.completed_at - run.started_at).total_seconds() if ended else None  # type: ignore[operator]  # both are there
    return SummaryView(
        run_id=run.id,
        status=run.status,
        total_samples=sum(counts.values()),
        pass_count=counts.get(SampleStatus.PASS, 0),
        fail_count=counts.get(SampleStatus.FAIL, 0),
        skipped_count=counts.get(SampleStatus.NOT_STARTED, 0),
        missing_output_count=counts.get(SampleStatus.MISSING_OUTPUT, 0),
        error_count=errors,
        duration_ms=None if duration is None else int(duration * 1000),
        triggered_by=run.created_by,
    )


def progress_view(progress: Progress) -> ProgressView:
    """An event as it is shown."""
    return ProgressView(
        timestamp=progress.timestamp,
        status=progress.status,
        message=progress.message,
        step=progress.step,
    )


def cancel_view(canceled: Canceled) -> CancelView:
    """The answer to a cancellation."""
    if canceled.accepted:
        return CancelView(run_id=canceled.run_id, status="accepted", message="The run is canceled.")
    return CancelView(run_id=canceled.run_id, status="no_op", message="The run had ended before.")
