"""What a log adds up to: the records as they are now, and where every entry stands.

All of it lies in a scratch database, so memory does not grow with the store. Whoever holds a State sees to
it that it changes by whole commits and is used by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from keyrack.core.events import Entry
from keyrack.stores.objects.documents import START, Checkpoint, Commit, Position
from keyrack.stores.objects.pages import Page, PageKind, Row, read_page
from keyrack.stores.objects.scratch import Scratch
from keyrack.stores.objects.tables import INDEXES, TABLES
from keyrack.stores.protocols import Excerpt, Kind, Listing, Mark, Record, Reseal

RECENT = 2_000
"""How many entries are kept; older ones are read again from their commits."""


class State:
    """The state after the commit at `position`. Implements keyrack.stores.protocols.View."""

    def __init__(self, scratch: Scratch, position: Position, last: Entry | None, peppers: Sequence[Entry]):
        self.scratch = scratch
        self.position = position
        self.tag = ""
        """That of the last commit's object, where it was read."""
        self._last = last
        self._peppers = {entry.pepper: entry for entry in peppers}
        self._recent = {last.number: last} if last else {}

    @classmethod
    def empty(cls) -> State:
        """The state before the first commit."""
        return cls.of(Checkpoint(START, None, (), (), {}), {})

    @classmethod
    def of(cls, checkpoint: Checkpoint, pages: Mapping[PageKind, Iterable[Page]]) -> State:
        """The state that a checkpoint and its pages hold."""
        scratch = Scratch(TABLES)
        with scratch.changing():
            for kind, names in checkpoint.pages.items():
                _fill(scratch, kind, pages[kind])
                at = checkpoint.position.number
                written = ((kind, page, at, at, name) for page, name in enumerate(names))
                scratch.fill("INSERT INTO pages VALUES (?, ?, ?, ?, ?)", written)
            scratch.fill("INSERT INTO marks VALUES (?, ?, ?, ?)", checkpoint.marks)
            for index in INDEXES:
                scratch.run(index)
        return cls(scratch, checkpoint.position, checkpoint.last, checkpoint.peppers)

    def apply(self, commit: Commit, position: Position, tag: str) -> None:
        """Take a commit in, which stands right behind this state. All of it, or nothing."""
        batch, number = commit.batch, commit.number
        with self.scratch.changing():
            slots = {record.revision: self._put(record, number) for record in batch.records}
            for entry in batch.entries:
                self.scratch.run(_INSERT_ENTRY, entry.number, slots.get(entry.number), number)
                self._note_change(PageKind.ENTRIES, entry.number, number)
            self.scratch.fill("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)", batch.marks)
            for seal in commit.seals:
                self._reseal(seal, number)
        self._remember(batch.entries)
        self.position, self.tag = position, tag

    def last(self) -> Entry | None:
        return self._last

    def record(self, kind: Kind, record_id: str) -> Record | None:
        found = self.scratch.row("SELECT * FROM records WHERE id = ? AND kind = ?", record_id, kind)
        return None if found is None else record_of(found)

    def named(self, tenant: str, name: str) -> Sequence[Record]:
        return self._records(_NAMED, tenant, name, Kind.KEY)

    def changed_since(self, number: int) -> Sequence[Record]:
        return self._records(_CHANGED_SINCE, number)

    def mark(self, token: bytes) -> Mark | None:
        found = self.scratch.row("SELECT * FROM marks WHERE token = ?", token)
        return None if found is None else Mark(*found)

    def marks(self) -> list[Mark]:
        """All marks that were not forgotten."""
        return [Mark(*row) for row in self.scratch.rows("SELECT * FROM marks")]

    def forget_marks(self, before: float) -> None:
        """Drop the marks made before that time."""
        self.scratch.run("DELETE FROM marks WHERE at < ?", before)

    def listed(self, listing: Listing) -> Sequence[Record]:
        """The records of a listing."""
        wanted = (listing.kind, listing.after, listing.owner, listing.most)
        if listing.tenant is None:
            return self._records(_LISTED, *wanted)
        return self._records(_LISTED_OF_TENANT, *wanted, listing.tenant)

    def peppers_in_use(self) -> Sequence[Entry]:
        """The last entry under each pepper."""
        return list(self._peppers.values())

    def numbers(self, excerpt: Excerpt) -> Sequence[int]:
        """The numbers of the entries of an excerpt."""
        wanted = (excerpt.after, excerpt.tenant, excerpt.most)
        if excerpt.subject is None:
            rows = self.scratch.rows(_NUMBERS, *wanted)
        else:
            rows = self.scratch.rows(_NUMBERS_ABOUT, *wanted, excerpt.subject)
        return [number for (number,) in rows]

    def subject(self, number: int) -> Record | None:
        """The record that an entry is about, as it is now."""
        found = self.scratch.row(_SUBJECT, number)
        return None if found is None else record_of(found)

    def recent(self, number: int) -> Entry | None:
        """An entry, if it is one of those that are kept."""
        return self._recent.get(number)

    def commit_of(self, number: int) -> int:
        """The number of the commit that holds an entry."""
        return self.scratch.number("SELECT commit_number FROM entries WHERE number = ?", number)

    def _records(self, query: str, *values: object) -> list[Record]:
        return [record_of(row) for row in self.scratch.rows(query, *values)]

    def _slot(self, kind: str, record_id: str) -> int:
        """The slot of a record; 0 when there is none."""
        found = self.scratch.row("SELECT slot FROM records WHERE id = ? AND kind = ?", record_id, kind)
        return int(found[0]) if found else 0

    def _put(self, record: Record, commit: int) -> int:
        """Put a record in the place of the one before it, or behind all; its slot."""
        slot = self._slot(record.kind, record.id)
        if slot:
            self.scratch.run(_UPDATE_RECORD, *record, slot)
        else:
            slot = self.scratch.number("SELECT coalesce(max(slot), 0) + 1 FROM records")
            self.scratch.run(_INSERT_RECORD, slot, *record)
        self._note_change(PageKind.RECORDS, slot, commit)
        return slot

    def _reseal(self, seal: Reseal, commit: int) -> None:
        slot = self._slot(seal.kind, seal.id)
        self.scratch.run("UPDATE records SET pepper = ?, mac = ? WHERE slot = ?", seal.pepper, seal.mac, slot)
        self._note_change(PageKind.RECORDS, slot, commit)

    def _note_change(self, kind: PageKind, number: int, commit: int) -> None:
        self.scratch.run(_NOTE_CHANGE, kind, kind.page_of(number), commit)

    def _remember(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._last = self._peppers[entry.pepper] = self._recent[entry.number] = entry
        for number in list(self._recent)[: max(0, len(self._recent) - RECENT)]:
            del self._recent[number]


_NAMED = "SELECT * FROM records WHERE tenant = ? AND name = ? AND kind = ?"
_CHANGED_SINCE = "SELECT * FROM records WHERE slot IN (SELECT slot FROM entries WHERE number > ?)"
_SUBJECT = "SELECT * FROM records WHERE slot = (SELECT slot FROM entries WHERE number = ?)"
_LISTED = """
SELECT * FROM records WHERE kind = ?1 AND serial > ?2 AND (?3 IS NULL OR owner = ?3)
ORDER BY serial LIMIT ?4
"""
_LISTED_OF_TENANT = """
SELECT * FROM records WHERE tenant = ?5 AND kind = ?1 AND serial > ?2 AND (?3 IS NULL OR owner = ?3)
ORDER BY serial LIMIT ?4
"""
_NUMBERS = """
SELECT number FROM entries
WHERE number > ?1 AND (?2 IS NULL OR (SELECT tenant FROM records WHERE slot = entries.slot) = ?2)
ORDER BY number LIMIT ?3
"""
_NUMBERS_ABOUT = """
SELECT number FROM entries WHERE slot IN (SELECT slot FROM records WHERE id = ?4)
AND number > ?1 AND (?2 IS NULL OR (SELECT tenant FROM records WHERE slot = entries.slot) = ?2)
ORDER BY number LIMIT ?3
"""
_INSERT_RECORD = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPDATE_RECORD = """
UPDATE records SET (kind, id, revision, body, pepper, mac, tenant, name, owner, serial)
= (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE slot = ?
"""
_INSERT_ENTRY = "INSERT INTO entries VALUES (?, ?, ?)"
_NOTE_CHANGE = (
    "INSERT INTO pages (kind, page, changed, written) VALUES (?, ?, ?, 0)"
    " ON CONFLICT (kind, page) DO UPDATE SET changed = excluded.changed"
)


def record_of(row: Row) -> Record:
    """The record in a row of its table."""
    _, kind, *values = row
    return Record(Kind(kind), *values)


def _fill(scratch: Scratch, kind: PageKind, pages: Iterable[Page]) -> None:
    """Take the rows of pages in, numbered from 1."""
    first = 1
    for page in pages:
        rows = read_page(kind, page)
        scratch.fill(_INSERTS[kind], ((number, *row) for number, row in enumerate(rows, first)))
        first += len(rows)


_INSERTS = {PageKind.RECORDS: _INSERT_RECORD, PageKind.ENTRIES: _INSERT_ENTRY}
