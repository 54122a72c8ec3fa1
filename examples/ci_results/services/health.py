"""How the service is: what it depends on, and whether each of that answers (CI-70, CI-73)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from examples.ci_results.clock import Clock
from examples.ci_results.models.database import Database
from examples.ci_results.services.files import LocalFiles
from examples.ci_results.services.storage import Storage
from keyrack import Verifier


class HealthStatus(StrEnum):
    """How a part is, or all of it."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


class Dependency(NamedTuple):
    """One part that the service depends on."""

    name: str
    status: HealthStatus
    message: str | None = None


class Health(NamedTuple):
    """How everything is."""

    status: HealthStatus
    checked_at: datetime
    dependencies: Sequence[Dependency]


class HealthChecks:
    """Asks every part. Without the database or the keys nothing works; without files some things do."""

    def __init__(self, database: Database, verifier: Verifier, storage: Storage, clock: Clock):
        self._database = database
        self._verifier = verifier
        self._storage = storage
        self._clock = clock

    def check(self) -> Health:
        """How everything is now."""
        parts = [
            _part("database", self._database.answers(), HealthStatus.DOWN),
            _part("key_store", self._verifier.doubt() is None, HealthStatus.DOWN),
            *self._storages(),
        ]
        found = {part.status for part in parts}
        worst = next(
            (status for status in (HealthStatus.DOWN, HealthStatus.DEGRADED) if status in found),
            HealthStatus.OK,
        )
        return Health(worst, self._clock(), parts)

    def _storages(self) -> list[Dependency]:
        """The places for files that are configured, by their kind."""
        places = [place for place in (self._storage.primary, self._storage.mirror) if place is not None]
        answers: dict[str, bool] = {}
        for place in places:
            name = "local_storage" if isinstance(place, LocalFiles) else "object_storage"
            answers[name] = answers.get(name, True) and place.answers()
        return [_part(name, answered, HealthStatus.DEGRADED) for name, answered in answers.items()]


def _part(name: str, answers: bool, otherwise: HealthStatus) -> Dependency:
    if answers:
        return Dependency(name, HealthStatus.OK)
    return Dependency(name, otherwise, "This does not answer.")
