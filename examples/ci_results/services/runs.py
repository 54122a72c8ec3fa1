"""Runs: made for a commit that exists and was built, looked at, and canceled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from examples.ci_results.clock import Clock
from examples.ci_results.enumerations import STAFF, Origin, Platform, SampleStatus, Stage, TestType
from examples.ci_results.models import artifacts, audit, errors, results, runs
from examples.ci_results.models.accounts import Account
from examples.ci_results.models.database import Connection, Database, Taken
from examples.ci_results.models.results import ExpectedTest
from examples.ci_results.models.runs import Progress, Run, RunFilter
from examples.ci_results.problems import Forbidden, LacksRole, NotFound, Unprocessable
from examples.ci_results.services import statuses
from examples.ci_results.services.directory import Directory
from examples.ci_results.services.leases import Leases
from examples.ci_results.settings import Settings

NO_RUN = "There is no run of this id."
CANCELED = "canceled by a user"


@dataclass(frozen=True, slots=True)
class NewRun:
    """The run that somebody asks for; None for tests means all that are active."""

    repository: str
    commit_sha: str
    platform: Platform
    branch: str = "master"
    pull_request: int | None = None
    test_ids: Sequence[int] | None = None
    is_reserved: bool = False
    """Whether whoever asks for it reports on it as well, so that no worker is given it."""


class Summary(NamedTuple):
    """The counts of a run."""

    run: Run
    counts: dict[SampleStatus, int]
    errors: int


class Canceled(NamedTuple):
    """What became of a cancellation."""

    run_id: int
    accepted: bool
    """False where the run had ended before."""


class Runs:
    """Makes, shows and cancels runs. Every call blocks."""

    def __init__(
        self, database: Database, directory: Directory, leases: Leases, *, settings: Settings, clock: Clock
    ):
        self._database = database
        self._leases = leases
        self._directory = directory
        self._settings = settings
        self._lease = timedelta(hours=settings.run_lease_hours)
        self._clock = clock

    def create(self, wish: NewRun, by: Account | None) -> Run:
        """Put a run into the queue. Without somebody it is the service itself that asks (the loader).

        Raises Forbidden, Unprocessable, Unavailable. Nothing is written before all is checked.
        """
        if by is not None:
            self._require_ownership(wish.repository, by)
            self._require_known(wish)
        try:
            return self._created(wish, by)
        except Taken:  # somebody else named this repository for the first time at the same moment
            return self._created(wish, by)

    def find(self, wanted: RunFilter, *, sort: str, limit: int, offset: int) -> tuple[Sequence[Run], int]:
        """A page of runs, and how many there are in all."""
        with self._database.read() as connection:
            page = runs.find(connection, wanted, sort=sort, limit=limit, offset=offset)
            return page, runs.count(connection, wanted)

    def get(self, run_id: int) -> Run:
        """One run. Raises NotFound."""
        with self._database.read() as connection:
            return _existing(connection, run_id)

    def summary(self, run_id: int) -> Summary:
        """The counts of a run (CI-47)."""
        with self._database.read() as connection:
            run = _existing(connection, run_id)
            return Summary(run, runs.counts(connection, run_id), errors.count(connection, run_id))

    def progress(
        self, run_id: int, *, status: Stage | None, limit: int, offset: int
    ) -> tuple[Sequence[Progress], int]:
        """A page of the progress of a run, and how many events there are in all."""
        with self._database.read() as connection:
            _existing(connection, run_id)
            page = runs.progress(connection, run_id, status=status, limit=limit, offset=offset)
            return page, runs.count_progress(connection, run_id, status=status)

    def test_ids(self, run_id: int) -> tuple[Run, Sequence[int]]:
        """A run and the tests that it expects."""
        with self._database.read() as connection:
            return _existing(connection, run_id), results.test_ids(connection, run_id)

    def tests(self, run_id: int) -> Sequence[ExpectedTest]:
        """The tests of a run as a worker runs them."""
        with self._database.read() as connection:
            return results.expected(connection, run_id)

    def cancel(self, run_id: int, by: Account, reason: str | None) -> Canceled:
        """End a run that has not ended. Raises NotFound."""
        run = self._canceled(run_id, by, reason)
        if run is not None:
            self._leases.end(run)
        return Canceled(run_id, accepted=run is not None)

    def recompute(self) -> int:
        """Write every stored status anew, a run at a time; returns how many runs there are."""
        with self._database.read() as connection:
            run_ids = runs.ids(connection)
        for run_id in run_ids:
            with self._database.write() as connection:
                runs.hold(connection, run_id)
                statuses.recompute(connection, run_id)
        return len(run_ids)

    def _created(self, wish: NewRun, by: Account | None) -> Run:
        now = self._clock()
        with self._database.write() as connection:
            test_ids = _expected(connection, wish.test_ids)
            run_id = runs.add(
                connection,
                platform=wish.platform,
                test_type=TestType.COMMIT if wish.pull_request is None else TestType.PR,
                repository_name=wish.repository,
                branch=wish.branch,
                commit_sha=wish.commit_sha.lower(),
                pr_number=wish.pull_request,
                created_by=None if by is None else by.id,
                created_at=now,
                lease_ends_at=now + self._lease if wish.is_reserved else None,
            )
            results.freeze(connection, run_id, test_ids)
            artifacts.freeze_expected(connection, run_id)
            return _existing(connection, run_id)

    def _canceled(self, run_id: int, by: Account, reason: str | None) -> Run | None:
        """The run that was ended; None for one that had ended before."""
        with self._database.write() as connection:
            run = runs.hold(connection, run_id)
            if run is None:
                raise NotFound(NO_RUN)
            if run.is_terminal:
                return None
            message = CANCELED if reason is None else f"{CANCELED}: {reason}"
            at = self._clock()
            runs.note_progress(connection, run_id, Stage.CANCELED, origin=Origin.USER, at=at, message=message)
            statuses.settle_run(connection, run_id)
            audit.note(
                connection,
                at=self._clock(),
                actor=f"user/{by.name}",
                action="run.canceled",
                target=f"run/{run_id}",
                data={"reason": reason},
            )
        return run

    def _require_ownership(self, repository: str, by: Account) -> None:
        """The main repository is for staff, any other for who owns it (CI-36)."""
        if repository.lower() == self._settings.main_repository.lower():
            if by.role in STAFF:
                return
            raise LacksRole(STAFF, by.role, "Runs of the main repository are for staff.")
        owner = repository.partition("/")[0]
        if by.github_login is None or by.github_login.lower() != owner.lower():
            raise Forbidden("This repository is not yours.", "repository_not_owned")

    def _require_known(self, wish: NewRun) -> None:
        known = self._directory.look_up(wish.repository, wish.commit_sha.lower(), wish.platform)
        if not known.exists:
            raise Unprocessable("There is no such repository.")
        if self._settings.require_build and not known.is_built:
            raise Unprocessable("There is no build of this commit for this platform.")


def _expected(connection: Connection, wanted: Sequence[int] | None) -> Sequence[int]:
    found = results.active_tests(connection, wanted)
    inactive = sorted(set(wanted or ()) - set(found))
    if inactive:
        raise Unprocessable("Some of these tests are unknown or inactive.", inactive_ids=inactive)
    if not found:
        raise Unprocessable("There is no active test to run.")
    return found


def _existing(connection: Connection, run_id: int) -> Run:
    run = runs.get(connection, run_id)
    if run is None:
        raise NotFound(NO_RUN)
    return run
