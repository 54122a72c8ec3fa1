"""Run keys: each is bound to one run, lives as long as its lease, and ends with the run (CI-85)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from examples.ci_results.clock import Clock
from examples.ci_results.enumerations import Origin, Platform, Stage
from examples.ci_results.models import runs
from examples.ci_results.models.database import Database
from examples.ci_results.models.runs import Run
from examples.ci_results.services import grants, statuses
from keyrack import Authority, Key, Verifier, Wish

PREFIX = "spciw"
WORKERS = Authority.service("ci-results-workers", (grants.CLAIM, grants.REPORT))
RUN = "run_id"
"""The member of a run key's metadata that names its run."""
EXPIRED = "the worker's key expired before the run ended"


class Lease(NamedTuple):
    """A claimed run, and the key that reports on it; its text is in here and nowhere else."""

    run: Run
    text: str
    ends_at: datetime

    def __repr__(self) -> str:
        return f"<Lease {self.run.id}>"


class Leases:
    """Hands runs to workers, and takes them back."""

    def __init__(self, database: Database, verifier: Verifier, hours: float, clock: Clock):
        self._database = database
        self._issuer = verifier.issuer()
        self._life = timedelta(hours=hours)
        self._clock = clock

    def claim(self, platform: Platform) -> Lease | None:
        """The oldest queued run of a platform with a new key, or None. Two workers never get one run."""
        while (run_id := self._next(platform)) is not None:
            lease = self.claim_run(run_id)
            if lease is not None:
                return lease
        return None

    def claim_run(self, run_id: int) -> Lease | None:
        """One run with a new key; None when somebody else reports on it, or it ended."""
        ends_at = self._clock() + self._life
        key, text = self._minted(run_id, ends_at)
        run = self._taken(run_id, key, ends_at)
        if run is None:
            self._issuer.revoke(key.id, by=WORKERS, reason="another worker was first")
            return None
        return Lease(run, text, ends_at)

    def end(self, run: Run) -> None:
        """Revoke the key of a run that has ended."""
        if run.run_key_id is not None:
            self._issuer.revoke(run.run_key_id, by=WORKERS, reason="the run ended")

    def cancel_overdue(self) -> int:
        """End runs whose key expired; returns how many."""
        with self._database.read() as connection:
            overdue = runs.overdue(connection, self._clock())
        return sum(self.cancel(run_id, EXPIRED) for run_id in overdue)

    def cancel(self, run_id: int, why: str) -> bool:
        """End a run that its worker gave up, for the service; whether it had not ended before."""
        with self._database.write() as connection:
            run = runs.hold(connection, run_id)
            if run is None or run.is_terminal:
                return False
            runs.note_progress(
                connection,
                run_id,
                Stage.CANCELED,
                origin=Origin.SERVICE,
                at=self._clock(),
                message=why,
                error_type="worker",
            )
            statuses.settle_run(connection, run_id)
        self.end(run)
        return True

    def add_worker(self, name: str) -> str:
        """The text of a key with which a worker claims runs."""
        minted = self._issuer.mint(Wish(name, scopes=[grants.CLAIM], prefix=PREFIX), by=WORKERS)
        return minted.secret or ""

    def _next(self, platform: Platform) -> int | None:
        with self._database.read() as connection:
            return runs.next_queued(connection, platform)

    def _minted(self, run_id: int, ends_at: datetime) -> tuple[Key, str]:
        wish = Wish(
            f"run {run_id}",
            scopes=[grants.REPORT],
            prefix=PREFIX,
            expires_at=ends_at,
            metadata={RUN: run_id},
        )
        minted = self._issuer.mint(wish, by=WORKERS)
        return minted.key, minted.secret or ""

    def _taken(self, run_id: int, key: Key, ends_at: datetime) -> Run | None:
        """The run, once it is this worker's; None when another one was first, or it ended."""
        try:
            with self._database.write() as connection:
                run = runs.hold(connection, run_id)
                if run is None or run.is_terminal or run.run_key_id is not None:
                    return None
                runs.write_lease(connection, run_id, key_id=key.id, ends_at=ends_at)
        except BaseException:
            self._issuer.revoke(key.id, by=WORKERS, reason="the run could not be claimed")
            raise
        return run


def run_of(key: Key) -> int | None:
    """The run that a run key is bound to."""
    bound = key.metadata.get(RUN)
    return bound if isinstance(bound, int) else None
