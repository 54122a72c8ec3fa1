"""The periods of quotas: calendar months and years in UTC, or one for life."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple


class Period(NamedTuple):
    """One period: how objects name it, and when it ends, if it does."""

    name: str
    ends_at: datetime | None


def period_of(kind: str, at: datetime) -> Period:
    """The period of this kind (`Monthly`, `Yearly`, `Lifetime`) that a time lies in."""
    now = at.astimezone(UTC)
    match kind:
        case "Monthly":
            year, month = divmod(now.year * 12 + now.month, 12)
            return Period(f"{now:%Y-%m}", datetime(year, month + 1, 1, tzinfo=UTC))
        case "Yearly":
            return Period(f"{now:%Y}", datetime(now.year + 1, 1, 1, tzinfo=UTC))
    return Period("lifetime", None)
