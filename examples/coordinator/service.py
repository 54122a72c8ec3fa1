"""The parts of one running service, opened together and closed together."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from examples.coordinator.callers import CALLERS, PRESETS, required
from examples.coordinator.clock import Clock, utc_now
from examples.coordinator.creations import Creations
from examples.coordinator.database import Database
from examples.coordinator.jobs import Jobs
from examples.coordinator.settings import Settings
from examples.coordinator.webhook import Webhook
from keyrack import ConfigurationError, KeyrackError, Policy, StaticKeys, Verifier


@dataclass(frozen=True, slots=True)
class Service:
    """What guard and routes use. Whoever opened it closes it."""

    settings: Settings
    verifier: Verifier
    database: Database
    jobs: Jobs
    creations: Creations
    webhook: Webhook
    clock: Clock

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock = utc_now) -> Self:
        """Open the database and, when all else is right, the key store, where static keys are brought in.

        Raises ConfigurationError, and leaves nothing open then.
        """
        with ExitStack() as opened:
            database = Database(settings.database_url)
            opened.callback(database.close)
            verifier = _open_verifier(settings, clock)
            opened.pop_all()
        jobs = Jobs(database, clock)
        return cls(
            settings=settings,
            verifier=verifier,
            database=database,
            jobs=jobs,
            creations=Creations(database, jobs, clock),
            webhook=Webhook(database, jobs, secrets=settings.webhook_secrets, clock=clock),
            clock=clock,
        )

    def close(self) -> None:
        """Let go of everything."""
        self.verifier.close()
        self.database.close()


def _open_verifier(settings: Settings, clock: Clock) -> Verifier:
    needed = required(webhook=bool(settings.webhook_secrets)) if settings.static else ()
    policy = Policy(presets=PRESETS, limits=(settings.rate_limit,), failure_limit=settings.failure_limit)
    try:
        return Verifier.open(
            settings.store,
            peppers=settings.peppers,
            policy=policy,
            static=StaticKeys(CALLERS, needed),
            counters=settings.counters,
            create=True,
            max_stale=settings.max_stale,
            poll=settings.poll,
            clock=lambda: clock().timestamp(),
        )
    except ConfigurationError:
        raise
    except KeyrackError as error:
        raise ConfigurationError("KEYRACK_STORE", error.detail) from error
