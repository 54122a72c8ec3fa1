"""What time it is, handed in, so that a test has a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Aware UTC, to the second."""


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC).replace(microsecond=0)


def written(at: datetime) -> str:
    """A time as every answer shows it (CI-8)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
