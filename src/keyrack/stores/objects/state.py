"""What a log adds up to, in memory: the records as they are now, and where every entry stands.

Whoever holds one sees to it that it changes by whole commits and by one thread at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice

from keyrack.core.events import Entry
from keyrack.stores.objects.documents import START, Checkpoint, Commit, Position
from keyrack.stores.protocols import Excerpt, Kind, Listing, Mark, Record

RECENT = 2_000
"""How many entries are kept; older ones are read again from their commits."""

About = tuple[str, str]


class State:
    """The state after the commit at `position`. Implements keyrack.stores.protocols.View."""

    def __init__(self) -> None:
        self.position: Position = START
        # In the order in which they were made, which a dict keeps when a value is replaced.
        self._records: dict[About, Record] = {}
        self._marks: dict[bytes, Mark] = {}
        self._last: Entry | None = None
        self._peppers: dict[str, Entry] = {}
        self._about: list[About | None] = []
        self._starts: list[int] = []
        self._recent: dict[int, Entry] = {}

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> State:
        """The state that a checkpoint holds."""
        state = cls()
        state.position = checkpoint.position
        state._records = {(record.kind.value, record.id): record for record in checkpoint.records}
        state._marks = {mark.token: mark for mark in checkpoint.marks}
        state._last = checkpoint.last
        state._peppers = {entry.pepper: entry for entry in checkpoint.peppers}
        slots = list(state._records)
        state._about = [None if index is None else slots[index] for index in checkpoint.about]
        state._starts = list(checkpoint.starts)
        return state

    def checkpoint(self) -> Checkpoint:
        """This state as a checkpoint, which later commits do not change."""
        indexes = {slot: index for index, slot in enumerate(self._records)}
        return Checkpoint(
            self.position,
            self._last,
            self.records(),
            list(self._marks.values()),
            list(self._peppers.values()),
            [None if about is None else indexes[about] for about in self._about],
            list(self._starts),
        )

    def apply(self, commit: Commit, position: Position) -> None:
        """Take a commit in, which stands right behind this state."""
        batch = commit.batch
        self._starts.append(len(self._about))
        subjects = {record.revision: (record.kind.value, record.id) for record in batch.records}
        for record in batch.records:
            self._records[record.kind.value, record.id] = record
        for entry in batch.entries:
            self._take(entry, subjects.get(entry.number))
        self._marks.update((mark.token, mark) for mark in batch.marks)
        for seal in commit.seals:
            slot = (seal.kind.value, seal.id)
            self._records[slot] = self._records[slot]._replace(pepper=seal.pepper, mac=seal.mac)
        self.position = position

    def last(self) -> Entry | None:
        return self._last

    def record(self, kind: Kind, record_id: str) -> Record | None:
        return self._records.get((kind.value, record_id))

    def named(self, tenant: str, name: str) -> Sequence[Record]:
        keys = (record for record in self._records.values() if record.name == name)
        return [record for record in keys if record.kind is Kind.KEY and record.tenant == tenant]

    def changed_since(self, number: int) -> Sequence[Record]:
        return [record for record in self._records.values() if record.revision > number]

    def mark(self, token: bytes) -> Mark | None:
        return self._marks.get(token)

    def forget_marks(self, before: float) -> None:
        """Drop the marks made before that time."""
        self._marks = {token: mark for token, mark in self._marks.items() if mark.at >= before}

    def records(self) -> list[Record]:
        """All records, in the order in which they were made."""
        return list(self._records.values())

    def listed(self, listing: Listing) -> Sequence[Record]:
        """The records of a listing."""
        found = (record for record in self._records.values() if _is_listed(record, listing))
        return list(islice(found, listing.most))

    def peppers_in_use(self) -> Sequence[Entry]:
        """The last entry under each pepper."""
        return list(self._peppers.values())

    def numbers(self, excerpt: Excerpt) -> Sequence[int]:
        """The numbers of the entries of an excerpt."""
        after = range(excerpt.after + 1, len(self._about) + 1)
        return list(islice((one for one in after if self._matches(one, excerpt)), excerpt.most))

    def subject(self, number: int) -> Record | None:
        """The record that an entry is about, as it is now."""
        about = self._about[number - 1]
        return None if about is None else self._records[about]

    def recent(self, number: int) -> Entry | None:
        """An entry, if it is one of those that are kept."""
        return self._recent.get(number)

    def commit_of(self, number: int) -> int:
        """The number of the commit that holds an entry."""
        return bisect_right(self._starts, number - 1)

    def _take(self, entry: Entry, about: About | None) -> None:
        self._about.append(about)
        self._last = self._peppers[entry.pepper] = self._recent[entry.number] = entry
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]

    def _matches(self, number: int, excerpt: Excerpt) -> bool:
        if excerpt.subject is None and excerpt.tenant is None:
            return True
        about = self._about[number - 1]
        if about is None or excerpt.subject not in (None, about[1]):
            return False
        return excerpt.tenant in (None, self._records[about].tenant)


class Frozen:
    """Everything at one instant. Implements keyrack.stores.protocols.Snapshot."""

    def __init__(self, state: State):
        self._last = state.last()
        self._records = state.records()

    def last(self) -> Entry | None:
        return self._last

    def count(self) -> int:
        return len(self._records)

    def records(self) -> Iterator[tuple[str, str, bytes, str, bytes]]:
        for record in self._records:
            yield record.kind, record.id, record.body, record.pepper, record.mac


def _is_listed(record: Record, listing: Listing) -> bool:
    return (
        record.kind is listing.kind
        and record.serial > listing.after
        and listing.tenant in (None, record.tenant)
        and listing.owner in (None, record.owner)
    )
