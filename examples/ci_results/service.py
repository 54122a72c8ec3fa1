"""The parts of one running service, opened together and closed together."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from examples.ci_results.clock import Clock, utc_now
from examples.ci_results.models.database import Database
from examples.ci_results.services.accounts import Accounts
from examples.ci_results.services.artifacts import Artifacts
from examples.ci_results.services.baselines import Baselines
from examples.ci_results.services.comparing import Comparer
from examples.ci_results.services.diffs import Diffs
from examples.ci_results.services.directory import open_directory
from examples.ci_results.services.errors import Errors
from examples.ci_results.services.files import open_files
from examples.ci_results.services.health import HealthChecks
from examples.ci_results.services.leases import PREFIX as RUN_PREFIX
from examples.ci_results.services.leases import Leases
from examples.ci_results.services.logs import Logs
from examples.ci_results.services.outputs import Outputs
from examples.ci_results.services.passwords import Passwords
from examples.ci_results.services.queue import Queue
from examples.ci_results.services.runs import Runs
from examples.ci_results.services.samples import Samples
from examples.ci_results.services.storage import Storage
from examples.ci_results.services.tokens import PREFIX, Tokens
from examples.ci_results.services.worker import Reports
from examples.ci_results.settings import Settings
from keyrack import ConfigurationError, KeyrackError, Policy, Verifier

POLICY = Policy(prefixes=(PREFIX, RUN_PREFIX))
MAX_COUNTED = 10_000
"""Limits that are counted at once (CI-95)."""


@dataclass(frozen=True, slots=True)
class Service:
    """What middleware and routes use. Whoever opened it closes it."""

    settings: Settings
    database: Database
    verifier: Verifier
    passwords: Passwords
    tokens: Tokens
    accounts: Accounts
    leases: Leases
    runs: Runs
    samples: Samples
    storage: Storage
    reports: Reports
    outputs: Outputs
    diffs: Diffs
    baselines: Baselines
    errors: Errors
    artifacts: Artifacts
    logs: Logs
    queue: Queue
    health: HealthChecks
    clock: Clock

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock = utc_now, passwords: Passwords | None = None) -> Self:
        """Open the database, then the key store. Raises ConfigurationError; nothing is open then."""
        with ExitStack() as opened:
            database = Database(settings.database_url)
            opened.callback(database.close)
            verifier = open_verifier(settings, clock)
            opened.callback(verifier.close)
            passwords = passwords or Passwords()
            tokens = Tokens(database, verifier, passwords, clock)
            storage = _open_storage(settings)
            leases = Leases(database, verifier, settings.run_lease_hours, clock)
            service = cls(
                settings=settings,
                database=database,
                verifier=verifier,
                passwords=passwords,
                tokens=tokens,
                accounts=Accounts(database, tokens, passwords, clock),
                leases=leases,
                runs=Runs(
                    database,
                    open_directory(settings.repository_directory),
                    leases,
                    settings=settings,
                    clock=clock,
                ),
                samples=Samples(database),
                storage=storage,
                reports=Reports(database, storage, leases, clock),
                outputs=Outputs(database, storage),
                diffs=Diffs(database, storage, Comparer()),
                baselines=Baselines(database, clock),
                errors=Errors(database),
                artifacts=Artifacts(database, storage, download_minutes=settings.download_minutes),
                logs=Logs(database, storage),
                queue=Queue(database),
                health=HealthChecks(database, verifier, storage, clock),
                clock=clock,
            )
            opened.pop_all()
        return service

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        self.verifier.close()
        self.database.close()


def _open_storage(settings: Settings) -> Storage:
    primary = open_files(settings.storage_url, "CI_STORAGE_URL")
    if settings.mirror_url is None:
        return Storage(primary)
    return Storage(primary, open_files(settings.mirror_url, "CI_STORAGE_MIRROR_URL"))


def open_verifier(settings: Settings, clock: Clock, *, create: bool = False) -> Verifier:
    """The key store of this service; its limits are counted beside it, once for all processes."""
    try:
        return Verifier.open(
            settings.key_store,
            peppers=settings.peppers,
            policy=POLICY,
            counters=_counters(settings.key_store),
            counters_max_entries=MAX_COUNTED,
            create=create,
            clock=lambda: clock().timestamp(),
        )
    except ConfigurationError:
        raise
    except KeyrackError as error:
        raise ConfigurationError("KEYRACK_STORE", error.detail) from error


def _counters(key_store: str) -> str | None:
    """Beside a file, so that all processes of this machine count together; else the store's own choice."""
    scheme, _, path = key_store.partition(":///")
    return f"sqlite:///{path}.limits" if scheme == "sqlite" else None
