"""How the parts of the service are. The whole is as bad as its worst part."""

from __future__ import annotations

from typing import Literal

from starlette.requests import Request

from examples.coordinator.bodies import Check, Health
from examples.coordinator.service import Service

Condition = Literal["ok", "degraded", "down"]
_WORST_FIRST: tuple[Condition, ...] = ("down", "degraded", "ok")


def check(service: Service, request: Request) -> Health:
    """Ask each part now. That the limiter works shows in this request, which it has just counted."""
    checks = [
        Check(name="database", status="ok" if service.database.answers() else "down"),
        Check(name="key_store", status=_key_store(service)),
        Check(name="limiter", status="ok" if request.state.key.rates else "down"),
    ]
    found = {one.status for one in checks}
    worst = next(condition for condition in _WORST_FIRST if condition in found)
    return Health(status=worst, checked_at=service.clock(), checks=checks)


def _key_store(service: Service) -> Condition:
    """Degraded while decisions still stand on what was confirmed before the store was lost."""
    if service.verifier.doubt() is not None:
        return "down"
    return "degraded" if service.verifier.trouble else "ok"
