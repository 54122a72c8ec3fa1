"""The time: passed in everywhere, read here alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives an aware time in UTC."""


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)
