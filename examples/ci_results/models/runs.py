"""Runs, their progress, and the lists that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import aliased

from examples.ci_results.enumerations import (
    TERMINAL,
    Origin,
    Platform,
    RunStatus,
    SampleStatus,
    Stage,
    TestType,
)
from examples.ci_results.models.tables import repository, run, run_progress, run_test, user

S = TypeVar("S", bound=Select[Any])


class Run(NamedTuple):
    """A run with the names of what it is of."""

    id: int
    platform: Platform
    test_type: TestType
    repository: str
    branch: str
    commit_sha: str
    pr_number: int | None
    created_at: datetime
    status: RunStatus
    started_at: datetime | None
    completed_at: datetime | None
    run_key_id: str | None
    lease_ends_at: datetime | None
    created_by: str | None

    @property
    def is_terminal(self) -> bool:
        """Whether its status never changes again."""
        return self.status in TERMINAL


class Progress(NamedTuple):
    """One progress event; `step` is its place within the run."""

    id: int
    run_id: int
    status: Stage
    origin: Origin
    timestamp: datetime
    message: str
    error_type: str | None
    step: int


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a list shows; None leaves a column open."""

    platform: Platform | None = None
    branch: str | None = None
    commit_sha: str | None = None
    repository: str | None = None
    status: RunStatus | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


_RUN = (
    run.c.id,
    run.c.platform,
    run.c.test_type,
    repository.c.url,
    run.c.branch,
    run.c.commit_sha,
    run.c.pr_number,
    run.c.created_at,
    run.c.status,
    run.c.started_at,
    run.c.completed_at,
    run.c.run_key_id,
    run.c.lease_ends_at,
    user.c.name,
)
_FROM = run.join(repository).outerjoin(user)
SORTS: dict[str, tuple[ColumnElement[Any], ...]] = {
    "created_at": (run.c.created_at.asc(), run.c.id.asc()),
    "-created_at": (run.c.created_at.desc(), run.c.id.desc()),
    "run_id": (run.c.id.asc(),),
    "-run_id": (run.c.id.desc(),),
}


def get(connection: Connection, run_id: int) -> Run | None:
    """One run."""
    row = connection.execute(select(*_RUN).select_from(_FROM).where(run.c.id == run_id)).one_or_none()
    return None if row is None else Run(*tuple(row))


def hold(connection: Connection, run_id: int) -> Run | None:
    """One run, which nobody else changes until this transaction ends."""
    connection.execute(select(run.c.id).where(run.c.id == run_id).with_for_update())
    return get(connection, run_id)


def find(connection: Connection, wanted: RunFilter, *, sort: str, limit: int, offset: int) -> Sequence[Run]:
    """A page of runs."""
    found = _filtered(select(*_RUN).select_from(_FROM), wanted)
    rows = connection.execute(found.order_by(*SORTS[sort]).limit(limit).offset(offset))
    return [Run(*tuple(row)) for row in rows]


def count(connection: Connection, wanted: RunFilter) -> int:
    """How many runs a filter lets through."""
    return connection.execute(_filtered(select(func.count()).select_from(_FROM), wanted)).scalar_one()


def _filtered(statement: S, wanted: RunFilter) -> S:
    conditions: list[ColumnElement[bool]] = []
    for column, value in (
        (run.c.platform, wanted.platform),
        (run.c.branch, wanted.branch),
        (run.c.commit_sha, wanted.commit_sha),
        (run.c.status, wanted.status),
    ):
        if value is not None:
            conditions.append(column == value)
    if wanted.repository is not None:
        conditions.append(func.lower(repository.c.url) == wanted.repository.lower())
    if wanted.created_after is not None:
        conditions.append(run.c.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(run.c.created_at <= wanted.created_before)
    return statement.where(and_(True, *conditions))


def add(
    connection: Connection,
    *,
    platform: Platform,
    test_type: TestType,
    repository_name: str,
    branch: str,
    commit_sha: str,
    pr_number: int | None,
    created_by: int | None,
    created_at: datetime,
    lease_ends_at: datetime | None = None,
) -> int:
    """Write a run that waits in the queue; returns its id. No worker is given one whose lease has an end."""
    row = {
        "platform": platform,
        "test_type": test_type,
        "repository_id": _repository(connection, repository_name),
        "branch": branch,
        "commit_sha": commit_sha,
        "pr_number": pr_number,
        "created_by": created_by,
        "created_at": created_at,
        "status": RunStatus.QUEUED,
        "lease_ends_at": lease_ends_at,
    }
    made: int = connection.execute(insert(run).returning(run.c.id), row).scalar_one()
    return made


def _repository(connection: Connection, name: str) -> int:
    found = select(repository.c.id).where(func.lower(repository.c.url) == name.lower())
    known: int | None = connection.execute(found).scalar()
    if known is not None:
        return known
    made: int = connection.execute(insert(repository).returning(repository.c.id), {"url": name}).scalar_one()
    return made


def note_progress(
    connection: Connection,
    run_id: int,
    status: Stage,
    *,
    origin: Origin,
    at: datetime,
    message: str,
    error_type: str | None = None,
) -> None:
    """Write a progress event."""
    row = {
        "run_id": run_id,
        "status": status,
        "origin": origin,
        "timestamp": at,
        "message": message,
        "error_type": error_type,
    }
    connection.execute(insert(run_progress), row)


def progress(
    connection: Connection, run_id: int, *, status: Stage | None, limit: int, offset: int
) -> Sequence[Progress]:
    """A page of the progress of a run, the oldest first. Steps are counted before the filter."""
    step = func.row_number().over(order_by=run_progress.c.id).label("step")
    all_steps = aliased(select(run_progress, step).where(run_progress.c.run_id == run_id).subquery())
    found = select(all_steps).order_by(all_steps.c.id).limit(limit).offset(offset)
    if status is not None:
        found = found.where(all_steps.c.status == status)
    return [Progress(*row) for row in connection.execute(found)]


def count_progress(connection: Connection, run_id: int, *, status: Stage | None) -> int:
    """How many progress events there are."""
    found = select(func.count()).select_from(run_progress).where(run_progress.c.run_id == run_id)
    if status is not None:
        found = found.where(run_progress.c.status == status)
    return connection.execute(found).scalar_one()


def latest_stage(connection: Connection, run_id: int) -> Stage | None:
    """What the latest progress event says."""
    found = (
        select(run_progress.c.status)
        .where(run_progress.c.run_id == run_id)
        .order_by(run_progress.c.id.desc())
        .limit(1)
    )
    return connection.execute(found).scalar()


def stage_times(connection: Connection, run_id: int) -> tuple[datetime | None, datetime | None]:
    """When testing began, and when the run ended."""
    at, status = run_progress.c.timestamp, run_progress.c.status
    ended = status.in_([Stage.COMPLETED, Stage.CANCELED])
    found = select(
        func.min(case((status == Stage.TESTING, at)), type_=at.type),
        func.min(case((ended, at)), type_=at.type),
    ).where(run_progress.c.run_id == run_id)
    started_at, ended_at = connection.execute(found).one()
    return started_at, ended_at


def write_status(
    connection: Connection,
    run_id: int,
    status: RunStatus,
    *,
    started_at: datetime | None,
    completed_at: datetime | None,
) -> None:
    """Write what services/statuses.py found; nobody else calls this."""
    values = {"status": status, "started_at": started_at, "completed_at": completed_at}
    connection.execute(update(run).where(run.c.id == run_id).values(values))


def write_lease(connection: Connection, run_id: int, *, key_id: str | None, ends_at: datetime | None) -> None:
    """Say which key reports on a run, and until when."""
    values = {"run_key_id": key_id, "lease_ends_at": ends_at}
    connection.execute(update(run).where(run.c.id == run_id).values(values))


def next_queued(connection: Connection, platform: Platform) -> int | None:
    """The oldest queued run of a platform that no worker has; it is not held."""
    found = (
        select(run.c.id)
        .where(run.c.status == RunStatus.QUEUED, run.c.platform == platform, run.c.lease_ends_at.is_(None))
        .order_by(run.c.created_at, run.c.id)
        .limit(1)
    )
    return connection.execute(found).scalar()


def overdue(connection: Connection, now: datetime) -> Sequence[int]:
    """Runs whose key expired before they ended."""
    found = select(run.c.id).where(run.c.lease_ends_at <= now, run.c.status.not_in(sorted(TERMINAL)))
    return connection.execute(found).scalars().all()


def counts(connection: Connection, run_id: int) -> dict[SampleStatus, int]:
    """How many tests of a run have each status."""
    found = (
        select(run_test.c.status, func.count()).where(run_test.c.run_id == run_id).group_by(run_test.c.status)
    )
    return {row[0]: row[1] for row in connection.execute(found)}


def ids(connection: Connection) -> Sequence[int]:
    """Every run."""
    return connection.execute(select(run.c.id).order_by(run.c.id)).scalars().all()
