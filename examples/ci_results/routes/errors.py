"""What went wrong in a run."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from examples.ci_results.routes.dependencies import Caller, Services
from examples.ci_results.routes.runs import RunId
from examples.ci_results.schemas.errors import (
    ErrorsQuery,
    ErrorSummaryQuery,
    ErrorSummaryView,
    ErrorsView,
    InfrastructureErrorsView,
    InfrastructureQuery,
    error_count_view,
    error_view,
    traced_error_view,
)
from examples.ci_results.schemas.fields import pagination
from examples.ci_results.services.errors import require_stack_role


def list_errors(run_id: RunId, query: Annotated[ErrorsQuery, Query()], service: Services) -> ErrorsView:
    """What is wrong with the tests of a run, by test."""
    page, total = service.errors.find(run_id, query.filter(), limit=query.limit, offset=query.offset)
    return ErrorsView(data=[error_view(one) for one in page], pagination=pagination(query, total))


def list_infrastructure_errors(
    run_id: RunId, query: Annotated[InfrastructureQuery, Query()], caller: Caller, service: Services
) -> InfrastructureErrorsView:
    """What kept a run from its end; stacks are for those who mend it."""
    if query.include_stack:
        require_stack_role(caller)
    page, total = service.errors.infrastructure(
        run_id, query.type, query.severity, limit=query.limit, offset=query.offset
    )
    shown = traced_error_view if query.include_stack else error_view
    return InfrastructureErrorsView(data=[shown(one) for one in page], pagination=pagination(query, total))


def list_error_summary(
    run_id: RunId, query: Annotated[ErrorSummaryQuery, Query()], service: Services
) -> ErrorSummaryView:
    """The errors of the tests, counted by what they have in common."""
    page, total = service.errors.summary(
        run_id, query.group_by, query.severity, limit=query.limit, offset=query.offset
    )
    return ErrorSummaryView(
        data=[error_count_view(one, query.group_by) for one in page], pagination=pagination(query, total)
    )


HANDLERS = (list_errors, list_infrastructure_errors, list_error_summary)
