"""Samples and regression tests, and how they did in each run: lists whose statements do not grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, select

from examples.ci_results.enumerations import InputType, OutputType, Platform, SampleStatus, Verdict
from examples.ci_results.models.tables import (
    category,
    regression_test,
    regression_test_category,
    regression_test_output,
    run,
    run_output,
    run_test,
    sample,
    sample_tag,
    tag,
)

S = TypeVar("S", bound=Select[Any])
ESCAPE = "\\"


class RunSample(NamedTuple):
    """One test of a run, with the sample that it is of."""

    run_id: int
    regression_test_id: int
    sample_id: int
    sample_name: str
    status: SampleStatus
    exit_code: int | None
    expected_rc: int
    runtime_ms: int | None
    command: str
    reported_at: datetime | None


class SampleRow(NamedTuple):
    """A sample, and how many active tests it has."""

    id: int
    sha: str
    extension: str
    original_name: str
    regression_test_count: int


class TestRow(NamedTuple):
    """A regression test, with the sample that it is of."""

    id: int
    sample_id: int
    sample_name: str
    command: str
    input_type: InputType
    output_type: OutputType
    expected_rc: int
    active: bool
    description: str | None


class HistoryRow(NamedTuple):
    """How a test of a sample did in one run."""

    run_id: int
    regression_test_id: int
    status: SampleStatus
    platform: Platform
    branch: str
    commit_sha: str
    tested_at: datetime | None
    exit_code: int | None
    expected_rc: int


class ReportedOutput(NamedTuple):
    """An output of a test of a run, as it was reported."""

    run_id: int
    regression_test_id: int
    id: int
    filename: str
    required: bool
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class RunSampleFilter:
    """Which tests of a run."""

    status: SampleStatus | None = None
    name: str | None = None
    tag: str | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True)
class SampleFilter:
    """Which samples."""

    name: str | None = None
    extension: str | None = None
    tag: str | None = None
    sha256: str | None = None
    active: bool | None = None


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which runs of the tests of a sample."""

    status: SampleStatus | None = None
    branch: str | None = None
    platform: Platform | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class TestFilter:
    """Which regression tests."""

    active: bool = True
    category: str | None = None
    tag: str | None = None
    sample_id: int | None = None


_RUN_SAMPLE = (
    run_test.c.run_id,
    run_test.c.regression_test_id,
    sample.c.id,
    sample.c.original_name,
    run_test.c.status,
    run_test.c.exit_code,
    run_test.c.expected_rc,
    run_test.c.runtime_ms,
    regression_test.c.command,
    run_test.c.reported_at,
)
_RUN_SAMPLES = run_test.join(regression_test).join(sample)
_TESTS = regression_test.join(sample)
_HISTORY = run_test.join(run).join(regression_test)
_ACTIVE_TESTS = (
    select(func.count())
    .select_from(regression_test)
    .where(regression_test.c.sample_id == sample.c.id, regression_test.c.active)
    .correlate(sample)
    .scalar_subquery()
)


def of_run(
    connection: Connection, run_id: int, wanted: RunSampleFilter, *, limit: int, offset: int
) -> Sequence[RunSample]:
    """A page of the tests of a run, by id."""
    found = _of_run(select(*_RUN_SAMPLE).select_from(_RUN_SAMPLES), run_id, wanted)
    rows = connection.execute(found.order_by(run_test.c.regression_test_id).limit(limit).offset(offset))
    return [RunSample(*tuple(row)) for row in rows]


def count_of_run(connection: Connection, run_id: int, wanted: RunSampleFilter) -> int:
    """How many there are."""
    found = _of_run(select(func.count()).select_from(_RUN_SAMPLES), run_id, wanted)
    return connection.execute(found).scalar_one()


def one_of_run(connection: Connection, run_id: int, test_id: int) -> RunSample | None:
    """One test of a run."""
    found = (
        select(*_RUN_SAMPLE)
        .select_from(_RUN_SAMPLES)
        .where(run_test.c.run_id == run_id, run_test.c.regression_test_id == test_id)
    )
    row = connection.execute(found).one_or_none()
    return None if row is None else RunSample(*tuple(row))


def outputs_of(
    connection: Connection, places: Sequence[tuple[int, int]]
) -> Mapping[tuple[int, int], list[ReportedOutput]]:
    """The outputs of these tests of runs, each by id, in one statement."""
    run_ids, test_ids = {one for one, _ in places}, {one for _, one in places}
    found = (
        select(
            run_output.c.run_id,
            run_output.c.regression_test_id,
            run_output.c.output_id,
            regression_test_output.c.filename,
            run_output.c.required,
            run_output.c.verdict,
        )
        .join(regression_test_output, regression_test_output.c.id == run_output.c.output_id)
        .where(run_output.c.run_id.in_(run_ids), run_output.c.regression_test_id.in_(test_ids))
        .order_by(run_output.c.output_id)
    )
    by_place: dict[tuple[int, int], list[ReportedOutput]] = {place: [] for place in places}
    for row in connection.execute(found):
        by_place.get((row[0], row[1]), []).append(ReportedOutput(*row))
    return by_place


def categories_of(connection: Connection, test_ids: Sequence[int]) -> Mapping[int, list[str]]:
    """The categories of these tests, by name, in one statement."""
    link = regression_test_category
    found = (
        select(link.c.regression_test_id, category.c.name)
        .join(category)
        .where(link.c.regression_test_id.in_(set(test_ids)))
    )
    return _grouped(connection, found.order_by(category.c.name))


def tags_of(connection: Connection, sample_ids: Sequence[int]) -> Mapping[int, list[str]]:
    """The tags of these samples, by name, in one statement."""
    found = (
        select(sample_tag.c.sample_id, tag.c.name)
        .join(tag)
        .where(sample_tag.c.sample_id.in_(set(sample_ids)))
    )
    return _grouped(connection, found.order_by(tag.c.name))


def find(connection: Connection, wanted: SampleFilter, *, limit: int, offset: int) -> Sequence[SampleRow]:
    """A page of samples, by id."""
    columns = (sample.c.id, sample.c.sha, sample.c.extension, sample.c.original_name, _ACTIVE_TESTS)
    found = _samples(select(*columns), wanted).order_by(sample.c.id).limit(limit).offset(offset)
    return [SampleRow(*tuple(row)) for row in connection.execute(found)]


def count(connection: Connection, wanted: SampleFilter) -> int:
    """How many samples there are."""
    return connection.execute(_samples(select(func.count()).select_from(sample), wanted)).scalar_one()


def get(connection: Connection, sample_id: int) -> SampleRow | None:
    """One sample."""
    columns = (sample.c.id, sample.c.sha, sample.c.extension, sample.c.original_name, _ACTIVE_TESTS)
    row = connection.execute(select(*columns).where(sample.c.id == sample_id)).one_or_none()
    return None if row is None else SampleRow(*tuple(row))


def history(
    connection: Connection, sample_id: int, wanted: HistoryFilter, *, limit: int, offset: int
) -> Sequence[HistoryRow]:
    """A page of how the tests of a sample did, the newest run first."""
    columns = (
        run_test.c.run_id,
        run_test.c.regression_test_id,
        run_test.c.status,
        run.c.platform,
        run.c.branch,
        run.c.commit_sha,
        run_test.c.reported_at,
        run_test.c.exit_code,
        run_test.c.expected_rc,
    )
    found = _history(select(*columns).select_from(_HISTORY), sample_id, wanted)
    order = (run.c.created_at.desc(), run.c.id.desc(), run_test.c.regression_test_id)
    rows = connection.execute(found.order_by(*order).limit(limit).offset(offset))
    return [HistoryRow(*tuple(row)) for row in rows]


def count_history(connection: Connection, sample_id: int, wanted: HistoryFilter) -> int:
    """How many entries there are."""
    found = _history(select(func.count()).select_from(_HISTORY), sample_id, wanted)
    return connection.execute(found).scalar_one()


def tests(connection: Connection, wanted: TestFilter, *, limit: int, offset: int) -> Sequence[TestRow]:
    """A page of regression tests, by id."""
    columns = (
        regression_test.c.id,
        sample.c.id,
        sample.c.original_name,
        regression_test.c.command,
        regression_test.c.input_type,
        regression_test.c.output_type,
        regression_test.c.expected_rc,
        regression_test.c.active,
        regression_test.c.description,
    )
    found = _tests(select(*columns).select_from(_TESTS), wanted)
    rows = connection.execute(found.order_by(regression_test.c.id).limit(limit).offset(offset))
    return [TestRow(*tuple(row)) for row in rows]


def count_tests(connection: Connection, wanted: TestFilter) -> int:
    """How many regression tests there are."""
    return connection.execute(_tests(select(func.count()).select_from(_TESTS), wanted)).scalar_one()


def _of_run(statement: S, run_id: int, wanted: RunSampleFilter) -> S:
    conditions: list[ColumnElement[bool]] = [run_test.c.run_id == run_id]
    if wanted.status is not None:
        conditions.append(run_test.c.status == wanted.status)
    conditions += _named(wanted.name) + _tagged(wanted.tag) + _categorised(wanted.category)
    return statement.where(and_(*conditions))


def _samples(statement: S, wanted: SampleFilter) -> S:
    conditions = _named(wanted.name) + _tagged(wanted.tag)
    if wanted.extension is not None:
        conditions.append(func.lower(sample.c.extension) == wanted.extension.lower())
    if wanted.sha256 is not None:
        conditions.append(sample.c.sha == wanted.sha256)
    if wanted.active is not None:
        conditions.append((_ACTIVE_TESTS > 0) if wanted.active else (_ACTIVE_TESTS == 0))
    return statement.where(and_(True, *conditions))


def _history(statement: S, sample_id: int, wanted: HistoryFilter) -> S:
    conditions: list[ColumnElement[bool]] = [regression_test.c.sample_id == sample_id]
    for column, value in (
        (run_test.c.status, wanted.status),
        (run.c.branch, wanted.branch),
        (run.c.platform, wanted.platform),
    ):
        if value is not None:
            conditions.append(column == value)
    if wanted.created_after is not None:
        conditions.append(run.c.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(run.c.created_at <= wanted.created_before)
    return statement.where(and_(*conditions))


def _tests(statement: S, wanted: TestFilter) -> S:
    conditions: list[ColumnElement[bool]] = [regression_test.c.active == wanted.active]
    if wanted.sample_id is not None:
        conditions.append(regression_test.c.sample_id == wanted.sample_id)
    return statement.where(and_(*conditions, *_tagged(wanted.tag), *_categorised(wanted.category)))


def _named(name: str | None) -> list[ColumnElement[bool]]:
    """Names that hold this text, whatever the case; `%` and `_` are letters like any other (CI-15)."""
    if name is None:
        return []
    return [sample.c.original_name.icontains(name, autoescape=True, escape=ESCAPE)]


def _tagged(name: str | None) -> list[ColumnElement[bool]]:
    if name is None:
        return []
    tagged = select(sample_tag.c.sample_id).join(tag).where(func.lower(tag.c.name) == name.lower())
    return [exists(tagged.where(sample_tag.c.sample_id == sample.c.id).correlate(sample))]


def _categorised(name: str | None) -> list[ColumnElement[bool]]:
    if name is None:
        return []
    link = regression_test_category
    found = select(link.c.category_id).join(category).where(func.lower(category.c.name) == name.lower())
    is_its = link.c.regression_test_id == regression_test.c.id
    return [exists(found.where(is_its).correlate(regression_test))]


def _grouped(connection: Connection, found: Select[Any]) -> Mapping[int, list[str]]:
    grouped: dict[int, list[str]] = {}
    for owner, name in connection.execute(found):
        grouped.setdefault(owner, []).append(name)
    return grouped
