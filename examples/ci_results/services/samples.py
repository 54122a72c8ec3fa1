"""Samples and tests: what there is, how each did in a run, and how it did over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from examples.ci_results.enumerations import SampleStatus
from examples.ci_results.models import runs, samples
from examples.ci_results.models.database import Connection, Database
from examples.ci_results.models.samples import (
    HistoryFilter,
    HistoryRow,
    ReportedOutput,
    RunSample,
    RunSampleFilter,
    SampleFilter,
    SampleRow,
    TestFilter,
    TestRow,
)
from examples.ci_results.problems import NotFound
from examples.ci_results.services.statuses import Output, output_status


class ShownOutput(NamedTuple):
    """An output of a test as it is shown."""

    id: int
    filename: str
    status: SampleStatus


class RunSampleDetail(NamedTuple):
    """A test of a run with all that is shown of it."""

    row: RunSample
    categories: Sequence[str]
    outputs: Sequence[ShownOutput]


class SampleDetail(NamedTuple):
    """A sample with its tags."""

    row: SampleRow
    tags: Sequence[str]


class TestDetail(NamedTuple):
    """A regression test with its categories."""

    row: TestRow
    categories: Sequence[str]


class HistoryDetail(NamedTuple):
    """How a test did in a run, and what was wrong, as a text that equal failures share (CI-54)."""

    row: HistoryRow
    failure_signature: str | None


class Samples:
    """Shows samples and tests. Every call blocks; NotFound where there is nothing of an id."""

    def __init__(self, database: Database):
        self._database = database

    def of_run(
        self, run_id: int, wanted: RunSampleFilter, *, limit: int, offset: int
    ) -> tuple[Sequence[RunSampleDetail], int]:
        """A page of the tests of a run, and how many there are in all."""
        with self._database.read() as connection:
            if runs.get(connection, run_id) is None:
                raise NotFound("There is no run of this id.")
            page = samples.of_run(connection, run_id, wanted, limit=limit, offset=offset)
            return _detailed(connection, page), samples.count_of_run(connection, run_id, wanted)

    def one_of_run(self, run_id: int, test_id: int) -> RunSampleDetail:
        """One test of a run."""
        with self._database.read() as connection:
            row = samples.one_of_run(connection, run_id, test_id)
            if row is None:
                raise NotFound("There is no such test in such a run.")
            return _detailed(connection, [row])[0]

    def find(self, wanted: SampleFilter, *, limit: int, offset: int) -> tuple[Sequence[SampleDetail], int]:
        """A page of samples, and how many there are in all."""
        with self._database.read() as connection:
            page = samples.find(connection, wanted, limit=limit, offset=offset)
            tags = samples.tags_of(connection, [row.id for row in page])
            detailed = [SampleDetail(row, tags.get(row.id, ())) for row in page]
            return detailed, samples.count(connection, wanted)

    def get(self, sample_id: int) -> SampleDetail:
        """One sample."""
        with self._database.read() as connection:
            row = _existing(connection, sample_id)
            return SampleDetail(row, samples.tags_of(connection, [sample_id]).get(sample_id, ()))

    def history(
        self, sample_id: int, wanted: HistoryFilter, *, limit: int, offset: int
    ) -> tuple[Sequence[HistoryDetail], int]:
        """A page of how the tests of a sample did, and how many entries there are in all."""
        with self._database.read() as connection:
            _existing(connection, sample_id)
            page = samples.history(connection, sample_id, wanted, limit=limit, offset=offset)
            outputs = samples.outputs_of(connection, [(row.run_id, row.regression_test_id) for row in page])
            detailed = [
                HistoryDetail(row, failure_signature(row, outputs[row.run_id, row.regression_test_id]))
                for row in page
            ]
            return detailed, samples.count_history(connection, sample_id, wanted)

    def tests(self, wanted: TestFilter, *, limit: int, offset: int) -> tuple[Sequence[TestDetail], int]:
        """A page of regression tests, and how many there are in all."""
        with self._database.read() as connection:
            page = samples.tests(connection, wanted, limit=limit, offset=offset)
            categories = samples.categories_of(connection, [row.id for row in page])
            detailed = [TestDetail(row, categories.get(row.id, ())) for row in page]
            return detailed, samples.count_tests(connection, wanted)


def failure_signature(row: HistoryRow, outputs: Sequence[ReportedOutput]) -> str | None:
    """What was wrong with a reported test; None for one that passed or was not reported."""
    if row.tested_at is None:
        return None
    if row.exit_code != row.expected_rc:
        return f"exit_code_mismatch:rc:{row.exit_code}"
    shown = [(one.id, output_status(Output(one.required, one.verdict))) for one in outputs if one.required]
    for status, name in (
        (SampleStatus.FAIL, "diff_mismatch"),
        (SampleStatus.MISSING_OUTPUT, "missing_output"),
    ):
        failing = [output_id for output_id, found in shown if found is status]
        if failing:
            return f"{name}:output:{min(failing)}"
    return None


def _detailed(connection: Connection, page: Sequence[RunSample]) -> list[RunSampleDetail]:
    categories = samples.categories_of(connection, [row.regression_test_id for row in page])
    outputs = samples.outputs_of(connection, [(row.run_id, row.regression_test_id) for row in page])
    return [
        RunSampleDetail(
            row,
            categories.get(row.regression_test_id, ()),
            _shown(row, outputs[row.run_id, row.regression_test_id]),
        )
        for row in page
    ]


def _shown(row: RunSample, outputs: Sequence[ReportedOutput]) -> list[ShownOutput]:
    """The outputs that count; none while the test was not reported."""
    if row.reported_at is None:
        return []
    return [
        ShownOutput(one.id, one.filename, output_status(Output(one.required, one.verdict)))
        for one in outputs
        if one.required
    ]


def _existing(connection: Connection, sample_id: int) -> SampleRow:
    row = samples.get(connection, sample_id)
    if row is None:
        raise NotFound("There is no sample of this id.")
    return row
