"""What went wrong in a run: with its tests, and with what ran them (CI-62 to CI-64)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from examples.ci_results.enumerations import (
    ErrorGroup,
    ErrorType,
    InfrastructureType,
    Role,
    Severity,
)
from examples.ci_results.models import errors, infrastructure, runs
from examples.ci_results.models.accounts import Account
from examples.ci_results.models.database import Connection, Database
from examples.ci_results.models.errors import Bucket, ErrorFilter, ErrorRow
from examples.ci_results.models.infrastructure import InfrastructureRow
from examples.ci_results.problems import LacksRole, NotFound

STACK_ROLES = (Role.ADMIN, Role.CONTRIBUTOR)
"""Who sees what a worker said beyond the first line."""


class RunError(NamedTuple):
    """An error of a run. Its id is the same whenever it is asked for."""

    id: str
    run_id: int
    sample_id: int | None
    regression_id: int | None
    type: ErrorType | InfrastructureType
    severity: Severity
    message: str
    location: str | None
    stack: Sequence[str]
    occurred_at: datetime


class ErrorCount(NamedTuple):
    """Errors that have something in common, and the first samples that they are of."""

    bucket: Bucket
    sample_ids: Sequence[int]


class Errors:
    """Shows the errors of runs. Every call blocks; NotFound where there is no run."""

    def __init__(self, database: Database):
        self._database = database

    def find(
        self, run_id: int, wanted: ErrorFilter, *, limit: int, offset: int
    ) -> tuple[Sequence[RunError], int]:
        """A page of the errors of the tests, and how many there are in all."""
        with self._database.read() as connection:
            _require_run(connection, run_id)
            page = errors.find(connection, run_id, wanted, limit=limit, offset=offset)
            return [_error(run_id, row) for row in page], errors.count(connection, run_id, wanted)

    def infrastructure(
        self,
        run_id: int,
        kind: InfrastructureType | None,
        severity: Severity | None,
        *,
        limit: int,
        offset: int,
    ) -> tuple[Sequence[RunError], int]:
        """A page of the errors of what ran the tests, and how many there are in all; all are critical."""
        with self._database.read() as connection:
            _require_run(connection, run_id)
            if severity not in (None, Severity.CRITICAL):
                return [], 0
            page = infrastructure.find(connection, run_id, kind=kind, limit=limit, offset=offset)
            total = infrastructure.count(connection, run_id, kind=kind)
        return [_infrastructure_error(run_id, row) for row in page], total

    def summary(
        self, run_id: int, by: ErrorGroup, severity: Severity | None, *, limit: int, offset: int
    ) -> tuple[Sequence[ErrorCount], int]:
        """A page of the counted errors of the tests, and how many buckets there are in all."""
        wanted = ErrorFilter(severity=severity)
        with self._database.read() as connection:
            _require_run(connection, run_id)
            page = errors.buckets(connection, run_id, wanted, by=by, limit=limit, offset=offset)
            keys = [bucket.key for bucket in page]
            sample_ids = errors.samples_of(connection, run_id, wanted, by=by, keys=keys)
            total = errors.count_buckets(connection, run_id, wanted, by=by)
        return [ErrorCount(bucket, sample_ids[bucket.key]) for bucket in page], total


def require_stack_role(caller: Account) -> None:
    """Raises LacksRole for somebody who may not see stacks."""
    if caller.role not in STACK_ROLES:
        raise LacksRole(STACK_ROLES, caller.role, "Somebody of this role does not see stacks.")


def _require_run(connection: Connection, run_id: int) -> None:
    if runs.get(connection, run_id) is None:
        raise NotFound("There is no run of this id.")


def _error(run_id: int, row: ErrorRow) -> RunError:
    return RunError(
        id=_error_id(run_id, row),
        run_id=run_id,
        sample_id=row.sample_id,
        regression_id=row.regression_test_id,
        type=row.type,
        severity=row.severity,
        message=_message(row),
        location=row.filename,
        stack=(),
        occurred_at=row.occurred_at,
    )


def _error_id(run_id: int, row: ErrorRow) -> str:
    place = f"err_{run_id}_{row.regression_test_id}"
    return {
        ErrorType.EXIT_CODE: f"{place}_rc",
        ErrorType.MISSING: f"{place}_{row.output_id}_missing",
        ErrorType.DIFFERENT: f"{place}_{row.output_id}_diff",
    }[row.type]


def _message(row: ErrorRow) -> str:
    return {
        ErrorType.EXIT_CODE: f"The exit code is {row.exit_code} and not {row.expected_rc}.",
        ErrorType.MISSING: f"The output {row.filename} is missing.",
        ErrorType.DIFFERENT: f"The output {row.filename} is not what was expected.",
    }[row.type]


def _infrastructure_error(run_id: int, row: InfrastructureRow) -> RunError:
    """The first line of what was said is the message, all others are the stack."""
    said = row.message
    if said is None:
        said = f"The run was completed without the results of {row.missing_results} tests."
    message, *stack = said.splitlines() or [""]
    place = "incomplete" if row.event_id is None else f"event_{row.event_id}"
    return RunError(
        id=f"err_{run_id}_{place}",
        run_id=run_id,
        sample_id=None,
        regression_id=None,
        type=row.type,
        severity=Severity.CRITICAL,
        message=message,
        location=None,
        stack=stack,
        occurred_at=row.occurred_at,
    )
