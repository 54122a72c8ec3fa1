"""A state at one instant, for whoever reads all of it while commits go on.

It is read page by page; what a record was before a later commit replaced it is kept until it is let go.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

from keyrack.core.events import Entry
from keyrack.stores.objects.pages import PageKind, Row
from keyrack.stores.objects.state import State, record_of
from keyrack.stores.protocols import Record


class Frozen:
    """Everything at one instant. Implements keyrack.stores.protocols.Snapshot.

    Made while the state's lock is held; takes it for each page. `release` it at the end.
    """

    def __init__(self, state: State, lock: AbstractContextManager[object]):
        self._scratch = state.scratch
        self._lock = lock
        self._slots = self._scratch.number("SELECT coalesce(max(slot), 0) FROM records")
        self._entries = self._scratch.number("SELECT coalesce(max(number), 0) FROM entries")
        self._last = state.last()
        self.position = state.position
        self.marks = state.marks()
        self.peppers = state.peppers_in_use()
        self._written = self._written_pages()
        self._scratch.run("INSERT INTO instants (slots) VALUES (?)", self._slots)
        self._instant = self._scratch.number("SELECT max(instant) FROM instants")

    def last(self) -> Entry | None:
        return self._last

    def count(self) -> int:
        return self._slots

    def records(self) -> Iterator[tuple[str, str, bytes, str, bytes]]:
        for _, kind, record_id, _, body, pepper, mac, *_ in self._all():
            yield kind, record_id, body, pepper, mac

    def whole_records(self) -> Iterator[Record]:
        """All records, in the order in which they were made."""
        return map(record_of, self._all())

    def pages(self, kind: PageKind) -> int:
        """How many pages of a kind there are."""
        return kind.page_of(self._slots if kind is PageKind.RECORDS else self._entries) + 1

    def written(self, kind: PageKind, page: int) -> str | None:
        """The name under which a page was written, if it did not change since."""
        return self._written.get((kind, page))

    def page(self, kind: PageKind, page: int) -> list[Row]:
        """The rows of a page, without their numbers."""
        first, last = kind.numbers(page)
        rows = self._records(first, last) if kind is PageKind.RECORDS else self._entries_of(first, last)
        return [row[1:] for row in rows]

    def note_written(self, kind: PageKind, page: int, name: str) -> None:
        """Remember under which name a page was written; what changed it since stands."""
        with self._lock:
            self._scratch.run(_NOTE_WRITTEN, self.position.number, name, kind, page)

    def release(self) -> None:
        """Let go of what was kept for this."""
        with self._lock:
            self._scratch.run("DELETE FROM instants WHERE instant = ?", self._instant)
            self._scratch.run("DELETE FROM replaced WHERE instant = ?", self._instant)

    def _all(self) -> Iterator[Row]:
        for page in range(self.pages(PageKind.RECORDS)):
            yield from self._records(*PageKind.RECORDS.numbers(page))

    def _records(self, first: int, last: int) -> list[Row]:
        with self._lock:
            now = self._scratch.rows(_RECORDS, first, min(last, self._slots))
            then = self._scratch.rows(_REPLACED, self._instant, first, last)
        return list(({row[0]: row for row in now} | {row[0]: row for row in then}).values())

    def _entries_of(self, first: int, last: int) -> list[Row]:
        with self._lock:
            return self._scratch.rows(_ENTRIES, first, min(last, self._entries))

    def _written_pages(self) -> dict[tuple[str, int], str]:
        rows = self._scratch.rows("SELECT kind, page, name FROM pages WHERE written >= changed")
        return {(kind, page): name for kind, page, name in rows}


_RECORDS = "SELECT * FROM records WHERE slot BETWEEN ? AND ? ORDER BY slot"
_REPLACED = """
SELECT slot, kind, id, revision, body, pepper, mac, tenant, name, owner, serial
FROM replaced WHERE instant = ? AND slot BETWEEN ? AND ?
"""
_ENTRIES = "SELECT * FROM entries WHERE number BETWEEN ? AND ? ORDER BY number"
_NOTE_WRITTEN = "UPDATE pages SET written = ?, name = ? WHERE kind = ? AND page = ?"
