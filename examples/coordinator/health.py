"""How the parts of the service are. The whole is as bad as its worst part."""

from __future__ import annotations

from typing import Literal

from examples.coordinator.bodies import Check, Health
from examples.coordinator.service import Service

Condition = Literal["ok", "degraded", "down"]
_WORST_FIRST: tuple[Condition, ...] = ("down", "degraded", "ok")


def check(service: Service) -> Health:
    """Ask each part now."""
    checks = [
        Check(name="database", status="ok" if service.database.answers() else "down"),
    ]
    found = {one.status for one in checks}
    worst = next(condition for condition in _WORST_FIRST if condition in found)
    return Health(status=worst, checked_at=service.clock(), checks=checks)
