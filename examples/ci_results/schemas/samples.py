"""What the operations on samples and tests take and answer (CI-48 to CI-53)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from examples.ci_results.enumerations import InputType, OutputType, Platform, SampleStatus
from examples.ci_results.models.samples import HistoryFilter, RunSampleFilter, SampleFilter, TestFilter
from examples.ci_results.schemas.fields import (
    NO_ZERO,
    Count,
    Flag,
    Given,
    Id,
    Instant,
    OffsetQuery,
    Pagination,
    Sha256,
    Text,
)
from examples.ci_results.schemas.runs import PeriodQuery
from examples.ci_results.services.samples import (
    HistoryDetail,
    RunSampleDetail,
    SampleDetail,
    TestDetail,
)

Name = Annotated[str, Field(max_length=100, pattern=NO_ZERO)]
Label = Annotated[str, Field(max_length=50, pattern=NO_ZERO)]
Command = Annotated[str, Field(max_length=500)]


OutputStatus = Annotated[str, Field(json_schema_extra={"enum": ["pass", "fail", "missing_output"]})]


class RunSamplesQuery(OffsetQuery):
    """Which tests of a run."""

    status: SampleStatus | None = None
    name: Name | None = None
    tag: Label | None = None
    category: Label | None = None

    def filter(self) -> RunSampleFilter:
        """The same for the database."""
        return RunSampleFilter(self.status, self.name, self.tag, self.category)


class SamplesQuery(OffsetQuery):
    """Which samples."""

    name: Name | None = None
    extension: Annotated[str, Field(max_length=10, pattern="^[A-Za-z0-9]+$")] | None = None
    tag: Label | None = None
    sha256: Sha256 | None = None
    status: Literal["active", "inactive"] | None = None

    def filter(self) -> SampleFilter:
        """The same for the database."""
        active = None if self.status is None else self.status == "active"
        return SampleFilter(self.name, self.extension, self.tag, self.sha256, active)


class HistoryQuery(PeriodQuery):
    """Which runs of the tests of a sample."""

    status: SampleStatus | None = None
    branch: Name | None = None
    platform: Platform | None = None

    def filter(self) -> HistoryFilter:
        """The same for the database."""
        return HistoryFilter(self.status, self.branch, self.platform, self.created_after, self.created_before)


class TestsQuery(OffsetQuery):
    """Which regression tests."""

    active: Flag = True
    category: Label | None = None
    tag: Label | None = None
    sample_id: Id | None = None

    def filter(self) -> TestFilter:
        """The same for the database."""
        return TestFilter(self.active, self.category, self.tag, self.sample_id)


class OutputStatusView(Given):
    """How one output did."""

    output_id: Id
    filename: Text
    status: OutputStatus


class RunSampleView(Given):
    """A test of a run."""

    regression_test_id: Id
    sample_id: Id
    sample_name: Text
    status: SampleStatus
    exit_code: int | None
    expected_rc: int
    runtime_ms: Count | None
    command: Command
    categories: list[Text]
    outputs: list[OutputStatusView]


class RunSamplesView(Given):
    """A page of the tests of a run."""

    data: list[RunSampleView]
    pagination: Pagination


class SampleView(Given):
    """A sample."""

    sample_id: Id
    sha: Sha256
    extension: Text
    original_name: Text
    filename: Text
    tags: list[Text]
    regression_test_count: Count
    active: bool


class SamplesView(Given):
    """A page of samples."""

    data: list[SampleView]
    pagination: Pagination


class HistoryView(Given):
    """How a test of a sample did in one run."""

    run_id: Id
    regression_test_id: Id
    status: SampleStatus
    platform: Platform
    branch: Text
    commit_sha: Text
    tested_at: Instant | None
    failure_signature: Text | None


class HistoryPage(Given):
    """A page of history."""

    data: list[HistoryView]
    pagination: Pagination


class TestView(Given):
    """A regression test."""

    regression_test_id: Id
    sample_id: Id
    sample_name: Text
    command: Command
    input_type: InputType
    output_type: OutputType
    expected_rc: int
    active: bool
    categories: list[Text]
    description: Annotated[str, Field(max_length=1000)] | None


class TestsView(Given):
    """A page of regression tests."""

    data: list[TestView]
    pagination: Pagination


def run_sample_view(detail: RunSampleDetail) -> RunSampleView:
    """A test of a run as it is shown."""
    row, categories, outputs = detail
    shown = row._asdict()
    for name in ("run_id", "reported_at"):
        del shown[name]
    return RunSampleView(
        **shown,
        categories=list(categories),
        outputs=[
            OutputStatusView(output_id=one.id, filename=one.filename, status=one.status.value)
            for one in outputs
        ],
    )


def sample_view(detail: SampleDetail) -> SampleView:
    """A sample as it is shown."""
    row, tags = detail
    return SampleView(
        sample_id=row.id,
        sha=row.sha,
        extension=row.extension,
        original_name=row.original_name,
        filename=f"{row.sha}.{row.extension}",
        tags=list(tags),
        regression_test_count=row.regression_test_count,
        active=row.regression_test_count > 0,
    )


def history_view(detail: HistoryDetail) -> HistoryView:
    """An entry as it is shown."""
    row, signature = detail
    shown = row._asdict()
    for name in ("exit_code", "expected_rc"):
        del shown[name]
    return HistoryView(**shown, failure_signature=signature)


def test_view(detail: TestDetail) -> TestView:
    """A regression test as it is shown."""
    shown = detail.row._asdict()
    return TestView(regression_test_id=shown.pop("id"), **shown, categories=list(detail.categories))
