"""Keyrack's store of records and their log in objects: one object a commit, put if it is absent."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

from keyrack.core.errors import Unavailable
from keyrack.core.events import Entry
from keyrack.core.peppers import Peppers
from keyrack.stores.clock import StoreClock
from keyrack.stores.follower import steady
from keyrack.stores.objects import checkpoints
from keyrack.stores.objects.behind import Behind
from keyrack.stores.objects.documents import Commit, Position
from keyrack.stores.objects.log import LOOK_AROUND_SECONDS, ObjectLog
from keyrack.stores.objects.state import State
from keyrack.stores.objects.storage import Storage
from keyrack.stores.objects.timekeeping import Timekeeping
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

COMMIT_SECONDS = 4.0
"""How long a commit tries to be the first among the writers."""

Make = Callable[[State], Commit]
"""Makes the commit that is to stand behind a state; it may be made again, so it only reads."""


class ObjectKeys:
    """Implements keyrack.stores.protocols.Keys on a Storage.

    Every read asks for the next commit first, so what it answers was the truth when it was asked.
    """

    blocks = True

    def __init__(
        self,
        storage: Storage,
        peppers: Peppers,
        *,
        look_around_seconds: float = LOOK_AROUND_SECONDS,
        clock: StoreClock | None = None,
    ):
        self.clock = clock or StoreClock()
        self._storage = storage
        self._timekeeping = Timekeeping(storage, self.clock)
        self._log = ObjectLog(storage, peppers, look_around_seconds=look_around_seconds)
        self._behind = Behind(storage, peppers)
        self._told: Position | None = None

    def commit(self, plan: Plan) -> Batch:
        def make(state: State) -> Commit:
            return _behind(state, plan(state))

        return self._commit(make).batch

    def reseal(self, seals: Sequence[Reseal]) -> int:
        def make(state: State) -> Commit:
            kept = [seal for seal in seals if _has_code(state, seal)]
            return _behind(state, Batch((), (), ()), kept)

        return len(self._commit(make).seals)

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        self._timekeeping.look()
        return self._log.frozen()

    def last(self) -> Entry | None:
        with self._log.now() as state:
            return state.last()

    def moved(self) -> bool:
        with self._log.now() as state:
            position = state.position
        self._timekeeping.look()
        moved, self._told = position != self._told, position
        return moved

    def since(self, number: int, most: int) -> Sequence[Change]:
        with self._log.now() as state:
            numbers = state.numbers(Excerpt(after=number, most=most))
            subjects = [state.subject(one) for one in numbers]
            known = self._known(state, numbers)
        entries = self._read(known)
        return [Change(*pair) for pair in zip(entries, subjects, strict=True)]

    def entries(self, excerpt: Excerpt) -> Sequence[Entry]:
        with self._log.now() as state:
            known = self._known(state, state.numbers(excerpt))
        return self._read(known)

    def record(self, kind: Kind, record_id: str) -> Record | None:
        with self._log.now() as state:
            return state.record(kind, record_id)

    def read(self, kind: Kind, record_id: str) -> Reading:
        with self._log.now() as state:
            last = state.last()
            return Reading(last.number if last else 0, state.record(kind, record_id))

    def records(self, listing: Listing) -> Sequence[Record]:
        with self._log.now() as state:
            return state.listed(listing)

    def peppers_in_use(self) -> Iterable[Entry]:
        with self._log.now() as state:
            return state.peppers_in_use()

    def marks(self) -> Sequence[Mark]:
        with self._log.now() as state:
            return state.marks()

    def forget_marks(self, before: float) -> None:
        # In this process: each forgets for itself, and checkpoints leave out what was forgotten.
        with self._log.now() as state:
            state.forget_marks(before)

    def project(self) -> int:
        """Write the documents of all keys and tenants anew; how many there are. Raises Unavailable."""
        with self._log.frozen() as frozen:
            return self._behind.project(frozen.whole_records())

    def close(self) -> None:
        self._behind.close()
        self._log.close()
        self._storage.close()

    def _commit(self, make: Make) -> Commit:
        until = steady() + COMMIT_SECONDS
        self._log.catch_up()
        # Whoever was slower has read the other's commit by that, and is the faster one next time.
        while steady() < until:
            with self._log.planning() as state:
                commit = make(state)
            if not (commit.batch.entries or commit.seals):
                return commit
            if self._log.append(commit):
                self._follow_up(commit)
                return commit
        raise Unavailable("Other writers were faster each time; the change was not made.")

    def _follow_up(self, commit: Commit) -> None:
        """What comes behind a commit and can be made again at any time."""
        self._behind.note(commit.batch.records)
        if checkpoints.is_due(commit):
            self._behind.checkpoint(self._log.frozen)

    def _known(self, state: State, numbers: Sequence[int]) -> list[tuple[int, int, Entry | None]]:
        """Each entry's number, the number of its commit, and the entry where it is kept in memory."""
        return [(number, state.commit_of(number), state.recent(number)) for number in numbers]

    def _read(self, known: Sequence[tuple[int, int, Entry | None]]) -> list[Entry]:
        """Entries, those that are not kept read from their commits."""
        missing = sorted({commit for _, commit, entry in known if entry is None})
        found = {entry.number: entry for one in self._log.past(missing) for entry in one.batch.entries}
        return [entry or found[number] for number, _, entry in known]


def _behind(state: State, batch: Batch, seals: Sequence[Reseal] = ()) -> Commit:
    position = state.position
    return Commit(position.number + 1, position.hash, secrets.token_hex(16), batch, seals)


def _has_code(state: State, seal: Reseal) -> bool:
    record = state.record(seal.kind, seal.id)
    return record is not None and record.mac == seal.was
