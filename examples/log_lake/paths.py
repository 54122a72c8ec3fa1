"""Where objects with events lie (LL-24); nothing else makes or reads such a path.

A prefix always ends in a slash, so that no tenant or stream sees a neighbour whose name begins alike.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ulid import ULID

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MAX_HOURS = 24
MAX_DAYS = 31
"""Beyond so many prefixes the whole stream is listed at once."""
_HOUR = re.compile(r".*/date=(\d{4}-\d{2}-\d{2})/hour=(\d{2})/[^/]+")


def streams(tenant: str) -> str:
    """The prefix of all streams of a tenant."""
    return f"{tenant}/streams/"


def stream(tenant: str, name: str) -> str:
    """The prefix of all that a stream holds."""
    return f"{streams(tenant)}{name}/"


def firehose(tenant: str, name: str) -> str:
    """The prefix of what Firehose delivered to a stream and nobody has merged yet."""
    return f"{stream(tenant, name)}firehose/"


def owned(tenant: str) -> tuple[str, ...]:
    """The prefixes of all that a tenant's events are."""
    return streams(tenant), f"{tenant}/schemas/"


def schemas(tenant: str, name: str) -> str:
    """The prefix of the schemas that a stream's objects have. It lies beside the streams, and makes none."""
    return f"{tenant}/schemas/{name}/"


def schema(tenant: str, name: str, digest: str) -> str:
    """A schema, by what it says."""
    return f"{schemas(tenant, name)}{digest}.arrow"


def delivery(tenant: str, name: str, request_id: str) -> str:
    """The one object of a Firehose request, the same on every node and at every time."""
    return f"{firehose(tenant, name)}{hashlib.sha256(request_id.encode()).hexdigest()}.parquet"


def events(tenant: str, name: str, at: datetime, ulid: ULID) -> str:
    """An object with events of the hour of `at`."""
    return f"{_hour_prefix(stream(tenant, name), at)}{ulid}.parquet"


def hour_of(path: str) -> datetime | None:
    """The beginning of the hour that an object's events are of; None for what Firehose delivered."""
    found = _HOUR.fullmatch(path)
    if found is None:
        return None
    return datetime.fromisoformat(f"{found[1]}T{found[2]}:00:00").replace(tzinfo=UTC)


def prefixes(tenant: str, name: str, *, start_at: datetime, end_at: datetime) -> Iterator[str]:
    """The prefixes that hold all events of a time range, as few as make sense, Firehose's own last."""
    whole = stream(tenant, name)
    if end_at - start_at > MAX_DAYS * DAY:
        yield whole
        return
    if end_at - start_at > MAX_HOURS * HOUR:
        yield from (_day_prefix(whole, at) for at in _steps(start_at, end_at, DAY))
    else:
        yield from (_hour_prefix(whole, at) for at in _steps(start_at, end_at, HOUR))
    yield firehose(tenant, name)


def hour_start(at: datetime) -> datetime:
    """The beginning of the hour."""
    return at.replace(minute=0, second=0, microsecond=0)


def _steps(start_at: datetime, end_at: datetime, step: timedelta) -> Iterator[datetime]:
    at = hour_start(start_at) if step == HOUR else hour_start(start_at).replace(hour=0)
    while at < end_at:
        yield at
        at += step


def _day_prefix(whole: str, at: datetime) -> str:
    return f"{whole}date={at:%Y-%m-%d}/"


def _hour_prefix(whole: str, at: datetime) -> str:
    return f"{_day_prefix(whole, at)}hour={at:%H}/"
