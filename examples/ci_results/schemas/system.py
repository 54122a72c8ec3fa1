"""What the operations on logs, files and the system take and answer (CI-65, CI-66, CI-70 to CI-77)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from examples.ci_results.enumerations import Platform, RunStatus
from examples.ci_results.models.queue import Queued
from examples.ci_results.schemas.fields import (
    Count,
    CursorPagination,
    CursorQuery,
    Given,
    Id,
    Instant,
    OffsetQuery,
    Pagination,
    Text,
)
from examples.ci_results.services.artifacts import TYPES, Stored, download_url
from examples.ci_results.services.health import Health, HealthStatus
from examples.ci_results.services.logs import Line, LineFilter
from examples.ci_results.services.storage import StorageStatus

Level = Literal["debug", "info", "warning", "error", "critical"]
Source = Literal["orchestrator", "worker", "build", "test_runner", "web"]
ArtifactType = Literal[
    "build_log",
    "sample_log",
    "expected_output",
    "actual_output",
    "binary",
    "coredump",
    "combined_stdout",
]
Contains = Annotated[str, Field(max_length=100)]


class SampleLogQuery(CursorQuery):
    """Which lines of the logs of a sample."""

    level: Level | None = None
    contains: Contains | None = None

    def filter(self) -> LineFilter:
        """The same for the reader."""
        return LineFilter(self.level, None, self.contains)


class RunLogQuery(CursorQuery):
    """Which lines of the log of a run."""

    level: Level | None = None
    source: Source | None = None
    contains: Contains | None = None

    def filter(self) -> LineFilter:
        """The same for the reader."""
        return LineFilter(self.level, self.source, self.contains)


class LineView(Given):
    """One line of a log."""

    timestamp: Instant | None
    level: Level
    source: Source
    message: Annotated[str, Field(max_length=4000)]
    run_id: Id
    sample_id: Id | None


class LogView(Given):
    """A page of a log."""

    data: list[LineView]
    pagination: CursorPagination


class QueueQuery(OffsetQuery):
    """Which part of the queue."""

    platform: Platform | None = None
    status: Literal[RunStatus.QUEUED, RunStatus.RUNNING] | None = None


class QueuedView(Given):
    """A run that waits or runs."""

    run_id: Id
    status: Annotated[str, Field(json_schema_extra={"enum": ["queued", "running"]})]
    platform: Platform
    queued_at: Instant
    started_at: Instant | None
    position: Id | None


class QueueView(Given):
    """A page of the queue, and how much there is of it."""

    queue_depth: Count
    running_count: Count
    data: list[QueuedView]
    pagination: Pagination


class ArtifactsQuery(OffsetQuery):
    """Which files of a run."""

    type: ArtifactType | None = None


class ArtifactView(Given):
    """A file of a run."""

    artifact_id: Id
    run_id: Id
    sample_id: Id | None
    type: Annotated[str, Field(json_schema_extra={"enum": list(TYPES)})]
    filename: Text
    content_type: Text
    size_bytes: Count | None
    storage_status: StorageStatus
    download_url: Text | None


class ArtifactsView(Given):
    """A page of the files of a run."""

    data: list[ArtifactView]
    pagination: Pagination


class DependencyView(Given):
    """A part that the service depends on."""

    name: Literal["database", "local_storage", "object_storage", "key_store"]
    status: HealthStatus
    message: Text | None


class HealthView(Given):
    """How the service is; the parts only for who may see them."""

    status: HealthStatus
    checked_at: Instant
    dependencies: list[DependencyView]


def line_view(line: Line) -> LineView:
    """A line as it is shown."""
    return LineView(**line._asdict())


def queued_view(row: Queued) -> QueuedView:
    """A run of the queue as it is shown."""
    return QueuedView(
        run_id=row.id,
        status=row.status.value,
        platform=row.platform,
        queued_at=row.created_at,
        started_at=row.started_at,
        position=row.position,
    )


def artifact_view(stored: Stored) -> ArtifactView:
    """A file as it is shown."""
    row, status, size = stored
    return ArtifactView(
        artifact_id=row.id,
        run_id=row.run_id,
        sample_id=row.sample_id,
        type=row.type,
        filename=row.filename,
        content_type=row.content_type,
        size_bytes=size,
        storage_status=status,
        download_url=download_url(row.id, status),
    )


def health_view(health: Health, *, in_detail: bool) -> HealthView:
    """The state as it is shown."""
    parts = [DependencyView(**part._asdict()) for part in health.dependencies] if in_detail else []
    return HealthView(status=health.status, checked_at=health.checked_at, dependencies=parts)
