"""The time range of a query (LL-30): two times with offset, or a duration until now; whole minutes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from examples.log_lake.problems import InvalidRequest, UnprocessableContent

NOW = "now"
MINUTE = timedelta(minutes=1)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,6}) ?(s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|w|weeks?)", re.ASCII)
_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?P<offset>[Zz]|[+-]\d{2}:\d{2})?", re.ASCII
)


class Period(NamedTuple):
    """From the one time to before the other, both in UTC and on the minute."""

    start_at: datetime
    end_at: datetime


def read_period(start: str, end: str, *, now: datetime) -> Period:
    """The range that a query asks for. Raises InvalidRequest, or UnprocessableContent without an offset."""
    if end.strip() == NOW:
        # Also on the minute, so that what was stored at this very moment is seen.
        end_at, start_at = _floor(now) + MINUTE, _ago(start.strip(), now)
    else:
        start_at, end_at = _time("startTime", start.strip()), _time("endTime", end.strip())
    if start_at > end_at:
        raise InvalidRequest("startTime is after endTime.")
    return Period(_floor(start_at), _ceiling(end_at))


def _ago(text: str, now: datetime) -> datetime:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise InvalidRequest("With endTime `now`, startTime is a duration such as `10m` or `2 hours`.")
    try:
        return now - timedelta(**{_UNITS[found[2][0]]: int(found[1])})
    except OverflowError:
        raise InvalidRequest("The duration is too long.") from None


def _time(name: str, text: str) -> datetime:
    found = _TIME.fullmatch(text)
    if found is None:
        raise InvalidRequest(f"{name} is no time such as 2030-01-31T12:00:00Z.")
    if found["offset"] is None:
        raise UnprocessableContent({name: ["A time needs an offset, such as `2030-01-31T12:00:00Z`."]})
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"{name} is no time that there is.") from None


def _floor(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _ceiling(at: datetime) -> datetime:
    """The next whole minute; the last one that a datetime can say is as it is."""
    floor = _floor(at)
    try:
        return floor if floor == at else floor + MINUTE
    except OverflowError:
        return at
