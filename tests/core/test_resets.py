"""When balances are reset: each frequency over the ends of months, leap days and years."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core.resets import next_reset
from keyrack.core.upstream import ResetFrequency

HOURLY, DAILY, WEEKLY, MONTHLY, YEARLY = (one for one in ResetFrequency if one is not ResetFrequency.NEVER)
CASES = [
    (HOURLY, "2024-02-28T23:59:59.999", "2024-02-29T00:00"),
    (HOURLY, "2024-02-29T00:00", "2024-02-29T01:00"),
    (HOURLY, "2023-12-31T23:00", "2024-01-01T00:00"),
    (DAILY, "2024-02-28T12:00", "2024-02-29T00:00"),
    (DAILY, "2024-02-29T00:00", "2024-03-01T00:00"),
    (DAILY, "2023-02-28T00:00", "2023-03-01T00:00"),
    (WEEKLY, "2024-02-25T23:59:59", "2024-02-26T00:00"),
    (WEEKLY, "2024-02-26T00:00", "2024-03-04T00:00"),
    (WEEKLY, "2024-12-31T09:30", "2025-01-06T00:00"),
    (MONTHLY, "2024-01-31T23:59", "2024-02-01T00:00"),
    (MONTHLY, "2024-01-01T00:00", "2024-02-01T00:00"),
    (MONTHLY, "2024-02-29T23:59", "2024-03-01T00:00"),
    (MONTHLY, "2023-02-28T12:00", "2023-03-01T00:00"),
    (MONTHLY, "2024-12-15T00:00", "2025-01-01T00:00"),
    (YEARLY, "2024-02-29T12:00", "2025-01-01T00:00"),
    (YEARLY, "2024-12-31T23:59:59", "2025-01-01T00:00"),
    (YEARLY, "2025-01-01T00:00", "2026-01-01T00:00"),
]


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.spec("UG-36")
@pytest.mark.parametrize(("frequency", "after", "boundary"), CASES)
def test_the_next_reset_is_the_first_boundary_after_a_time(
    frequency: ResetFrequency, after: str, boundary: str
) -> None:
    assert next_reset(frequency, unix(after)) == unix(boundary)


@pytest.mark.spec("UG-36")
@given(after=st.floats(unix("2000-01-01T00:00"), unix("2100-01-01T00:00")))
def test_a_boundary_is_ahead_by_a_period_at_most_and_begins_the_next_one(after: float) -> None:
    longest = {
        HOURLY: timedelta(hours=1),
        DAILY: timedelta(days=1),
        WEEKLY: timedelta(days=7),
        MONTHLY: timedelta(days=31),
        YEARLY: timedelta(days=366),
    }
    for frequency, period in longest.items():
        boundary = next_reset(frequency, after)
        assert boundary is not None
        assert after < boundary <= after + period.total_seconds()
        assert next_reset(frequency, boundary - 1) == boundary


@pytest.mark.spec("UG-36")
def test_boundaries_are_those_of_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XST-05:45")
    time.tzset()
    try:
        assert next_reset(DAILY, unix("2024-02-28T23:30")) == unix("2024-02-29T00:00")
        assert next_reset(HOURLY, unix("2024-02-28T23:30")) == unix("2024-02-29T00:00")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_never_resets_has_no_boundary() -> None:
    assert next_reset(ResetFrequency.NEVER, unix("2024-01-01T00:00")) is None
