"""The parts of one running service, opened together and closed together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from examples.coordinator.creations import Creations
from examples.coordinator.database import Database
from examples.coordinator.jobs import Jobs
from examples.coordinator.settings import Settings
from examples.coordinator.webhook import Webhook
from keyrack import Verifier


def utc_now() -> datetime:
    """The time, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes use. Open it with `Service.open`, and close it."""

    settings: Settings
    verifier: Verifier
    database: Database
    jobs: Jobs
    creations: Creations
    webhook: Webhook
    clock: Callable[[], datetime]
