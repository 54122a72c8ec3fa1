"""Runs: listed, made, looked at, canceled."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, Path, Query, Response

from examples.ci_results.operations import API
from examples.ci_results.routes.dependencies import Caller, Services
from examples.ci_results.schemas.fields import Id, pagination
from examples.ci_results.schemas.runs import (
    CancelBody,
    CancelView,
    ConfigView,
    NewRunBody,
    ProgressPage,
    ProgressQuery,
    RunsQuery,
    RunsView,
    RunView,
    SummaryView,
    cancel_view,
    progress_view,
    run_view,
    summary_view,
)

RunId = Annotated[Id, Path(description="The run's id.")]


def list_runs(query: Annotated[RunsQuery, Query()], service: Services) -> RunsView:
    """The newest first, unless another order is asked for."""
    query.check_period()
    page, total = service.runs.find(query.filter(), sort=query.sort, limit=query.limit, offset=query.offset)
    forge = service.settings.forge_url
    return RunsView(data=[run_view(run, forge) for run in page], pagination=pagination(query, total))


def create_run(body: NewRunBody, caller: Caller, service: Services, response: Response) -> RunView:
    """Put a run of the active tests, or of some of them, into the queue."""
    run = service.runs.create(body.wish(), caller)
    response.headers["Location"] = f"{API}/runs/{run.id}"
    return run_view(run, service.settings.forge_url)


def get_run(run_id: RunId, service: Services) -> RunView:
    """One run."""
    return run_view(service.runs.get(run_id), service.settings.forge_url)


def get_run_summary(run_id: RunId, service: Services) -> SummaryView:
    """The counts of a run."""
    return summary_view(service.runs.summary(run_id))


def list_run_progress(
    run_id: RunId, query: Annotated[ProgressQuery, Query()], service: Services
) -> ProgressPage:
    """What was said of its progress, the oldest first."""
    page, total = service.runs.progress(run_id, status=query.status, limit=query.limit, offset=query.offset)
    return ProgressPage(data=[progress_view(one) for one in page], pagination=pagination(query, total))


def get_run_config(run_id: RunId, service: Services) -> ConfigView:
    """What it was made with, and the tests that it expects."""
    run, test_ids = service.runs.test_ids(run_id)
    return ConfigView(
        run_id=run.id,
        platform=run.platform,
        branch=run.branch,
        commit_sha=run.commit_sha,
        regression_test_ids=list(test_ids),
    )


def cancel_run(
    run_id: RunId, caller: Caller, service: Services, body: Annotated[CancelBody | None, Body()] = None
) -> CancelView:
    """End a run that has not ended; nothing happens to one that has."""
    return cancel_view(service.runs.cancel(run_id, caller, body.reason if body else None))


HANDLERS = (list_runs, create_run, get_run, get_run_summary, list_run_progress, get_run_config, cancel_run)
