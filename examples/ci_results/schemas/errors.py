"""What the operations on errors take and answer (CI-62 to CI-64)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from examples.ci_results.enumerations import ErrorGroup, ErrorType, InfrastructureType, Severity
from examples.ci_results.models.errors import MAX_SAMPLES, ErrorFilter
from examples.ci_results.schemas.fields import Count, Flag, Given, Id, Instant, OffsetQuery, Pagination, Text
from examples.ci_results.services.errors import ErrorCount, RunError


class ErrorsQuery(OffsetQuery):
    """Which errors of the tests of a run."""

    type: ErrorType | None = None
    severity: Severity | None = None
    sample_id: Id | None = None

    def filter(self) -> ErrorFilter:
        """The same for the database."""
        return ErrorFilter(self.type, self.severity, self.sample_id)


class InfrastructureQuery(OffsetQuery):
    """Which errors of what ran the tests, and whether with stacks."""

    type: InfrastructureType | None = None
    severity: Severity | None = None
    include_stack: Flag = False


class ErrorSummaryQuery(OffsetQuery):
    """By what errors are counted, and which."""

    group_by: ErrorGroup = ErrorGroup.TYPE
    severity: Severity | None = None


class ErrorView(Given):
    """An error of a run."""

    error_id: Text
    run_id: Id
    sample_id: Id | None
    regression_id: Id | None
    type: ErrorType | InfrastructureType
    severity: Severity
    message: Annotated[str, Field(max_length=1000)]
    location: Text | None
    occurred_at: Instant


class TracedErrorView(ErrorView):
    """The same with what was said beyond the message."""

    stack: list[str]


class ErrorsView(Given):
    """A page of errors."""

    data: list[ErrorView]
    pagination: Pagination


class InfrastructureErrorsView(Given):
    """A page of errors, each with its stack where that was asked for."""

    data: list[TracedErrorView] | list[ErrorView]
    pagination: Pagination


class ErrorCountView(Given):
    """Errors that have their key in common; the severity is the worst of them."""

    group_by: ErrorGroup
    key: Text
    count: Count
    severity: Severity
    sample_ids: Annotated[list[Id], Field(max_length=MAX_SAMPLES)]
    first_seen_at: Instant
    last_seen_at: Instant


class ErrorSummaryView(Given):
    """A page of counted errors."""

    data: list[ErrorCountView]
    pagination: Pagination


def error_view(error: RunError) -> ErrorView:
    """An error as it is shown."""
    shown = error._asdict()
    del shown["stack"]
    return ErrorView(error_id=shown.pop("id"), **shown)


def traced_error_view(error: RunError) -> TracedErrorView:
    """An error as it is shown with its stack."""
    shown = error._asdict()
    return TracedErrorView(error_id=shown.pop("id"), **shown)


def error_count_view(counted: ErrorCount, by: ErrorGroup) -> ErrorCountView:
    """Counted errors as they are shown; a key is a text whatever it names."""
    bucket = counted.bucket
    return ErrorCountView(
        group_by=by,
        key=str(bucket.severity if by is ErrorGroup.SEVERITY else bucket.key),
        count=bucket.errors,
        severity=bucket.severity,
        sample_ids=list(counted.sample_ids),
        first_seen_at=bucket.first_seen_at,
        last_seen_at=bucket.last_seen_at,
    )
