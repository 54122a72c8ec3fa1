"""The log as objects: read up to its end, and the end moved by whoever writes the next number first.

Nothing is believed that does not stand right behind what was read before: each commit names the hash of
the one before it, and the last one is looked at again each time nothing newer is there.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from keyrack.core.errors import Corrupted, KeyrackError, Tampered, Unavailable
from keyrack.core.peppers import Peppers
from keyrack.stores.follower import steady
from keyrack.stores.heads import lost_heads
from keyrack.stores.objects.checkpoints import newest_state
from keyrack.stores.objects.commits import Commits
from keyrack.stores.objects.documents import Commit, Position
from keyrack.stores.objects.frozen import Frozen
from keyrack.stores.objects.paths import Place, path_of
from keyrack.stores.objects.state import State
from keyrack.stores.objects.storage import Found, Listed, Storage
from keyrack.stores.protocols import Excerpt

LOOK_AROUND_SECONDS = 10.0
"""How often a reader looks whether there is anything behind a number that is missing."""
LOOK_BACK = 1_000
"""Among how many of the latest events the one is looked for that says a log was restored."""

log = logging.getLogger("keyrack.stores.objects")


class ObjectLog:
    """The commits in a storage, and the state that they add up to."""

    def __init__(
        self, storage: Storage, peppers: Peppers, *, look_around_seconds: float = LOOK_AROUND_SECONDS
    ):
        self._storage = storage
        self._peppers = peppers
        self._commits = Commits(storage, peppers)
        self._state: State | None = None
        self._refused: Listed | None = None
        """The end of a log that does not go on from what was read here."""
        self._lock = threading.RLock()
        self._loading = threading.Lock()
        self._planning = False
        self._look_around_seconds = look_around_seconds
        self._looked_at = steady()

    def catch_up(self) -> None:
        """Read what is new, and see that what was read last still stands."""
        if self._is_planning_here():
            return
        self._load()
        before = self._state
        try:
            self._read_on()
        except Tampered:
            if not self._take_restored(before):
                raise

    @contextmanager
    def now(self) -> Iterator[State]:
        """The state up to the end of the log. It stays as it is until `with` is left, so do nothing slow."""
        self.catch_up()
        with self._lock:
            yield self._known()

    @contextmanager
    def frozen(self) -> Iterator[Frozen]:
        """The state up to the end of the log, as it is at this instant, while commits go on."""
        with self.now() as state:
            frozen = Frozen(state, self._lock)
        try:
            yield frozen
        finally:
            frozen.release()

    @contextmanager
    def planning(self) -> Iterator[State]:
        """The state as it was read, for a plan: what that reads through the store meanwhile is the same."""
        with self._lock:
            self._planning = True
            try:
                yield self._known()
            finally:
                self._planning = False

    def append(self, commit: Commit) -> bool:
        """Write a commit that was made from the state as it is, or read the one of a faster writer.

        True when it is written, durably; see `Commits.put`.
        """
        found, is_ours = self._commits.put(commit)
        self._take(commit.number, found)
        return is_ours

    def past(self, numbers: Sequence[int]) -> list[Commit]:
        """Commits of the past, read again. One whose pepper is gone is not authenticated."""
        objects = self._commits.require_all(numbers)
        return [
            self._commits.open(number, found, known_only=False)
            for number, found in zip(numbers, objects, strict=True)
        ]

    def close(self) -> None:
        """Let go of the state."""
        with self._lock:
            if self._state is not None:
                self._state.scratch.close()

    def _is_planning_here(self) -> bool:
        """Whether this thread is inside a plan: nobody else gets the lock then, and nothing may change."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            return self._planning
        finally:
            self._lock.release()

    def _known(self) -> State:
        if self._state is None:
            raise Unavailable("The store was not read yet.")
        return self._state

    def _load(self) -> None:
        with self._loading:
            if self._state is None:
                self._state = self._loaded()

    def _loaded(self) -> State:
        state = newest_state(self._storage, self._peppers)
        if state.position.number:
            state.tag = self._require_of_commit(state).tag
        numbers = self._commits.numbers_behind(state.position.number)
        for number, found in zip(numbers, self._commits.require_all(numbers), strict=True):
            self._apply(state, number, found)
        return state

    def _require_of_commit(self, state: State) -> Found:
        """Refuse a checkpoint that does not end with the commit that it names.

        Whoever has an old pepper could seal one that ends earlier, before a revocation.
        """
        number = state.position.number
        found = self._require_same(state.position)
        entries = self._commits.open(number, found, known_only=False).batch.entries
        if entries and entries[-1] != state.last():
            raise Corrupted(path_of(Place.CHECKPOINT, number), "does not end with the commit that it names")
        return found

    def _read_on(self) -> None:
        try:
            while self._read_next():
                pass
        except Corrupted:
            # It may stand behind another one than ours, because all of them were exchanged.
            self._require_end()
            raise
        self._require_end()
        self._look_around()

    def _take_restored(self, before: State | None) -> bool:
        """Begin anew with a log that says it was restored, and that what was read here is lost."""
        with self._loading:
            if self._state is before:
                restored = self._restored()
                with self._lock:
                    self._state = restored or before
            return self._state is not before

    def _restored(self) -> State | None:
        """The state that was restored. Trouble says nothing new of a log that is refused already."""
        try:
            newest = self._commits.newest()
            if newest == self._refused:
                return None
            # Once for each end that it has: to read all of it takes long.
            self._refused = newest
            state = self._loaded()
            return state if self._names_as_lost(state) else None
        except KeyrackError as error:
            if isinstance(error, Unavailable) and not isinstance(error, Corrupted):
                self._refused = None  # nothing is known of it yet
            log.warning("a log that does not go on cannot be read from its beginning: %s", error.detail)
            return None

    def _names_as_lost(self, state: State) -> bool:
        """Whether one of the latest events of a state says that an event which was read here is lost."""
        end = state.last()
        numbers = state.numbers(Excerpt(after=max(0, end.number - LOOK_BACK) if end else 0, most=LOOK_BACK))
        commits = self.past(sorted({state.commit_of(number) for number in numbers}))
        entries = (entry for commit in commits for entry in commit.batch.entries)
        return any(self._has_read(*lost) for lost in lost_heads(entries, self._peppers))

    def _has_read(self, number: int, hash_: str) -> bool:
        entry = self._known().recent(number)
        return entry is not None and _hash(entry.body) == hash_

    def _read_next(self) -> bool:
        number = self._known().position.number + 1
        found = self._commits.find(number)
        if found is not None:
            self._take(number, found)
        return found is not None

    def _take(self, number: int, found: Found) -> None:
        with self._lock:
            state = self._known()
            # Another thread may have taken it meanwhile.
            if number == state.position.number + 1:
                self._apply(state, number, found)

    def _apply(self, state: State, number: int, found: Found) -> None:
        commit = self._commits.open(number, found)
        if commit.before != state.position.hash:
            raise Corrupted(path_of(Place.LOG, number), "does not stand behind the one before it")
        state.apply(commit, Position(number, _hash(found.data)), found.tag)

    def _require_end(self) -> None:
        """Refuse a log whose last commit, as far as it was read, is gone or another one."""
        with self._lock:
            state = self._known()
            position, tag = state.position, state.tag
        if position.number == 0 or self._commits.tag(position.number) == tag:
            return
        found = self._require_same(position)
        with self._lock:
            if state.position == position:
                state.tag = found.tag

    def _require_same(self, position: Position) -> Found:
        found = self._commits.find(position.number)
        if found is None or _hash(found.data) != position.hash:
            path, what = path_of(Place.LOG, position.number), "is gone" if found is None else "is another one"
            raise Tampered(f"{path} {what}: the store was rolled back, forked or exchanged.")
        return found

    def _look_around(self) -> None:
        """See now and then that the number which is missing is the end, and not a gap."""
        if steady() >= self._looked_at + self._look_around_seconds:
            self._commits.numbers_behind(self._known().position.number)
            self._looked_at = steady()


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
