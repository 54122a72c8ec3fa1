"""The time range of a query: two times with offset, or a duration until now, in whole minutes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from examples.log_lake.period import read_period
from keyrack import KeyrackError

NOW = datetime(2030, 1, 31, 12, 34, 56, 789000, tzinfo=UTC)
END = datetime(2030, 1, 31, 12, 35, tzinfo=UTC)


@pytest.mark.spec("LL-30")
@pytest.mark.parametrize(
    ("text", "start_at"),
    [
        ("10m", datetime(2030, 1, 31, 12, 24, tzinfo=UTC)),
        ("10 minutes", datetime(2030, 1, 31, 12, 24, tzinfo=UTC)),
        ("1 minute", datetime(2030, 1, 31, 12, 33, tzinfo=UTC)),
        ("30s", datetime(2030, 1, 31, 12, 34, tzinfo=UTC)),
        ("2 hours", datetime(2030, 1, 31, 10, 34, tzinfo=UTC)),
        ("1h", datetime(2030, 1, 31, 11, 34, tzinfo=UTC)),
        ("3d", datetime(2030, 1, 28, 12, 34, tzinfo=UTC)),
        ("1 week", datetime(2030, 1, 24, 12, 34, tzinfo=UTC)),
    ],
)
def test_a_duration_counts_back_from_now_which_is_rounded_up(text: str, start_at: datetime) -> None:
    assert read_period(text, "now", now=NOW) == (start_at, END)


@pytest.mark.spec("LL-30")
def test_what_is_stored_on_the_minute_is_seen_at_once() -> None:
    on_the_minute = NOW.replace(second=0, microsecond=0)
    assert read_period("10m", "now", now=on_the_minute).end_at == END


@pytest.mark.spec("LL-30")
def test_the_start_is_cut_down_and_the_end_rounded_up_to_the_minute() -> None:
    period = read_period("2030-01-31T13:34:00.4+01:00", "2030-01-31T12:34:00.900001Z", now=NOW)
    assert period == (datetime(2030, 1, 31, 12, 34, tzinfo=UTC), END)
    whole = read_period("2030-01-31T12:34:00z", "2030-01-31T12:35:00Z", now=NOW)
    assert whole == period


@pytest.mark.spec("LL-30", "LL-3")
@pytest.mark.parametrize(
    ("start", "end", "status"),
    [
        ("2030-01-31T12:00:00", "2030-01-31T13:00:00Z", 422),
        ("2030-01-31T12:00:00Z", "2030-01-31T13:00:00", 422),
        ("2030-01-31T13:00:00Z", "2030-01-31T12:00:00Z", 400),
        ("2030-01-31T13:00:00Z", "now", 400),
        ("10m", "2030-01-31T13:00:00Z", 400),
        ("10", "now", 400),
        ("10 parsecs", "now", 400),
        ("-10m", "now", 400),
        ("999999w", "now", 400),
        ("2030-02-30T12:00:00Z", "2030-03-31T13:00:00Z", 400),
        ("0001-01-01T00:00:00+23:00", "2030-03-31T13:00:00Z", 400),
        ("1893456000", "1893456001", 400),
    ],
)
def test_what_is_no_range_is_refused(start: str, end: str, status: int) -> None:
    with pytest.raises(KeyrackError) as refused:
        read_period(start, end, now=NOW)
    assert refused.value.status == status


def test_the_last_minute_that_there_is_can_be_asked_for() -> None:
    assert read_period("2030-01-31T12:00:00Z", "9999-12-31T23:59:59Z", now=NOW).end_at.year == 9999
