"""The whole of a store, checked: every number, hash and code of the log, every record, and their sum."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from keyrack.core.errors import Tampered, Unavailable
from keyrack.core.events import EMPTY, SUM_MODULUS, Entry, Head, fingerprint, open_known
from keyrack.core.peppers import Peppers
from keyrack.progress import Report, unreported
from keyrack.stores.heads import head_of
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Excerpt, Keys, Kind, Snapshot
from keyrack.stores.sealing import authenticate, refuse_retired

BATCH = 1000
Slots = dict[tuple[str, str], int]
"""The number of the last event about each record, by kind and id."""


class Fault(NamedTuple):
    """The first thing that is not as it was committed: the number of its event, and what is wrong."""

    number: int
    detail: str


class Audit(NamedTuple):
    """How many events and records were checked, and the first fault if there is one."""

    events: int
    records: int
    fault: Fault | None


def audit(stores: Stores, report: Report = unreported) -> Audit:
    """Check a store as of now, beside its writers. Raises Unavailable, and ConfigurationError for a
    pepper that is still needed."""
    with stores.keys.snapshot() as snapshot:
        last = snapshot.last()
        if last is None:
            raise Unavailable("The store is empty; `keyrack init` makes its first key.")
        walk = _Walk(stores.keys, stores.peppers)
        fault = walk.check(last, report)
        if fault is not None:
            return Audit(walk.head.number, 0, fault)
        records = _Records(walk, stores.peppers)
        fault = records.check(snapshot, report)
    return Audit(walk.head.number, records.count, fault)


class _Walk:
    """Goes along the log and remembers how far it came, and which event was the last about what."""

    def __init__(self, keys: Keys, peppers: Peppers):
        self._keys = keys
        self._peppers = peppers
        self._vouched = 0
        self.head = EMPTY
        self.latest: Slots = {}

    def check(self, last: Entry, report: Report) -> Fault | None:
        """Walk up to this last entry. The first fault, or None."""
        for entry in self._entries(last.number):
            fault = self._step(entry)
            if fault is not None:
                return fault
            if entry.number % BATCH == 0:
                report("checking events", entry.number, last.number)
        if self.head.number != last.number:
            return _missing(self.head.number + 1)
        return self._check_last(last)

    def _entries(self, until: int) -> Iterator[Entry]:
        after = 0
        while found := self._keys.entries(Excerpt(after=after, most=BATCH)):
            yield from (entry for entry in found if entry.number <= until)
            after = found[-1].number

    def _step(self, entry: Entry) -> Fault | None:
        if entry.number != self.head.number + 1:
            return _missing(self.head.number + 1)
        try:
            event, self.head = open_known(entry, self._peppers, after=self.head)
        except Tampered as error:
            return self._blame(entry, error.detail)
        except (ValueError, KeyError, TypeError, AttributeError, Unavailable):
            if self._authenticates(entry):
                raise
            return Fault(entry.number, f"Event {entry.number} cannot be read.")
        if self._authenticates(entry):
            self._vouched = entry.number
        if event.subject is not None:
            self.latest[Kind.about(event.kind), event.subject] = event.number
        return None

    def _authenticates(self, entry: Entry) -> bool:
        """Whether an entry is vouched for by its own code, and not only by those behind it."""
        return self._peppers.get(entry.pepper) is not None

    def _blame(self, entry: Entry, detail: str) -> Fault:
        """An entry that does not fit behind one that nobody could authenticate leaves that one the liar."""
        before = entry.number - 1
        if self._vouched < before:
            return Fault(before, f"Event {before} is not the one that the next was chained to.")
        return Fault(entry.number, detail)

    def _check_last(self, last: Entry) -> Fault | None:
        try:
            head_of(last, self._keys, self._peppers)
        except Tampered as error:
            return Fault(error.number or last.number, error.detail)
        return None


def _missing(number: int) -> Fault:
    return Fault(number, f"Event {number} is missing from the log.")


class _Records:
    """Compares the records of a snapshot with the events that left them."""

    def __init__(self, walk: _Walk, peppers: Peppers):
        self._latest = walk.latest
        self._head = walk.head
        self._peppers = peppers
        self._total = 0
        self._faults: list[Fault] = []
        self.count = 0

    def check(self, snapshot: Snapshot, report: Report) -> Fault | None:
        """The fault with the lowest number, or None."""
        expected = len(self._latest)
        for record in snapshot.records():
            self._take(*record)
            if self.count % BATCH == 0:
                report("checking records", self.count, expected)
        self._faults += [
            Fault(number, f"Event {number} left {kind} {record_id}, which is gone.")
            for (kind, record_id), number in self._latest.items()
        ]
        if not self._faults and self._total % SUM_MODULUS != self._head.state:
            number = self._head.number
            return Fault(number, f"Event {number} vouches for another sum over all records.")
        return min(self._faults, default=None)

    def _take(self, kind: str, record_id: str, body: bytes, pepper: str, mac: bytes) -> None:
        self.count += 1
        self._total += fingerprint(body, self._peppers[self._head.state_pepper])
        number, claimed = self._latest.pop((kind, record_id), 0), _claimed(body)
        if number == claimed != 0:
            detail = _seal_fault((kind, record_id, body, pepper, mac), self._head, self._peppers)
        elif number == 0:
            detail = f"The record of {kind} {record_id} claims event {claimed}, which is not about it."
        else:
            detail = f"Event {number} left {kind} {record_id}; the record there is of event {claimed}."
        if detail is not None:
            self._faults.append(Fault(number or claimed, detail))


def _seal_fault(record: tuple[str, str, bytes, str, bytes], head: Head, peppers: Peppers) -> str | None:
    kind, record_id, body, pepper, mac = record
    try:
        refuse_retired(kind, record_id, pepper, head)
        authenticate(kind, record_id, body, pepper, mac, peppers)
    except Tampered as error:
        return error.detail
    return None


def _claimed(body: bytes) -> int:
    """The number of the event that a record says it is of; 0 when it says nothing."""
    try:
        return int(json.loads(body)["revision"])
    except (ValueError, KeyError, TypeError):
        return 0
