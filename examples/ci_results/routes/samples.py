"""Samples and regression tests: of a run, of all, and over time."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from examples.ci_results.routes.dependencies import Services
from examples.ci_results.routes.runs import RunId
from examples.ci_results.schemas.fields import Id, pagination
from examples.ci_results.schemas.samples import (
    HistoryPage,
    HistoryQuery,
    RunSamplesQuery,
    RunSamplesView,
    RunSampleView,
    SamplesQuery,
    SamplesView,
    SampleView,
    TestsQuery,
    TestsView,
    history_view,
    run_sample_view,
    sample_view,
    test_view,
)

TestId = Annotated[Id, Path(description="The id of a regression test.")]
SampleId = Annotated[Id, Path(description="The sample's id.")]


def list_run_samples(
    run_id: RunId, query: Annotated[RunSamplesQuery, Query()], service: Services
) -> RunSamplesView:
    """One entry for each test that the run expects."""
    page, total = service.samples.of_run(run_id, query.filter(), limit=query.limit, offset=query.offset)
    return RunSamplesView(data=[run_sample_view(one) for one in page], pagination=pagination(query, total))


def get_run_sample(run_id: RunId, regression_test_id: TestId, service: Services) -> RunSampleView:
    """One test of a run."""
    return run_sample_view(service.samples.one_of_run(run_id, regression_test_id))


def list_samples(query: Annotated[SamplesQuery, Query()], service: Services) -> SamplesView:
    """All samples."""
    page, total = service.samples.find(query.filter(), limit=query.limit, offset=query.offset)
    return SamplesView(data=[sample_view(one) for one in page], pagination=pagination(query, total))


def get_sample(sample_id: SampleId, service: Services) -> SampleView:
    """One sample."""
    return sample_view(service.samples.get(sample_id))


def list_sample_history(
    sample_id: SampleId, query: Annotated[HistoryQuery, Query()], service: Services
) -> HistoryPage:
    """How its tests did, the newest run first."""
    query.check_period()
    page, total = service.samples.history(sample_id, query.filter(), limit=query.limit, offset=query.offset)
    return HistoryPage(data=[history_view(one) for one in page], pagination=pagination(query, total))


def list_regression_tests(query: Annotated[TestsQuery, Query()], service: Services) -> TestsView:
    """The active ones, unless the others are asked for."""
    page, total = service.samples.tests(query.filter(), limit=query.limit, offset=query.offset)
    return TestsView(data=[test_view(one) for one in page], pagination=pagination(query, total))


HANDLERS = (
    list_run_samples,
    get_run_sample,
    list_samples,
    get_sample,
    list_sample_history,
    list_regression_tests,
)
