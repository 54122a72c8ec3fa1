"""The infrastructure errors of a run (CI-68), derived from its progress events and its results.

At most one event ends a run, so a page is short; it is filtered and cut in SQL all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    String,
    Subquery,
    case,
    func,
    literal,
    null,
    or_,
    select,
    type_coerce,
    union_all,
)

from examples.ci_results.enumerations import InfrastructureType, Origin, RunStatus, Stage
from examples.ci_results.models.tables import run, run_progress, run_test

S = TypeVar("S", bound=Select[Any])
WORDS: Sequence[tuple[InfrastructureType, Sequence[str]]] = (
    (InfrastructureType.VM_PROVISIONING, ("provisioning", "vm", "instance")),
    (InfrastructureType.CHECKOUT, ("checkout", "clone", "fetch")),
    (InfrastructureType.MERGE, ("merge", "conflict")),
    (InfrastructureType.BUILD, ("build", "compile", "make")),
    (InfrastructureType.WORKER, ("worker", "timeout", "connection")),
    (InfrastructureType.STORAGE, ("storage", "disk", "bucket")),
)
"""What a message is about whose worker did not say so: the first of these that it holds, else the worker."""


class InfrastructureRow(NamedTuple):
    """One error: an event that canceled the run, or the tests that were not reported."""

    event_id: int | None
    type: InfrastructureType
    message: str | None
    missing_results: int
    occurred_at: datetime


def find(
    connection: Connection, run_id: int, *, kind: InfrastructureType | None, limit: int, offset: int
) -> Sequence[InfrastructureRow]:
    """A page of the infrastructure errors of a run, in the order in which they came about."""
    error = _derived(run_id)
    found = _filtered(select(error), error, kind).order_by(func.coalesce(error.c.event_id, 0))
    rows = connection.execute(found.limit(limit).offset(offset))
    return [InfrastructureRow(row[0], InfrastructureType(row[1]), *row[2:]) for row in rows]


def count(connection: Connection, run_id: int, *, kind: InfrastructureType | None) -> int:
    """How many there are."""
    error = _derived(run_id)
    found = _filtered(select(func.count()).select_from(error), error, kind)
    return connection.execute(found).scalar_one()


def _filtered(statement: S, error: Subquery, kind: InfrastructureType | None) -> S:
    return statement if kind is None else statement.where(error.c.type == kind.value)


def _derived(run_id: int) -> Subquery:
    return union_all(_cancellations(run_id), _incomplete(run_id)).subquery()


def _cancellations(run_id: int) -> Select[Any]:
    """The end of the run by anybody but a user, whatever the words of the message."""
    return select(
        run_progress.c.id.label("event_id"),
        func.coalesce(run_progress.c.error_type, _by_message()).label("type"),
        run_progress.c.message,
        literal(0).label("missing_results"),
        run_progress.c.timestamp.label("occurred_at"),
    ).where(
        run_progress.c.run_id == run_id,
        run_progress.c.status == Stage.CANCELED,
        run_progress.c.origin != Origin.USER,
    )


def _incomplete(run_id: int) -> Select[Any]:
    """A completed run that lacks results."""
    missing = (
        select(func.count())
        .select_from(run_test)
        .where(run_test.c.run_id == run_id, run_test.c.reported_at.is_(None))
        .scalar_subquery()
    )
    return select(
        type_coerce(null(), Integer).label("event_id"),
        literal(InfrastructureType.WORKER.value).label("type"),
        type_coerce(null(), String).label("message"),
        missing.label("missing_results"),
        run.c.completed_at.label("occurred_at"),
    ).where(run.c.id == run_id, run.c.status == RunStatus.ERROR)


def _by_message() -> ColumnElement[str]:
    found = [
        (or_(*(run_progress.c.message.icontains(word) for word in words)), literal(kind.value))
        for kind, words in WORDS
    ]
    return case(*found, else_=literal(InfrastructureType.WORKER.value))
