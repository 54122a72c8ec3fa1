"""The parts of one running service, opened together and closed together."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from examples.ci_results.clock import Clock, utc_now
from examples.ci_results.models.database import Database
from examples.ci_results.services.accounts import Accounts
from examples.ci_results.services.directory import open_directory
from examples.ci_results.services.passwords import Passwords
from examples.ci_results.services.runs import Runs
from examples.ci_results.services.tokens import PREFIX, Tokens
from examples.ci_results.settings import Settings
from keyrack import ConfigurationError, KeyrackError, Policy, Verifier

RUN_PREFIX = "spciw"
POLICY = Policy(prefixes=(PREFIX, RUN_PREFIX))


@dataclass(frozen=True, slots=True)
class Service:
    """What middleware and routes use. Whoever opened it closes it."""

    settings: Settings
    database: Database
    verifier: Verifier
    passwords: Passwords
    tokens: Tokens
    accounts: Accounts
    runs: Runs
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
            service = cls(
                settings=settings,
                database=database,
                verifier=verifier,
                passwords=passwords,
                tokens=tokens,
                accounts=Accounts(database, tokens, passwords, clock),
                runs=Runs(database, open_directory(settings.repository_directory), settings, clock),
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


def open_verifier(settings: Settings, clock: Clock, *, create: bool = False) -> Verifier:
    """The key store of this service; its limits are counted beside it, once for all processes."""
    try:
        return Verifier.open(
            settings.key_store,
            peppers=settings.peppers,
            policy=POLICY,
            counters=_counters(settings.key_store),
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
