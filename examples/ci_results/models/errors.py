"""The errors of a run (CI-67), derived from the rows that its status is derived from."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CompoundSelect, Connection, func, literal, select, union_all

from examples.ci_results.enumerations import Verdict
from examples.ci_results.models.tables import regression_test, run_output, run_test

EXIT_CODE, MISSING, DIFFERENT = "exit_code_mismatch", "missing_output", "diff_mismatch"


def derived(run_id: int) -> CompoundSelect[Any]:
    """Every error: type, regression_test_id, output_id, sample_id, exit_code, expected_rc, occurred_at."""
    return union_all(_exit_codes(run_id), _outputs(run_id, MISSING), _outputs(run_id, DIFFERENT))


def count(connection: Connection, run_id: int) -> int:
    """How many errors a run has."""
    found = derived(run_id).subquery()
    return connection.execute(select(func.count()).select_from(found)).scalar_one()


def _exit_codes(run_id: int) -> Any:
    return (
        select(
            literal(EXIT_CODE).label("type"),
            run_test.c.regression_test_id,
            literal(None, run_output.c.output_id.type).label("output_id"),
            regression_test.c.sample_id,
            run_test.c.exit_code,
            run_test.c.expected_rc,
            run_test.c.reported_at.label("occurred_at"),
        )
        .join(regression_test)
        .where(
            run_test.c.run_id == run_id,
            run_test.c.reported_at.is_not(None),
            run_test.c.exit_code != run_test.c.expected_rc,
        )
    )


def _outputs(run_id: int, kind: str) -> Any:
    """Required outputs of reported tests that are missing, or that differ."""
    is_so = run_output.c.verdict.is_(None) if kind == MISSING else run_output.c.verdict == Verdict.DIFFERENT
    return (
        select(
            literal(kind).label("type"),
            run_output.c.regression_test_id,
            run_output.c.output_id,
            regression_test.c.sample_id,
            run_test.c.exit_code,
            run_test.c.expected_rc,
            run_test.c.reported_at.label("occurred_at"),
        )
        .join(
            run_test,
            (run_test.c.run_id == run_output.c.run_id)
            & (run_test.c.regression_test_id == run_output.c.regression_test_id),
        )
        .join(regression_test, regression_test.c.id == run_output.c.regression_test_id)
        .where(
            run_output.c.run_id == run_id,
            run_output.c.required,
            run_test.c.reported_at.is_not(None),
            is_so,
        )
    )
