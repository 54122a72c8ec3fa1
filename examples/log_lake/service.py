"""The parts of one running service, opened together and closed together."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from examples.log_lake.clock import Clock, utc_now
from examples.log_lake.deliveries import Deliveries
from examples.log_lake.ingest import Ingest
from examples.log_lake.keys import Keys
from examples.log_lake.queries import Queries
from examples.log_lake.quota import Quotas
from examples.log_lake.settings import MAX_STALE_SECONDS, Settings
from examples.log_lake.storage import Storage
from examples.log_lake.tenants import TenantBook
from keyrack import ConfigurationError, KeyrackError, Policy, Unavailable, Verifier

POLICY = Path(__file__).with_name("policy.toml")


@dataclass(frozen=True, slots=True)
class Service:
    """What guard and routes use. Whoever opened it closes it."""

    settings: Settings
    storage: Storage
    verifier: Verifier
    quota: Quotas
    keys: Keys
    tenants: TenantBook
    ingest: Ingest
    deliveries: Deliveries
    queries: Queries
    clock: Clock

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock = utc_now) -> Self:
        """Open and probe the storage, then the key store. Raises ConfigurationError; nothing is open then."""
        storage = Storage.open(settings.storage_url)
        probe(storage)
        with ExitStack() as opened:
            verifier = _open_verifier(settings, clock)
            opened.callback(verifier.close)
            service = cls(
                settings=settings,
                storage=storage,
                verifier=verifier,
                quota=Quotas(storage, verifier.tenant, clock),
                keys=Keys(verifier, clock),
                tenants=TenantBook(verifier, multi_tenant=settings.multi_tenant),
                ingest=Ingest(storage),
                deliveries=Deliveries(storage),
                queries=Queries(settings.storage_url, clock, seconds=settings.query_seconds),
                clock=clock,
            )
            opened.pop_all()
        return service

    def close(self) -> None:
        """Let go of everything."""
        self.queries.close()
        self.verifier.close()


def policy() -> Policy:
    """What Keyrack is told about the keys of this service."""
    return Policy.read(POLICY.read_text(encoding="utf-8"))


def probe(storage: Storage) -> None:
    """Write one object twice; the second write must be refused. Raises ConfigurationError.

    Nothing here is right on a storage that lets two writers have the same object.
    """
    try:
        storage.put_if_absent(probe_path(), b"")
        is_safe = not storage.put_if_absent(probe_path(), b"")
    except Unavailable as error:
        raise ConfigurationError("LAKE_STORAGE_URL", error.detail) from error
    if not is_safe:
        raise ConfigurationError("LAKE_STORAGE_URL", "names a storage that overwrites what it must not.")


def probe_path() -> str:
    """The object that every start writes, or finds."""
    return ".settings/probe"


def _open_verifier(settings: Settings, clock: Clock) -> Verifier:
    try:
        return Verifier.open(
            settings.key_store,
            peppers=settings.peppers,
            policy=policy(),
            counters=settings.limiter_url,
            max_stale=MAX_STALE_SECONDS,
            poll=settings.poll_seconds,
            clock=lambda: clock().timestamp(),
        )
    except ConfigurationError as error:
        if error.setting != "KEYRACK_COUNTERS":
            raise
        raise ConfigurationError("LAKE_LIMITER_URL", "names no limiter that can be opened.") from error
    except KeyrackError as error:
        raise ConfigurationError("KEYRACK_STORE", error.detail) from error
