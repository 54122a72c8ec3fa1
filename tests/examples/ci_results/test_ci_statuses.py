"""Statuses: the rules row by row, what is stored is what is derived, and an end is an end."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from ci_bed import COMMIT, Ci, Clock, digest, environment, problem
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from examples.ci_results.enumerations import (
    TERMINAL,
    Platform,
    Role,
    RunStatus,
    SampleStatus,
    Stage,
    Verdict,
)
from examples.ci_results.models import catalogue, tables
from examples.ci_results.models.accounts import Account
from examples.ci_results.models.outputs import OutputPlace
from examples.ci_results.problems import Conflict, Unavailable, Unprocessable
from examples.ci_results.services import statuses
from examples.ci_results.services.leases import Lease
from examples.ci_results.services.runs import NewRun
from examples.ci_results.services.statuses import Output, Result
from examples.ci_results.services.worker import Place, Received
from examples.ci_results.serving import make_store
from examples.ci_results.settings import Settings
from keyrack import Access, Allowed

R = TypeVar("R")
PASS, FAIL, MISSING, NOT_STARTED = (
    SampleStatus.PASS,
    SampleStatus.FAIL,
    SampleStatus.MISSING_OUTPUT,
    SampleStatus.NOT_STARTED,
)
MATCH, VARIANT, DIFFERENT = Verdict.MATCH, Verdict.VARIANT, Verdict.DIFFERENT
CANCELS = 20
CLAIMERS = 6
PATIENCE_SECONDS = 120
TRIES_AT_MOST = 20


@pytest.mark.spec("CI-79")
@pytest.mark.parametrize(
    ("latest", "tests", "status"),
    [
        (None, [], RunStatus.QUEUED),
        (None, [FAIL], RunStatus.QUEUED),
        (Stage.PREPARATION, [PASS], RunStatus.RUNNING),
        (Stage.TESTING, [FAIL], RunStatus.RUNNING),
        (Stage.CANCELED, [PASS], RunStatus.CANCELED),
        (Stage.CANCELED, [], RunStatus.CANCELED),
        (Stage.COMPLETED, [], RunStatus.ERROR),
        (Stage.COMPLETED, [NOT_STARTED], RunStatus.ERROR),
        (Stage.COMPLETED, [PASS, NOT_STARTED], RunStatus.ERROR),
        (Stage.COMPLETED, [FAIL, NOT_STARTED], RunStatus.ERROR),
        (Stage.COMPLETED, [PASS], RunStatus.PASS),
        (Stage.COMPLETED, [PASS, PASS], RunStatus.PASS),
        (Stage.COMPLETED, [PASS, FAIL], RunStatus.FAIL),
        (Stage.COMPLETED, [PASS, MISSING], RunStatus.FAIL),
        ("paused", [PASS], RunStatus.INCOMPLETE),
    ],
)
def test_the_status_of_a_run(latest: Any, tests: list[SampleStatus], status: RunStatus) -> None:
    assert statuses.run_status(latest, tests) is status


def required(*verdicts: Verdict | None) -> list[Output]:
    return [Output(True, verdict) for verdict in verdicts]


def ignored(*verdicts: Verdict | None) -> list[Output]:
    return [Output(False, verdict) for verdict in verdicts]


@pytest.mark.spec("CI-80")
@pytest.mark.parametrize(
    ("reported", "code", "outputs", "status"),
    [
        (False, None, [], NOT_STARTED),
        (False, None, required(DIFFERENT), NOT_STARTED),
        (True, 0, required(None), MISSING),
        (True, 1, required(None), MISSING),
        (True, 0, required(DIFFERENT, None), MISSING),
        (True, 1, required(MATCH), FAIL),
        (True, 1, [], FAIL),
        (True, 0, required(MATCH, DIFFERENT), FAIL),
        (True, 0, required(MATCH, VARIANT), PASS),
        (True, 0, [], PASS),
        (True, 0, [*required(MATCH), *ignored(None, DIFFERENT)], PASS),
    ],
)
def test_the_status_of_a_sample(
    reported: bool, code: int | None, outputs: Collection[Output], status: SampleStatus
) -> None:
    assert statuses.sample_status(Result(reported, code, 0, outputs)) is status


@pytest.mark.spec("CI-80")
def test_an_expected_exit_code_other_than_0_passes() -> None:
    assert statuses.sample_status(Result(True, 3, 3, ())) is PASS
    assert statuses.sample_status(Result(True, 0, 3, ())) is FAIL


@pytest.mark.spec("CI-80")
def test_no_sentinel_rows(ci: Ci) -> None:
    """A test that ended without an output leaves no row that says so: no hash is special."""
    test = ci.test(outputs={"out.txt": "-1\n", "more.txt": ""})
    ci.queued()
    run = ci.claim()
    run.begin()
    run.finish(test, matching=False)
    run.complete()
    with ci.service.database.read() as connection:
        found = connection.execute(select(tables.run_output)).all()
    assert [(row.got_hash, row.verdict) for row in found] == [(None, None)] * 2
    assert {row.output_id for row in found} == set(test.outputs.values())


class Life(RuleBasedStateMachine):
    """One service through which runs go; after each step what is stored follows from its causes."""

    ci: Ci
    account: Account
    files: Path
    names = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        number = next(self.names)
        outputs = {"a.txt": "a", "b.txt": "b", "time.txt": "t"}
        self.tests = [
            self.ci.test(f"{number} {name}", outputs=outputs, ignored=("time.txt",))
            for name in ("one", "two")
        ]
        wish = NewRun("Acme/Tool", COMMIT, Platform.LINUX, test_ids=[test.id for test in self.tests])
        self.run_ids = [self.ci.service.runs.create(wish, None).id for _ in range(2)]
        self.ended: dict[int, RunStatus] = {}

    @rule(which=st.integers(0, 1), stage=st.sampled_from(Stage))
    def progress(self, which: int, stage: Stage) -> None:
        self._attempt(lambda: self._reports.progress(self.run_ids[which], stage, "said"))

    @rule(
        which=st.integers(0, 1), test=st.integers(0, 1), name=st.sampled_from(["a.txt", "b.txt", "time.txt"])
    )
    def equal(self, which: int, test: int, name: str) -> None:
        self._attempt(lambda: self._reports.equal(self.run_ids[which], self._place(test, name)))

    @rule(
        which=st.integers(0, 1),
        test=st.integers(0, 1),
        name=st.sampled_from(["a.txt", "b.txt", "time.txt"]),
        text=st.sampled_from(["a", "b", "x"]),
    )
    def upload(self, which: int, test: int, name: str, text: str) -> None:
        file = self.files / digest(text)
        file.write_text(text)
        received = Received(file, digest(text), len(text))
        self._attempt(lambda: self._reports.upload(self.run_ids[which], self._place(test, name), received))

    @rule(which=st.integers(0, 1), test=st.integers(0, 1), code=st.integers(0, 1))
    def finish(self, which: int, test: int, code: int) -> None:
        test_id = self.tests[test].id
        self._attempt(
            lambda: self._reports.finish(self.run_ids[which], test_id, runtime_ms=1, exit_code=code)
        )

    @rule(which=st.integers(0, 1))
    def cancel(self, which: int) -> None:
        self.ci.service.runs.cancel(self.run_ids[which], self.account, None)

    @rule(
        which=st.integers(0, 1),
        test=st.integers(0, 1),
        name=st.sampled_from(["a.txt", "b.txt"]),
        remove_variants=st.booleans(),
    )
    def approve(self, which: int, test: int, name: str, remove_variants: bool) -> None:
        place = OutputPlace(
            self.run_ids[which],
            self.tests[test].sample_id,
            self.tests[test].id,
            self.tests[test].outputs[name],
        )
        baselines = self.ci.service.baselines
        self._attempt(lambda: baselines.approve(place, self.account, remove_variants=remove_variants))

    @rule(test=st.integers(0, 1), name=st.sampled_from(["a.txt", "b.txt"]))
    def accept_variant(self, test: int, name: str) -> None:
        with self.ci.service.database.write() as connection:
            catalogue.accept_variant(connection, self.tests[test].outputs[name], digest("x"))

    @invariant()
    def what_is_stored_is_what_is_derived(self) -> None:
        stored = self._stored()
        with self.ci.service.database.write() as connection:
            for run_id in self.run_ids:
                statuses.recompute(connection, run_id)
        assert self._stored() == stored

    @invariant()
    def what_has_ended_stays_as_it_is(self) -> None:
        now = {run_id: self.ci.service.runs.get(run_id).status for run_id in self.run_ids}
        assert {run_id: now[run_id] for run_id in self.ended} == self.ended
        self.ended = {run_id: status for run_id, status in now.items() if status in TERMINAL}

    @precondition(lambda self: len(self.ended) < 2)
    @invariant()
    def what_is_reported_decides(self) -> None:
        """Said once more here, in other words: a test passes when nothing speaks against it."""
        with self.ci.service.database.read() as connection:
            rows = connection.execute(select(tables.run_test)).all()
            outputs = connection.execute(select(tables.run_output).where(tables.run_output.c.required)).all()
        for row in rows:
            own = [
                one.verdict
                for one in outputs
                if (one.run_id, one.regression_test_id) == (row.run_id, row.regression_test_id)
            ]
            is_good = set(own) <= {MATCH, VARIANT} and row.exit_code == row.expected_rc
            assert (row.status is PASS) == (row.reported_at is not None and is_good)

    @property
    def _reports(self) -> Any:
        return self.ci.service.reports

    def _place(self, test: int, name: str) -> Place:
        return Place(self.tests[test].id, self.tests[test].outputs[name])

    def _attempt(self, report: Callable[[], object]) -> None:
        """Refusals are part of it: of a run that has ended, of a stage gone back to, of a contradiction."""
        with suppress(Conflict, Unprocessable):
            report()

    def _stored(self) -> Sequence[Any]:
        with self.ci.service.database.read() as connection:
            runs = connection.execute(
                select(tables.run).where(tables.run.c.id.in_(self.run_ids)).order_by(*tables.run.primary_key)
            ).all()
            tests = connection.execute(
                select(tables.run_test)
                .where(tables.run_test.c.run_id.in_(self.run_ids))
                .order_by(*tables.run_test.primary_key)
            ).all()
        return [*map(tuple, runs), *map(tuple, tests)]


@pytest.mark.spec("CI-81")
def test_what_is_stored_is_what_is_derived_after_any_steps(ci: Ci, tmp_path: Path) -> None:
    ci.person("tess", Role.TESTER)

    class Here(Life):
        pass

    Here.ci, Here.files, Here.account = ci, tmp_path, ci.service.accounts.named("tess")
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=15,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def at_once(*calls: Callable[[], R]) -> list[R]:
    """What all of these return that begin together."""
    gate = threading.Barrier(len(calls), timeout=PATIENCE_SECONDS)

    def patient(call: Callable[[], R]) -> R:
        gate.wait()
        for _ in range(TRIES_AT_MOST):  # where the database was busy for long, a client asks again
            with suppress(Unavailable):
                return call()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [done.result(PATIENCE_SECONDS) for done in [threads.submit(patient, call) for call in calls]]


@pytest.mark.spec("CI-82")
def test_concurrent_cancel_single_terminal(shared_ci: Ci) -> None:
    shared_ci.person("tess", Role.TESTER)
    account, service = shared_ci.service.accounts.named("tess"), shared_ci.service
    test = shared_ci.test()
    for _ in range(3):
        run_id = shared_ci.queued()
        lease = service.leases.claim(Platform.LINUX)
        assert isinstance(lease, Lease)
        service.reports.progress(run_id, Stage.TESTING, "testing")
        service.reports.equal(run_id, Place(test.id, test.outputs["out.txt"]))
        service.reports.finish(run_id, test.id, runtime_ms=1, exit_code=0)

        def complete(run_id: int = run_id) -> bool:
            try:
                service.reports.progress(run_id, Stage.COMPLETED, "done")
            except Conflict:
                return False
            return True

        def cancel(run_id: int = run_id) -> bool:
            return service.runs.cancel(run_id, account, None).accepted

        won = at_once(complete, *[cancel] * CANCELS)
        events, _ = service.runs.progress(run_id, status=None, limit=100, offset=0)
        ends = [event.status for event in events if event.status in (Stage.COMPLETED, Stage.CANCELED)]
        assert won.count(True) == 1
        assert ends == [Stage.COMPLETED if won[0] else Stage.CANCELED]
        assert service.runs.get(run_id).status == ("pass" if won[0] else "canceled")


@pytest.mark.spec("CI-84", "CI-85")
def test_each_run_is_claimed_by_one_of_many_workers(shared_ci: Ci) -> None:
    shared_ci.test()
    run_ids = [shared_ci.queued() for _ in range(CLAIMERS - 2)]
    leases = at_once(*[lambda: shared_ci.service.leases.claim(Platform.LINUX)] * CLAIMERS)
    claimed = [lease for lease in leases if lease is not None]
    assert sorted(lease.run.id for lease in claimed) == run_ids
    for lease in claimed:
        bound = shared_ci.service.runs.get(lease.run.id).run_key_id
        decision = shared_ci.service.verifier.verify(lease.text, Access())
        assert isinstance(decision, Allowed)
        assert decision.key.id == bound


@pytest.mark.spec("CI-82")
def test_many_first_runs_of_a_repository_make_it_once(shared_ci: Ci) -> None:
    shared_ci.test()
    wish = NewRun("Acme/Fresh", COMMIT, Platform.LINUX)
    made = at_once(*[lambda: shared_ci.service.runs.create(wish, None)] * CLAIMERS)
    assert len({run.id for run in made}) == CLAIMERS
    with shared_ci.service.database.read() as connection:
        found = connection.execute(select(tables.repository.c.url)).scalars().all()
    assert found == ["Acme/Fresh"]


@pytest.mark.spec("CI-85")
def test_run_key_not_in_url_or_clear(tmp_path: Path, clock: Clock) -> None:
    """Nor in a log, which is looked at after every test."""
    stores = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("CI_DATABASE_URL", "KEYRACK_STORE")}
    variables = environment(tmp_path, **stores)
    make_store(Settings.read(variables))
    with Ci(variables, clock) as ci:
        ci.test()
        ci.queued()
        run = ci.claim()
        form = {"type": "progress", "status": "testing", "message": "m"}
        path = f"/progress-reporter/{run.id}"
        assert ci.post(path, headers={"X-API-Key": run.key}, data=form).status_code == 200
        assert ci.post(path, run.key, data=form).status_code == 200
        assert problem(ci.post(path, data={**form, "run_key": run.key})) == (401, "unauthorized")
        assert run.key not in json.dumps(ci.get("/runs", ci.full_token("root", Role.ADMIN)).json())
        secret = run.key.rpartition("_")[2][12:44]
        files = [one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()]
        assert any(run.key.rpartition("_")[2][:12].encode() in content for content in files)
        assert not any(secret.encode() in content for content in files)


@pytest.mark.spec("CI-86")
def test_stages_are_skipped_forward_and_a_run_may_be_given_up_at_any(ci: Ci) -> None:
    ci.test()
    reached = {}
    for stages in (["completed"], ["testing", "canceled"], ["canceled"], ["preparation", "completed"]):
        run_id = ci.queued()
        run = ci.claim()
        answers = [run.report("progress", status=stage, message="m").status_code for stage in stages]
        reached[tuple(stages)] = (set(answers), str(ci.service.runs.get(run_id).status))
    assert reached == {
        ("completed",): ({200}, "error"),
        ("testing", "canceled"): ({200}, "canceled"),
        ("canceled",): ({200}, "canceled"),
        ("preparation", "completed"): ({200}, "error"),
    }


@pytest.mark.spec("CI-86")
def test_each_kind_of_file_is_kept_in_its_place(ci: Ci, tmp_path: Path) -> None:
    test = ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    assert run.report("logupload", b"of the run\n").status_code == 200
    assert run.report("logupload", b"of the test\n", test_id=test.id).status_code == 200
    for kind in ("binary", "coredump", "combined_stdout"):
        assert run.report("artifactupload", kind.encode(), artifact_type=kind).status_code == 200
    kept = {str(path.relative_to(tmp_path / "files")) for path in (tmp_path / "files").rglob("*.*")}
    assert kept == {
        f"LogFiles/{run.id}.txt",
        f"LogFiles/{run.id}/{test.id}.txt",
        f"test_artifacts/{run.id}/combined_stdout.log",
    }
    token = ci.full_token("ann", Role.USER)
    shown = ci.get(f"/runs/{run.id}/artifacts", token).json()["data"]
    assert {one["type"]: one["storage_status"] for one in shown if one["type"] != "expected_output"} == {
        "build_log": "ok",
        "sample_log": "ok",
        "binary": "ok",
        "coredump": "ok",
        "combined_stdout": "ok",
    }


@pytest.mark.spec("CI-86", "CI-80")
def test_a_variant_counts_when_it_is_accepted_before_the_report(ci: Ci) -> None:
    test = ci.test()
    output_id = test.outputs["out.txt"]
    found = []
    for _ in range(2):
        run_id = ci.queued()
        run = ci.claim()
        run.begin()
        run.report("upload", b"variant\n", test_id=test.id, test_file_id=output_id)
        with ci.service.database.write() as connection:
            catalogue.accept_variant(connection, output_id, hashlib.sha256(b"variant\n").hexdigest())
        run.finish(test, matching=False)
        run.complete()
        found.append(str(ci.service.runs.get(run_id).status))
    assert found == ["fail", "pass"]


@pytest.mark.spec("CI-87")
def test_a_repeated_report_is_accepted_and_changes_nothing(ci: Ci) -> None:
    test = ci.test()
    place = {"test_id": test.id, "test_file_id": test.outputs["out.txt"]}
    ci.queued()
    run = ci.claim()
    run.begin()
    ended = {"test_id": test.id, "runTime": 5, "exitCode": 0}
    stored = []
    for _ in range(2):
        assert run.report("equality", **place).json() == {"result": "OK"}
        assert run.report("finish", **ended).json() == {"result": "OK"}
        with ci.service.database.read() as connection:
            stored.append(
                [
                    connection.execute(select(table).order_by(*table.primary_key)).all()
                    for table in (tables.run_test, tables.run_output)
                ]
            )
    assert stored[0] == stored[1]
    for changed in ({"runTime": 6}, {"exitCode": 1}):
        answer = run.report("finish", **{**ended, **changed})
        assert (answer.status_code, answer.json()["details"]["result"]) == (409, "FAIL")


@pytest.mark.spec("CI-87")
def test_a_file_over_the_limit_is_413_and_is_not_kept(
    ci: Ci, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("examples.ci_results.routes.forms.MAX_FILE", 1000)
    test = ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    place = {"test_id": test.id, "test_file_id": test.outputs["out.txt"]}
    for size in (1001, 200_000):
        answer = run.report("upload", b"x" * size, **place)
        assert (answer.status_code, answer.json()["details"]["result"]) == (413, "FAIL")
    assert not [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
    assert run.report("upload", b"x" * 1000, **place).status_code == 200


@pytest.mark.spec("CI-88")
def test_an_output_is_named_by_its_test_and_its_own_id(ci: Ci) -> None:
    one, two = ci.test("one"), ci.test("two")
    ci.queued()
    run = ci.claim()
    run.begin()
    crossed = {"test_id": one.id, "test_file_id": two.outputs["out.txt"]}
    assert run.report("equality", **crossed).status_code == 422
    assert run.report("equality", test_id=two.id, test_file_id=two.outputs["out.txt"]).status_code == 200


@pytest.mark.spec("CI-81")
def test_a_recomputation_mends_what_somebody_else_wrote(ci: Ci) -> None:
    test = ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    run.finish(test)
    run.complete()
    with ci.service.database.write() as connection:
        connection.execute(tables.run.update().values(status=RunStatus.QUEUED, completed_at=None))
        connection.execute(tables.run_test.update().values(status=FAIL))
    assert ci.service.runs.recompute() == 1
    mended = ci.service.runs.get(run.id)
    assert (mended.status, mended.completed_at is not None) == ("pass", True)
