"""What a run expects, frozen when it was made, and what was reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, insert, literal, select, update

from examples.ci_results.enumerations import InputType, OutputType, SampleStatus, Verdict
from examples.ci_results.models.tables import (
    regression_test,
    regression_test_output,
    regression_test_output_variant,
    run_output,
    run_test,
    sample,
)


class RunTest(NamedTuple):
    """One test of a run."""

    run_id: int
    regression_test_id: int
    runtime_ms: int | None
    exit_code: int | None
    expected_rc: int
    status: SampleStatus
    reported_at: datetime | None


class ExpectedOutput(NamedTuple):
    """An output that a run expects."""

    id: int
    expected_hash: str
    extension: str
    required: bool


class ExpectedTest(NamedTuple):
    """A test as a worker runs it."""

    id: int
    command: str
    input_type: InputType
    output_type: OutputType
    expected_rc: int
    sample_sha: str
    sample_extension: str
    outputs: Sequence[ExpectedOutput]


class RunOutput(NamedTuple):
    """One output of a test of a run."""

    run_id: int
    regression_test_id: int
    output_id: int
    required: bool
    expected_hash: str
    got_hash: str | None
    verdict: Verdict | None


def active_tests(connection: Connection, wanted: Sequence[int] | None) -> Sequence[int]:
    """The active tests, or those of them that are wanted, by id."""
    found = select(regression_test.c.id).where(regression_test.c.active)
    if wanted is not None:
        found = found.where(regression_test.c.id.in_(wanted))
    return connection.execute(found.order_by(regression_test.c.id)).scalars().all()


def freeze(connection: Connection, run_id: int, test_ids: Sequence[int]) -> None:
    """Write what a run expects, as it is now (CI-38)."""
    tests = select(
        literal(run_id),
        regression_test.c.id,
        regression_test.c.expected_rc,
        literal(SampleStatus.NOT_STARTED, run_test.c.status.type),
    ).where(regression_test.c.id.in_(test_ids))
    columns = ["run_id", "regression_test_id", "expected_rc", "status"]
    connection.execute(insert(run_test).from_select(columns, tests))
    outputs = select(
        literal(run_id),
        regression_test_output.c.regression_test_id,
        regression_test_output.c.id,
        ~regression_test_output.c.ignored,
        regression_test_output.c.expected_hash,
    ).where(regression_test_output.c.regression_test_id.in_(test_ids))
    columns = ["run_id", "regression_test_id", "output_id", "required", "expected_hash"]
    connection.execute(insert(run_output).from_select(columns, outputs))


def test_ids(connection: Connection, run_id: int) -> Sequence[int]:
    """The tests of a run, by id."""
    found = select(run_test.c.regression_test_id).where(run_test.c.run_id == run_id)
    return connection.execute(found.order_by(run_test.c.regression_test_id)).scalars().all()


def tests_of_sample(connection: Connection, run_id: int, sample_id: int) -> Sequence[int]:
    """The tests of a sample that a run expects, by id."""
    found = (
        select(run_test.c.regression_test_id)
        .join(regression_test)
        .where(run_test.c.run_id == run_id, regression_test.c.sample_id == sample_id)
        .order_by(run_test.c.regression_test_id)
    )
    return connection.execute(found).scalars().all()


def expected(connection: Connection, run_id: int) -> Sequence[ExpectedTest]:
    """The tests of a run with all that a worker needs to run them, by id."""
    found = (
        select(
            regression_test.c.id,
            regression_test.c.command,
            regression_test.c.input_type,
            regression_test.c.output_type,
            run_test.c.expected_rc,
            sample.c.sha,
            sample.c.extension,
        )
        .select_from(run_test.join(regression_test).join(sample))
        .where(run_test.c.run_id == run_id)
        .order_by(regression_test.c.id)
    )
    by_test = _expected_outputs(connection, run_id)
    return [ExpectedTest(*row, by_test.get(row[0], ())) for row in connection.execute(found)]


def _expected_outputs(connection: Connection, run_id: int) -> Mapping[int, list[ExpectedOutput]]:
    found = (
        select(
            run_output.c.regression_test_id,
            run_output.c.output_id,
            run_output.c.expected_hash,
            regression_test_output.c.extension,
            run_output.c.required,
        )
        .join(regression_test_output, regression_test_output.c.id == run_output.c.output_id)
        .where(run_output.c.run_id == run_id)
        .order_by(run_output.c.output_id)
    )
    by_test: dict[int, list[ExpectedOutput]] = {}
    for test_id, *output in connection.execute(found):
        by_test.setdefault(test_id, []).append(ExpectedOutput(*output))
    return by_test


def find_test(connection: Connection, run_id: int, test_id: int) -> RunTest | None:
    """One test of a run; None where the run does not expect it."""
    found = select(run_test).where(run_test.c.run_id == run_id, run_test.c.regression_test_id == test_id)
    row = connection.execute(found).one_or_none()
    return None if row is None else RunTest(*row)


def test(connection: Connection, run_id: int, test_id: int) -> RunTest:
    """One test that the run is known to expect."""
    found = find_test(connection, run_id, test_id)
    if found is None:
        raise LookupError(f"run {run_id} does not expect test {test_id}")
    return found


def outputs(connection: Connection, run_id: int, test_id: int) -> Sequence[RunOutput]:
    """The outputs of a test of a run, by id."""
    found = select(run_output).where(
        run_output.c.run_id == run_id, run_output.c.regression_test_id == test_id
    )
    return [RunOutput(*row) for row in connection.execute(found.order_by(run_output.c.output_id))]


def find_output(connection: Connection, run_id: int, test_id: int, output_id: int) -> RunOutput | None:
    """One output; None where the run does not expect it."""
    found = select(run_output).where(
        run_output.c.run_id == run_id,
        run_output.c.regression_test_id == test_id,
        run_output.c.output_id == output_id,
    )
    row = connection.execute(found).one_or_none()
    return None if row is None else RunOutput(*row)


def statuses(connection: Connection, run_id: int) -> Sequence[SampleStatus]:
    """The different statuses that the tests of a run have."""
    found = select(run_test.c.status).where(run_test.c.run_id == run_id).distinct()
    return connection.execute(found).scalars().all()


def is_variant(connection: Connection, output_id: int, content_hash: str) -> bool:
    """Whether a hash is accepted for an output now."""
    found = select(regression_test_output_variant.c.hash).where(
        regression_test_output_variant.c.output_id == output_id,
        regression_test_output_variant.c.hash == content_hash,
    )
    return connection.execute(found).one_or_none() is not None


def write_output(
    connection: Connection, output: RunOutput, *, got_hash: str | None, verdict: Verdict
) -> None:
    """Say what was reported of an output."""
    connection.execute(
        update(run_output)
        .where(
            run_output.c.run_id == output.run_id,
            run_output.c.regression_test_id == output.regression_test_id,
            run_output.c.output_id == output.output_id,
        )
        .values(got_hash=got_hash, verdict=verdict)
    )


def write_result(
    connection: Connection, run_id: int, test_id: int, *, runtime_ms: int, exit_code: int, at: datetime
) -> None:
    """Say that a test was reported."""
    values = {"runtime_ms": runtime_ms, "exit_code": exit_code, "reported_at": at}
    connection.execute(
        update(run_test)
        .where(run_test.c.run_id == run_id, run_test.c.regression_test_id == test_id)
        .values(values)
    )


def write_test_status(connection: Connection, run_id: int, test_id: int, status: SampleStatus) -> None:
    """Write what services/statuses.py found; nobody else calls this."""
    connection.execute(
        update(run_test)
        .where(run_test.c.run_id == run_id, run_test.c.regression_test_id == test_id)
        .values(status=status)
    )
