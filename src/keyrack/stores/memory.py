"""The store in memory: the reference that every other store is compared with, public for tests."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from keyrack.core.events import Entry
from keyrack.stores.protocols import (
    Batch,
    Change,
    Excerpt,
    Kind,
    Listing,
    Mark,
    Plan,
    Reading,
    Record,
    Reseal,
    Snapshot,
)


class MemoryKeys:
    """Keys, their log and marks in the process, gone with it. Implements keyrack.stores.protocols.Keys."""

    blocks = False

    def __init__(self) -> None:
        # Plans read through the same methods as everybody else, while their commit holds the lock.
        self._lock = threading.RLock()
        self._entries: list[Entry] = []
        self._about: list[tuple[str, str] | None] = []
        self._records: dict[tuple[str, str], Record] = {}
        self._marks: dict[bytes, Mark] = {}

    def commit(self, plan: Plan) -> Batch:
        with self._lock:
            batch = plan(self)
            if batch.entries:
                self._write(batch)
            return batch

    def reseal(self, seals: Sequence[Reseal]) -> int:
        with self._lock:
            kept = [one for one in seals if self._records[one.kind, one.id].mac == one.was]
            for one in kept:
                record = self._records[one.kind, one.id]
                self._records[one.kind, one.id] = record._replace(pepper=one.pepper, mac=one.mac)
            return len(kept)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        with self._lock:
            copy = MemoryKeys()
            copy._entries = list(self._entries)
            copy._records = dict(self._records)
        yield _Frozen(copy)

    def last(self) -> Entry | None:
        with self._lock:
            return self._entries[-1] if self._entries else None

    def moved(self) -> bool:
        return True

    def since(self, number: int, most: int) -> Sequence[Change]:
        with self._lock:
            found = self._entries[number : number + most]
            subjects = self._about[number : number + most]
            return [
                Change(entry, self._records[about] if about else None)
                for entry, about in zip(found, subjects, strict=True)
            ]

    def entries(self, excerpt: Excerpt) -> Sequence[Entry]:
        with self._lock:
            from_here = range(excerpt.after, len(self._entries))
            found = (self._entries[index] for index in from_here if self._matches(index, excerpt))
            return list(islice(found, excerpt.most))

    def record(self, kind: Kind, record_id: str) -> Record | None:
        return self._records.get((kind, record_id))

    def read(self, kind: Kind, record_id: str) -> Reading:
        with self._lock:
            return Reading(len(self._entries), self.record(kind, record_id))

    def records(self, listing: Listing) -> Sequence[Record]:
        with self._lock:
            found = [record for record in self._records.values() if _listed(record, listing)]
        return sorted(found, key=lambda record: record.serial)[: listing.most]

    def named(self, tenant: str, name: str) -> Sequence[Record]:
        keys = (record for record in self._records.values() if record.kind is Kind.KEY)
        return [record for record in keys if (record.tenant, record.name) == (tenant, name)]

    def changed_since(self, number: int) -> Sequence[Record]:
        return [record for record in self._records.values() if record.revision > number]

    def mark(self, token: bytes) -> Mark | None:
        return self._marks.get(token)

    def peppers_in_use(self) -> Iterable[Entry]:
        with self._lock:
            return {entry.pepper: entry for entry in self._entries}.values()

    def marks(self) -> Sequence[Mark]:
        with self._lock:
            return list(self._marks.values())

    def forget_marks(self, before: float) -> None:
        with self._lock:
            self._marks = {token: mark for token, mark in self._marks.items() if mark.at >= before}

    def close(self) -> None:
        """Nothing is held."""

    def _write(self, batch: Batch) -> None:
        subjects = {record.revision: (record.kind.value, record.id) for record in batch.records}
        for entry in batch.entries:
            self._entries.append(entry)
            self._about.append(subjects.get(entry.number))
        for record in batch.records:
            self._records[record.kind, record.id] = record
        for mark in batch.marks:
            self._marks[mark.token] = mark

    def _matches(self, index: int, excerpt: Excerpt) -> bool:
        about = self._about[index]
        if excerpt.subject is not None and (about is None or about[1] != excerpt.subject):
            return False
        if excerpt.tenant is None:
            return True
        return about is not None and self._records[about].tenant == excerpt.tenant


class _Frozen:
    def __init__(self, keys: MemoryKeys):
        self._keys = keys

    def last(self) -> Entry | None:
        return self._keys.last()

    def records(self) -> Iterator[tuple[str, str, bytes, str, bytes]]:
        for record in self._keys._records.values():
            yield record.kind, record.id, record.body, record.pepper, record.mac

    def count(self) -> int:
        return len(self._keys._records)


def _listed(record: Record, listing: Listing) -> bool:
    return (
        record.kind is listing.kind
        and record.serial > listing.after
        and listing.tenant in (None, record.tenant)
        and listing.owner in (None, record.owner)
    )
