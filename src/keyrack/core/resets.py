"""When balances are reset: the boundaries of hours, days, weeks, months and years in UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import floor

from keyrack.core.upstream import ResetFrequency

_LONGEST_MONTH = timedelta(days=31)


def next_reset(frequency: ResetFrequency, after: float) -> float | None:
    """The first boundary after this time, both in Unix seconds; None for `never`. Weeks begin on Monday."""
    # Whole seconds: a fraction just below one would be rounded up to it, and beyond the boundary.
    at = datetime.fromtimestamp(floor(after), UTC)
    hour = at.replace(minute=0, second=0)
    day = hour.replace(hour=0)
    boundaries = {
        ResetFrequency.HOURLY: hour + timedelta(hours=1),
        ResetFrequency.DAILY: day + timedelta(days=1),
        ResetFrequency.WEEKLY: day + timedelta(days=7 - day.weekday()),
        # Behind the end of each month, and still in the next one.
        ResetFrequency.MONTHLY: (day.replace(day=1) + _LONGEST_MONTH).replace(day=1),
        ResetFrequency.YEARLY: day.replace(year=day.year + 1, month=1, day=1),
    }
    boundary = boundaries.get(frequency)
    return None if boundary is None else boundary.timestamp()
