"""Some records of keys in memory, and of all others so much that a record read later can be vouched for.

Of every record there is its id and its fingerprint, both in a filter. The sum in each event differs from
the one before it by the fingerprints of the record that the change left and of the one that it was built
on. So the log tells the latter, and it has to be the latest of that key: a change that was built on an old
record, which somebody had put back, is refused here as where all records are held.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from keyrack.core.errors import Tampered
from keyrack.core.events import SUM_MODULUS, Head, fingerprint
from keyrack.core.peppers import Peppers
from keyrack.stores.cuckoo import CuckooFilter
from keyrack.stores.held import HeldBodies
from keyrack.stores.protocols import Kind, Record, Snapshot
from keyrack.stores.whole import NOT_VOUCHED

_KEY = Kind.KEY.value
MAX_ABSENT = 10_000


class PartialRecords:
    """The records of a partial replica. Implements keyrack.stores.holding.Records.

    `forget_use` is called when a round of use begins: see keyrack.stores.held.
    """

    def __init__(self, peppers: Peppers, most: int, forget_use: Callable[[], object]):
        self._peppers = peppers
        self._held = HeldBodies(most, forget_use)
        self._ids = CuckooFilter()
        self._latest = CuckooFilter()
        self._absent: set[str] = set()
        """Ids that pass for those of keys, and were found not to be in the store."""
        self._sum = 0
        self._unsettled: dict[tuple[str, str], int] = {}
        """By how much the events about a record moved the sum, until the one that left it as it was read."""
        self._watched: dict[str, int] = {}
        """The keys that are being read, and the number of the last event about each since the read began."""

    def __len__(self) -> int:
        return len(self._held)

    @property
    def in_all(self) -> int:
        return len(self._ids)

    def get(self, key_id: str) -> bytes | None:
        return self._held.get(key_id)

    def lacks(self, key_id: str) -> bool:
        return key_id in self._ids and key_id not in self._absent

    def use(self, key_id: str) -> None:
        self._held.use(key_id)

    def expect(self, snapshot: Snapshot) -> None:
        count = snapshot.count()
        self._ids, self._latest = CuckooFilter(count), CuckooFilter(count)

    def load(self, kind: str, record_id: str, body: bytes, mark: int) -> None:
        self._sum += mark
        self._latest.add(mark)
        if kind == _KEY:
            self._ids.add(record_id)
            self._held.keep(record_id, body)

    def can_follow(self, before: Head, after: Head) -> bool:
        # Fingerprints are of one pepper, and cannot be made anew from what is here.
        return after.state_pepper == before.state_pepper

    def follow(self, record: Record | None, before: Head, after: Head) -> None:
        moved = after.state - before.state
        self._sum += moved
        if record is not None:
            self._change(record, moved, after)
        elif moved % SUM_MODULUS:
            raise Tampered(NOT_VOUCHED)

    def require_vouched(self, head: Head) -> None:
        if self._unsettled or self._sum % SUM_MODULUS != head.state:
            raise Tampered(NOT_VOUCHED)

    def watch(self, key_id: str) -> None:
        self._watched[key_id] = 0

    def unwatch(self, key_id: str) -> None:
        del self._watched[key_id]

    def admit(self, record: Record, number: int, head: Head) -> bool:
        if self._watched[record.id] > number or _revision(record) > head.number:
            return False
        if self._mark(record, head) not in self._latest:
            raise Tampered(f"The record of key {record.id} is not its latest: it was put back.")
        self._held.hold(record.id, record.body)
        return True

    def miss(self, key_id: str, number: int) -> bool:
        if self._watched[key_id] > number:
            return False
        if len(self._absent) >= MAX_ABSENT:
            self._absent.clear()
        self._absent.add(key_id)
        return True

    def _change(self, record: Record, moved: int, head: Head) -> None:
        slot = (record.kind.value, record.id)
        self._unsettled[slot] = self._unsettled.get(slot, 0) + moved
        # Later events of the same page, or of the next one, are about it too as long as it is newer.
        if _revision(record) == head.number:
            self._settle(record, self._mark(record, head), self._unsettled.pop(slot))
        if record.kind == Kind.KEY:
            self._held.keep(record.id, record.body)
            self._absent.discard(record.id)
        if record.id in self._watched:
            self._watched[record.id] = head.number

    def _settle(self, record: Record, mark: int, moved: int) -> None:
        """Replace the fingerprint of what the changes were built on, which has to be the latest."""
        before = (mark - moved) % SUM_MODULUS
        if before == 0:
            self._found(record)
        elif before in self._latest:
            self._latest.discard(before)
        else:
            raise Tampered(NOT_VOUCHED)
        self._latest.add(mark)

    def _found(self, record: Record) -> None:
        if record.kind == Kind.KEY and record.id not in self._ids:
            self._ids.add(record.id)

    def _mark(self, record: Record, head: Head) -> int:
        return fingerprint(record.body, self._peppers[head.state_pepper])


def _revision(record: Record) -> int:
    # The authenticated one; what stands beside the body is not.
    return int(json.loads(record.body)["revision"])
