"""The job as a value, and the words for its status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

DEFAULT_TENANT = "default"


class Status(StrEnum):
    """Where a job stands. The last three are terminal: they never change again."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work. `revision` grows by one with each change and is what a change is guarded by."""

    id: str
    type: str
    payload: Mapping[str, Any]
    source: Mapping[str, Any] | None
    priority: int
    created_by: str
    updated_by: str
    created_at: datetime
    updated_at: datetime
    tenant: str = DEFAULT_TENANT
    status: Status = Status.PENDING
    progress_percent: int = 0
    current_step: str | None = None
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    attempts: int = 0
    """How many times the job entered `running`."""
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    revision: int = 1
