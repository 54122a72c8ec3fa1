"""One output of a test of a run, with all that its operations need of it."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from examples.ci_results.enumerations import Verdict
from examples.ci_results.models.tables import (
    regression_test,
    regression_test_output,
    run_output,
    run_test,
)


class OutputPlace(NamedTuple):
    """An output as an address names it; the four ids may not belong together."""

    run_id: int
    sample_id: int
    regression_id: int
    output_id: int


class OutputRow(NamedTuple):
    """What was expected, as frozen when the run was made, and what was reported."""

    filename: str
    extension: str
    expected_hash: str
    got_hash: str | None
    verdict: Verdict | None
    reported_at: datetime | None


def find(connection: Connection, place: OutputPlace) -> OutputRow | None:
    """The output; None where the ids do not belong together."""
    found = (
        select(
            regression_test_output.c.filename,
            regression_test_output.c.extension,
            run_output.c.expected_hash,
            run_output.c.got_hash,
            run_output.c.verdict,
            run_test.c.reported_at,
        )
        .select_from(run_output.join(run_test).join(regression_test))
        .join(regression_test_output, regression_test_output.c.id == run_output.c.output_id)
        .where(
            run_output.c.run_id == place.run_id,
            run_output.c.regression_test_id == place.regression_id,
            run_output.c.output_id == place.output_id,
            regression_test.c.sample_id == place.sample_id,
        )
    )
    row = connection.execute(found).one_or_none()
    return None if row is None else OutputRow(*row)
