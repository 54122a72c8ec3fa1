"""The queue: runs that wait for a worker, and runs under way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, case, func, literal, select

from examples.ci_results.enumerations import Platform, RunStatus
from examples.ci_results.models.tables import run


class Queued(NamedTuple):
    """A run in the queue, or under way; `position` counts from 1 among the queued of its platform."""

    id: int
    status: RunStatus
    platform: Platform
    created_at: datetime
    started_at: datetime | None
    position: int | None


def find(
    connection: Connection,
    *,
    platform: Platform | None,
    status: RunStatus | None,
    limit: int,
    offset: int,
) -> Sequence[Queued]:
    """A page of what waits and what runs, by id. Positions are counted before the filters."""
    rank = func.row_number().over(
        partition_by=(run.c.platform, run.c.status), order_by=(run.c.created_at, run.c.id)
    )
    position = case((run.c.status == RunStatus.QUEUED, rank), else_=literal(None)).label("position")
    columns = (run.c.id, run.c.status, run.c.platform, run.c.created_at, run.c.started_at)
    live = select(*columns, position).where(run.c.status.in_([RunStatus.QUEUED, RunStatus.RUNNING]))
    ranked = live.subquery()
    found = select(ranked).order_by(ranked.c.id).limit(limit).offset(offset)
    if platform is not None:
        found = found.where(ranked.c.platform == platform)
    if status is not None:
        found = found.where(ranked.c.status == status)
    return [Queued(*row) for row in connection.execute(found)]


def counts(connection: Connection, *, platform: Platform | None) -> dict[RunStatus, int]:
    """How many runs wait, and how many run."""
    found = select(run.c.status, func.count()).where(run.c.status.in_([RunStatus.QUEUED, RunStatus.RUNNING]))
    if platform is not None:
        found = found.where(run.c.platform == platform)
    rows = connection.execute(found.group_by(run.c.status))
    return {row[0]: row[1] for row in rows}
