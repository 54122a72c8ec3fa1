"""All rules of status (CI-79, CI-80), and the one place that writes what they say (CI-81).

The rules are pure. `settle_test` and `settle_run` read the causes of a status and write it beside them, in
the transaction that changed a cause; nothing else writes a status.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from examples.ci_results.enumerations import RunStatus, SampleStatus, Stage, Verdict
from examples.ci_results.models import results, runs
from examples.ci_results.models.database import Connection

_ACCEPTED = (Verdict.MATCH, Verdict.VARIANT)


class Output(NamedTuple):
    """One output of a test of a run; `verdict` is None until it was reported."""

    required: bool
    verdict: Verdict | None


class Result(NamedTuple):
    """One test of a run."""

    reported: bool
    exit_code: int | None
    expected_rc: int
    outputs: Collection[Output]


def sample_status(result: Result) -> SampleStatus:
    """The status of one test; the first rule that matches wins."""
    required = [output.verdict for output in result.outputs if output.required]
    if not result.reported:
        return SampleStatus.NOT_STARTED
    if None in required:
        return SampleStatus.MISSING_OUTPUT
    if result.exit_code != result.expected_rc or Verdict.DIFFERENT in required:
        return SampleStatus.FAIL
    return SampleStatus.PASS


def run_status(latest: Stage | None, tests: Iterable[SampleStatus]) -> RunStatus:
    """The status of a run, by its latest progress event and the tests of its expected set."""
    if latest is None:
        return RunStatus.QUEUED
    if latest in (Stage.PREPARATION, Stage.TESTING):
        return RunStatus.RUNNING
    if latest is Stage.CANCELED:
        return RunStatus.CANCELED
    if latest is Stage.COMPLETED:
        return _completed(set(tests))
    return RunStatus.INCOMPLETE


def _completed(tests: set[SampleStatus]) -> RunStatus:
    if not tests or SampleStatus.NOT_STARTED in tests:
        return RunStatus.ERROR
    return RunStatus.PASS if tests == {SampleStatus.PASS} else RunStatus.FAIL


def output_status(output: Output) -> SampleStatus:
    """How one output of a reported test is shown."""
    if output.verdict is None:
        return SampleStatus.MISSING_OUTPUT
    return SampleStatus.PASS if output.verdict in _ACCEPTED else SampleStatus.FAIL


def settle_test(connection: Connection, run_id: int, test_id: int) -> SampleStatus:
    """Write the status of one test of a run."""
    test = results.test(connection, run_id, test_id)
    outputs = [Output(one.required, one.verdict) for one in results.outputs(connection, run_id, test_id)]
    status = sample_status(Result(test.reported_at is not None, test.exit_code, test.expected_rc, outputs))
    results.write_test_status(connection, run_id, test_id, status)
    return status


def settle_run(connection: Connection, run_id: int) -> RunStatus:
    """Write the status of a run, and the times that follow from its progress (CI-46)."""
    latest = runs.latest_stage(connection, run_id)
    status = run_status(latest, results.statuses(connection, run_id))
    started_at, completed_at = runs.stage_times(connection, run_id)
    runs.write_status(connection, run_id, status, started_at=started_at, completed_at=completed_at)
    return status


def recompute(connection: Connection, run_id: int) -> RunStatus:
    """Write every status of a run anew from its causes."""
    for test_id in results.test_ids(connection, run_id):
        settle_test(connection, run_id, test_id)
    return settle_run(connection, run_id)
