"""What workers report of a run (CI-86, CI-87): each report is checked and written in one transaction.

A report that is refused leaves nothing, also no file. A repeated report changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from examples.ci_results.clock import Clock
from examples.ci_results.enumerations import TERMINAL, Origin, Stage, Verdict
from examples.ci_results.models import artifacts, catalogue, results, runs
from examples.ci_results.models.artifacts import NewArtifact
from examples.ci_results.models.database import Connection, Database
from examples.ci_results.models.results import RunOutput, RunTest
from examples.ci_results.models.runs import Run
from examples.ci_results.problems import Conflict, NotFound, Unprocessable
from examples.ci_results.services import layout, statuses
from examples.ci_results.services.leases import Leases
from examples.ci_results.services.storage import Storage

_ORDER = (Stage.PREPARATION, Stage.TESTING, Stage.COMPLETED)


@dataclass(frozen=True, slots=True)
class Received:
    """A file that was received, hashed on its way; it is this request's own until it is stored."""

    path: Path
    sha256: str
    size: int


class Place(NamedTuple):
    """An output of a test, as a worker names it."""

    test_id: int
    output_id: int


class Reports:
    """Takes reports on runs. Every call blocks. Raises NotFound, Conflict, Unprocessable, Unavailable."""

    def __init__(self, database: Database, storage: Storage, leases: Leases, clock: Clock):
        self._database = database
        self._storage = storage
        self._leases = leases
        self._clock = clock

    def progress(self, run_id: int, stage: Stage, message: str, *, error_type: str | None = None) -> None:
        """A stage was reached, or there is more to say of the present one."""
        with self._open(run_id) as (connection, run):
            _require_forward(runs.latest_stage(connection, run_id), stage)
            runs.note_progress(
                connection,
                run_id,
                stage,
                origin=Origin.WORKER,
                at=self._clock(),
                message=message,
                error_type=error_type,
            )
            ended = statuses.settle_run(connection, run_id) in TERMINAL
        if ended:
            self._leases.end(run)

    def equal(self, run_id: int, place: Place) -> None:
        """An output is what was expected."""
        with self._open(run_id) as (connection, _):
            output = _output(connection, run_id, place)
            if _is_said(output, None):
                return
            results.write_output(connection, output, got_hash=None, verdict=Verdict.MATCH)
            self._settle(connection, run_id, place.test_id)

    def upload(self, run_id: int, place: Place, received: Received) -> None:
        """An output differs from what was expected: this is what the test produced."""
        with self._open(run_id) as (connection, _):
            output = _output(connection, run_id, place)
            if _is_said(output, received.sha256):
                return
            verdict = _verdict(connection, output, received.sha256)
            expected = _expected(connection, place.output_id)
            path = layout.result(received.sha256, expected.extension)
            results.write_output(connection, output, got_hash=received.sha256, verdict=verdict)
            self._keep(connection, run_id, "actual_output", expected.filename, path, received, place.test_id)
            self._settle(connection, run_id, place.test_id)

    def log(self, run_id: int, received: Received, *, test_id: int | None) -> None:
        """The log of the run, or of one of its tests."""
        with self._open(run_id) as (connection, _):
            if test_id is None:
                path, kind = layout.run_log(run_id), "build_log"
            else:
                _test(connection, run_id, test_id)
                path, kind = layout.test_log(run_id, test_id), "sample_log"
            self._keep(connection, run_id, kind, Path(path).name, path, received, test_id)

    def artifact(self, run_id: int, kind: str, received: Received) -> None:
        """Another file of the run."""
        with self._open(run_id) as (connection, _):
            path = layout.artifact(run_id, kind)
            self._keep(connection, run_id, kind, Path(path).name, path, received, None)

    def finish(self, run_id: int, test_id: int, *, runtime_ms: int, exit_code: int) -> None:
        """A test came to its end."""
        with self._open(run_id) as (connection, _):
            test = _test(connection, run_id, test_id)
            if test.reported_at is not None:
                _require_same(test, runtime_ms, exit_code)
                return
            results.write_result(
                connection, run_id, test_id, runtime_ms=runtime_ms, exit_code=exit_code, at=self._clock()
            )
            statuses.settle_test(connection, run_id, test_id)

    @contextmanager
    def _open(self, run_id: int) -> Iterator[tuple[Connection, Run]]:
        """The run, held until the report is written; one that has ended takes none."""
        with self._database.write() as connection:
            run = runs.hold(connection, run_id)
            if run is None:
                raise NotFound("There is no run of this id.")
            if run.is_terminal:
                raise Conflict("This run has ended.")
            yield connection, run

    def _settle(self, connection: Connection, run_id: int, test_id: int) -> None:
        """An output that comes after its test was reported changes the test's status."""
        if _test(connection, run_id, test_id).reported_at is not None:
            statuses.settle_test(connection, run_id, test_id)

    def _keep(
        self,
        connection: Connection,
        run_id: int,
        kind: str,
        filename: str,
        path: str,
        received: Received,
        test_id: int | None,
    ) -> None:
        """Write the row, then the file: what cannot be stored is not written down either."""
        sample_id = None if test_id is None else catalogue.sample_of(connection, test_id)
        new = NewArtifact(run_id, kind, filename, path, received.size, sample_id, test_id)
        artifacts.keep(connection, new)
        self._storage.put(path, received.path)


def _require_forward(present: Stage | None, stage: Stage) -> None:
    if present is None or stage is Stage.CANCELED:
        return
    if _ORDER.index(stage) < _ORDER.index(present):
        raise Conflict("A run does not go backward.")


def _test(connection: Connection, run_id: int, test_id: int) -> RunTest:
    test = results.find_test(connection, run_id, test_id)
    if test is None:
        raise Unprocessable("This run does not expect this test.")
    return test


def _output(connection: Connection, run_id: int, place: Place) -> RunOutput:
    output = results.find_output(connection, run_id, place.test_id, place.output_id)
    if output is None:
        raise Unprocessable("This run does not expect this output of this test.")
    return output


def _expected(connection: Connection, output_id: int) -> catalogue.ExpectedOutput:
    expected = catalogue.output(connection, output_id)
    if expected is None:
        raise Unprocessable("There is no such output any more.")
    return expected


def _verdict(connection: Connection, output: RunOutput, sha256: str) -> Verdict:
    if sha256 == output.expected_hash:
        return Verdict.MATCH
    is_variant = results.is_variant(connection, output.output_id, sha256)
    return Verdict.VARIANT if is_variant else Verdict.DIFFERENT


def _is_said(output: RunOutput, got_hash: str | None) -> bool:
    """Whether just this was reported before, whatever is accepted by now. Raises Conflict for anything else
    that was."""
    if output.verdict is None:
        return False
    if output.got_hash == got_hash:
        return True
    raise Conflict("Something else was reported of this output.")


def _require_same(test: RunTest, runtime_ms: int, exit_code: int) -> None:
    if (test.runtime_ms, test.exit_code) != (runtime_ms, exit_code):
        raise Conflict("Something else was reported of this test.")
