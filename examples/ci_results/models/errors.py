"""The errors of a run (CI-67), derived from the rows that its status is derived from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Integer,
    Select,
    String,
    Subquery,
    and_,
    func,
    literal,
    null,
    select,
    type_coerce,
    union_all,
)

from examples.ci_results.enumerations import ErrorGroup, ErrorType, Severity, Verdict
from examples.ci_results.models.tables import regression_test, regression_test_output, run_output, run_test

S = TypeVar("S", bound=Select[Any])
SEVERITIES = (Severity.WARNING, Severity.ERROR, Severity.CRITICAL)
"""From bad to worst; statements know a severity by its place in here."""
_SEVERITY_OF: Mapping[ErrorType, Severity] = {
    ErrorType.EXIT_CODE: Severity.ERROR,
    ErrorType.MISSING: Severity.ERROR,
    ErrorType.DIFFERENT: Severity.WARNING,
}
MAX_SAMPLES = 1_000
"""Ids of samples that a bucket names."""


class ErrorRow(NamedTuple):
    """One error; an output and its file name only where it is about one."""

    type: ErrorType
    severity: Severity
    regression_test_id: int
    sample_id: int
    output_id: int | None
    filename: str | None
    exit_code: int
    expected_rc: int
    occurred_at: datetime


class Bucket(NamedTuple):
    """Errors that have their `key` in common; the severity is the worst of them."""

    key: str | int
    errors: int
    severity: Severity
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class ErrorFilter:
    """Which errors of a run."""

    type: ErrorType | None = None
    severity: Severity | None = None
    sample_id: int | None = None


def find(
    connection: Connection, run_id: int, wanted: ErrorFilter, *, limit: int, offset: int
) -> Sequence[ErrorRow]:
    """A page of the errors of a run, by test, then by output; that of an exit code comes first."""
    error = _derived(run_id)
    found = _filtered(select(error), error, wanted)
    order = (error.c.regression_test_id, func.coalesce(error.c.output_id, 0))
    rows = connection.execute(found.order_by(*order).limit(limit).offset(offset))
    return [ErrorRow(ErrorType(row[0]), SEVERITIES[row[1]], *row[2:]) for row in rows]


def count(connection: Connection, run_id: int, wanted: ErrorFilter | None = None) -> int:
    """How many errors a run has."""
    error = _derived(run_id)
    found = _filtered(select(func.count()).select_from(error), error, wanted or ErrorFilter())
    return connection.execute(found).scalar_one()


def buckets(
    connection: Connection, run_id: int, wanted: ErrorFilter, *, by: ErrorGroup, limit: int, offset: int
) -> Sequence[Bucket]:
    """A page of the errors of a run, counted by what they have in common, in the order of that."""
    error = _derived(run_id)
    key = _key(error, by)
    columns = (
        key,
        func.count(),
        func.max(error.c.severity),
        func.min(error.c.occurred_at),
        func.max(error.c.occurred_at),
    )
    found = _filtered(select(*columns), error, wanted).group_by(key)
    rows = connection.execute(found.order_by(key).limit(limit).offset(offset))
    return [Bucket(row[0], row[1], SEVERITIES[row[2]], row[3], row[4]) for row in rows]


def count_buckets(connection: Connection, run_id: int, wanted: ErrorFilter, *, by: ErrorGroup) -> int:
    """How many buckets there are."""
    error = _derived(run_id)
    found = _filtered(select(func.count(_key(error, by).distinct())), error, wanted)
    return connection.execute(found).scalar_one()


def samples_of(
    connection: Connection, run_id: int, wanted: ErrorFilter, *, by: ErrorGroup, keys: Sequence[str | int]
) -> Mapping[str | int, list[int]]:
    """The first samples of each of these buckets, by id, in one statement."""
    error = _derived(run_id)
    key = _key(error, by).label("key")
    pairs = _filtered(select(key, error.c.sample_id).where(key.in_(keys)), error, wanted)
    pair = pairs.distinct().subquery()
    number = func.row_number().over(partition_by=pair.c.key, order_by=pair.c.sample_id).label("number")
    numbered = select(pair, number).subquery()
    found = select(numbered.c.key, numbered.c.sample_id).where(numbered.c.number <= MAX_SAMPLES)
    by_key: dict[str | int, list[int]] = {}
    for one, sample_id in connection.execute(found.order_by(numbered.c.key, numbered.c.sample_id)):
        by_key.setdefault(one, []).append(sample_id)
    return by_key


def _key(error: Subquery, by: ErrorGroup) -> ColumnElement[Any]:
    return {
        ErrorGroup.TYPE: error.c.type,
        ErrorGroup.SEVERITY: error.c.severity,
        ErrorGroup.SAMPLE_ID: error.c.sample_id,
        ErrorGroup.REGRESSION_ID: error.c.regression_test_id,
    }[by]


def _filtered(statement: S, error: Subquery, wanted: ErrorFilter) -> S:
    conditions: list[ColumnElement[bool]] = []
    if wanted.type is not None:
        conditions.append(error.c.type == wanted.type.value)
    if wanted.severity is not None:
        conditions.append(error.c.severity == SEVERITIES.index(wanted.severity))
    if wanted.sample_id is not None:
        conditions.append(error.c.sample_id == wanted.sample_id)
    return statement.where(and_(True, *conditions))


def _derived(run_id: int) -> Subquery:
    """Every error of a run."""
    every: CompoundSelect[Any] = union_all(
        _exit_codes(run_id),
        _outputs(run_id, ErrorType.MISSING, run_output.c.verdict.is_(None)),
        _outputs(run_id, ErrorType.DIFFERENT, run_output.c.verdict == Verdict.DIFFERENT),
    )
    return every.subquery()


def _named(kind: ErrorType) -> tuple[ColumnElement[Any], ...]:
    severity = SEVERITIES.index(_SEVERITY_OF[kind])
    return literal(kind.value).label("type"), literal(severity).label("severity")


def _exit_codes(run_id: int) -> Select[Any]:
    return (
        select(
            *_named(ErrorType.EXIT_CODE),
            run_test.c.regression_test_id,
            regression_test.c.sample_id,
            type_coerce(null(), Integer).label("output_id"),
            type_coerce(null(), String).label("filename"),
            run_test.c.exit_code,
            run_test.c.expected_rc,
            run_test.c.reported_at.label("occurred_at"),
        )
        .select_from(run_test.join(regression_test))
        .where(
            run_test.c.run_id == run_id,
            run_test.c.reported_at.is_not(None),
            run_test.c.exit_code != run_test.c.expected_rc,
        )
    )


def _outputs(run_id: int, kind: ErrorType, is_so: ColumnElement[bool]) -> Select[Any]:
    """Required outputs of reported tests of which this is so."""
    return (
        select(
            *_named(kind),
            run_output.c.regression_test_id,
            regression_test.c.sample_id,
            run_output.c.output_id,
            regression_test_output.c.filename,
            run_test.c.exit_code,
            run_test.c.expected_rc,
            run_test.c.reported_at.label("occurred_at"),
        )
        .select_from(run_output.join(run_test).join(regression_test))
        .join(regression_test_output, regression_test_output.c.id == run_output.c.output_id)
        .where(
            run_output.c.run_id == run_id,
            run_output.c.required,
            run_test.c.reported_at.is_not(None),
            is_so,
        )
    )
