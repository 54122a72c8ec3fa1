"""Merges small objects of past days, so that queries read few large ones (LL-24).

One write decides: a merged object names in its footer those that it takes the place of, and no query
reads them any more. They are deleted by a later run, when no query can still be reading them. Two runs
at the same time write the same object, and the second write is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import pyarrow as pa
from ulid import ULID

from examples.log_lake import parquet, paths
from examples.log_lake.clock import Clock
from examples.log_lake.columns import are_alike
from examples.log_lake.names import is_stream_name
from examples.log_lake.objects import Footer, Objects, live
from examples.log_lake.storage import Storage

AGE = timedelta(hours=24)
READ_BY_THEN = timedelta(minutes=10)
"""Twice what a query may take."""
LARGE_BYTES = 8 * 1024 * 1024
"""Objects of this size are left as they are, and none is made larger."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a run did: objects written, and objects deleted that earlier runs had merged."""

    merged: int
    removed: int


def compact(storage: Storage, clock: Clock) -> Compaction:
    """Merge what is older than 24 hours in every stream of every tenant. Raises Unavailable."""
    objects, now = Objects(storage), clock()
    merged = removed = 0
    for tenant, stream in _streams(storage):
        footers = objects.footers(_old(storage, tenant, stream, now))
        spent = _spent(footers, now)
        storage.delete(spent)
        removed += len(spent)
        for group in _groups(footers, now):
            merged += _merge(storage, tenant, stream, group, clock=clock)
    return Compaction(merged, removed)


def _streams(storage: Storage) -> Iterator[tuple[str, str]]:
    for tenant in storage.folders(""):
        for name in storage.folders(paths.streams(tenant)):
            if is_stream_name(name):
                yield tenant, name


def _old(storage: Storage, tenant: str, stream: str, now: datetime) -> dict[str, int]:
    """The sizes of a stream's objects by path, but for those whose hour is too young."""
    stored = storage.list(paths.stream(tenant, stream))
    return {one.path: one.size_bytes for one in stored if (paths.hour_of(one.path) or now - AGE) <= now - AGE}


def _spent(footers: Sequence[Footer], now: datetime) -> list[str]:
    """The objects whose events are in a merged one for so long that nobody reads them any more."""
    there = {one.path for one in footers}
    sources = {
        path
        for one in footers
        if one.merged and one.merged.at + READ_BY_THEN <= now
        for path in one.merged.sources
    }
    return sorted(there & sources)


def _groups(footers: Sequence[Footer], now: datetime) -> Iterator[Sequence[Footer]]:
    """Objects that become one: of one hour, small, and with columns of the same types."""
    there = {one.path for one in footers}
    small = [one for one in live(footers) if _is_ready(one, there, now)]
    by_hour = sorted(small, key=lambda one: (paths.hour_start(one.first_at), one.path))
    for _, found in groupby(by_hour, key=lambda one: paths.hour_start(one.first_at)):
        yield from _portions(list(found))


def _is_ready(one: Footer, there: set[str], now: datetime) -> bool:
    """What still takes the place of others stays until they are gone."""
    is_free = one.merged is None or there.isdisjoint(one.merged.sources)
    return is_free and one.last_at <= now - AGE and one.size_bytes < LARGE_BYTES


def _portions(found: Sequence[Footer]) -> Sequence[Sequence[Footer]]:
    """Each object goes to the first portion that it fits into."""
    portions: list[list[Footer]] = []
    for one in found:
        fitting = next((portion for portion in portions if _fits(portion, one)), None)
        if fitting is None:
            portions.append([one])
        else:
            fitting.append(one)
    return portions


def _fits(portion: Sequence[Footer], one: Footer) -> bool:
    together = [*portion, one]
    size = sum(each.size_bytes for each in together)
    return size <= LARGE_BYTES and are_alike([each.schema.remove_metadata() for each in together])


def _merge(storage: Storage, tenant: str, stream: str, group: Sequence[Footer], *, clock: Clock) -> bool:
    """Write one object for a group, if that is of use; whether it was written."""
    sources = [one.path for one in group]
    if len(sources) == 1 and paths.hour_of(sources[0]) is not None:
        return False
    tables = [parquet.decode(storage.load(path)) for path in sources]
    table = pa.concat_tables(tables, promote_options="default")
    path = paths.events(tenant, stream, group[0].first_at, _ulid(group))
    # Not when the run began, which may be long ago: queries read the sources until this is written.
    return storage.put_if_absent(path, parquet.encode(table, parquet.Merged(sources, clock())))


def _ulid(group: Sequence[Footer]) -> ULID:
    """The same for the same group, whoever merges it and when."""
    milliseconds = int(paths.hour_start(group[0].first_at).timestamp() * 1000)
    digest = hashlib.sha256("\n".join(one.path for one in group).encode()).digest()
    return ULID(milliseconds.to_bytes(6, "big") + digest[:10])
