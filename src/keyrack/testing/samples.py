"""Entries and records that mean nothing, and short ways to put them into a store and to look at it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from keyrack.core.events import Entry
from keyrack.stores.protocols import Batch, Keys, Kind, Mark, Record, View

T = TypeVar("T")
Sealed = tuple[str, str, bytes, str, bytes]
NOTHING = Batch((), (), ())


def same(found: object, expected: object, *, about: object = None) -> None:
    """Fail unless both are equal."""
    if found != expected:
        concerning = "" if about is None else f" for {about}"
        raise AssertionError(f"found {found!r} instead of {expected!r}{concerning}")


def entry(number: int, pepper: str = "p1") -> Entry:
    """An entry of the log; its bytes follow from its number."""
    return Entry(number, b"\0\xff entry %d" % number, pepper, b"code of entry %d" % number)


def key(
    record_id: str,
    revision: int,
    *,
    serial: int | None = None,
    tenant: str = "t",
    name: str = "n",
    owner: str | None = None,
) -> Record:
    """A key's record as of a revision; one that was made earlier names that event as its serial."""
    body = b"%d \0\xff %s" % (revision, os.urandom(8))
    made = serial or revision
    return Record(Kind.KEY, record_id, revision, body, "p1", os.urandom(32), tenant, name, owner, made)


def tenant(record_id: str, revision: int, *, name: str = "n") -> Record:
    """A tenant's record."""
    body, code = b"%d tenant" % revision, os.urandom(32)
    return Record(Kind.TENANT, record_id, revision, body, "p1", code, record_id, name, None, revision)


def secret(record_id: str, revision: int, *, serial: int | None = None) -> Record:
    """The record of a sealed secret."""
    body, code = b"%d secret" % revision, os.urandom(32)
    return Record(Kind.SECRET, record_id, revision, body, "p1", code, "t", "n", None, serial or revision)


def sealed(record: Record) -> Sealed:
    """A record as a snapshot shows it."""
    return record.kind, record.id, record.body, record.pepper, record.mac


def put(keys: Keys, *entries: Entry, records: Sequence[Record] = (), marks: Sequence[Mark] = ()) -> None:
    """Commit all of this at once."""
    keys.commit(lambda view: Batch(entries, records, marks))


def fill(keys: Keys, records: Sequence[Record]) -> None:
    """Commit each record by itself, with the entry of its revision."""
    for record in records:
        put(keys, entry(record.revision), records=[record])


def planned(keys: Keys, look: Callable[[View], T]) -> T:
    """What a plan sees that only looks."""
    seen: list[T] = []

    def plan(view: View) -> Batch:
        seen[:] = [look(view)]
        return NOTHING

    keys.commit(plan)
    return seen[0]


def state_of(keys: Keys) -> tuple[Entry | None, list[Sealed]]:
    """The last entry and every record, in one snapshot."""
    with keys.snapshot() as snapshot:
        return snapshot.last(), sorted(snapshot.records())


def named(keys: Keys, tenant_id: str, name: str) -> list[str]:
    """The ids of the keys that bear this name."""
    return sorted(record.id for record in planned(keys, lambda view: view.named(tenant_id, name)))


def changed_since(keys: Keys, number: int) -> list[str]:
    """The ids of the records that changed after this number."""
    return sorted(record.id for record in planned(keys, lambda view: view.changed_since(number)))


def marks(keys: Keys, *tokens: bytes) -> list[Mark | None]:
    """The marks of these tokens."""
    return planned(keys, lambda view: [view.mark(token) for token in tokens])


def append(keys: Keys, *, times: int) -> None:
    """Commit a key so many times, each numbered by what its plan sees of the log."""

    def plan(view: View) -> Batch:
        last = view.last()
        number = last.number + 1 if last else 1
        return Batch([entry(number)], [key(f"k{number}", number)], [])

    for _ in range(times):
        keys.commit(plan)


def at_once(works: Sequence[Callable[[], object]]) -> None:
    """Run these in threads that start together; the first error of one of them is raised here."""
    together = threading.Barrier(len(works))
    errors: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        together.wait()
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # a thread's failure must reach its test
            errors.append(error)

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
