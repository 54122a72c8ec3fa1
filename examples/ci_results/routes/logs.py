"""Logs of runs and of samples."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from examples.ci_results.routes.dependencies import Services
from examples.ci_results.routes.runs import RunId
from examples.ci_results.routes.samples import SampleId
from examples.ci_results.schemas.fields import CursorPagination, CursorQuery
from examples.ci_results.schemas.system import LogView, RunLogQuery, SampleLogQuery, line_view
from examples.ci_results.services.logs import Page


def read_run_log(run_id: RunId, query: Annotated[RunLogQuery, Query()], service: Services) -> LogView:
    """The log of a run, as its worker sent it."""
    page = service.logs.of_run(run_id, query.filter(), limit=query.limit, cursor=query.cursor)
    return _view(page, query)


def read_sample_log(
    run_id: RunId,
    sample_id: SampleId,
    query: Annotated[SampleLogQuery, Query()],
    service: Services,
) -> LogView:
    """The logs of the tests of a sample, one after the other."""
    page = service.logs.of_sample(run_id, sample_id, query.filter(), limit=query.limit, cursor=query.cursor)
    return _view(page, query)


def _view(page: Page, query: CursorQuery) -> LogView:
    pagination = CursorPagination(limit=query.limit, next_cursor=page.next_cursor)
    return LogView(data=[line_view(line) for line in page.lines], pagination=pagination)


HANDLERS = (read_run_log, read_sample_log)
